"""`dmr pull` and its mirrors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.conftest import Dmr
from tests.support.stand_in import StandIn, stand_in


@pytest.fixture
def mirror() -> Iterator[StandIn]:
    with stand_in() as running:
        running.model(b"weights")
        yield running


def test_a_mirror_serves_what_docker_hub_has(dmr: Dmr, mirror: StandIn) -> None:
    done = dmr("pull", "--mirror", f"http://{mirror.host}/hub", "tiny")
    assert (done.code, done.out) == (0, "Model pulled successfully\n")
    assert mirror.seen[0].path == "/hub/v2/ai/tiny/manifests/latest"
    assert "tiny" in dmr("list").out


def test_mirrors_are_a_setting_too(
    dmr: Dmr, mirror: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_RUNNER_REGISTRY_MIRRORS", f"http://{mirror.host}")
    assert dmr("pull", "tiny").code == 0


def test_another_runner_has_its_own_mirrors(
    dmr: Dmr, mirror: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_RUNNER_HOST", "http://127.0.0.1:1")
    done = dmr("pull", "--mirror", f"http://{mirror.host}", "tiny")
    assert done.code == 2
    assert "mirrors: a setting of the runner at http://127.0.0.1:1" in done.err
