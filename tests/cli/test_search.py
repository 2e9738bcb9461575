"""`dmr search`, over a runner that finds what it is told."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dmr_tui.cli.search import count_text
from dmr_tui.store.transfer.found import Found, Hit
from tests.cli.conftest import Dmr
from tests.support.fake_runner import FakeRunner

FOUND = Found(
    [
        Hit("ai/smollm2", "Tiny\x1b[31m model\nfor " + "all " * 20, 1_234_567, 45_600,
            "Docker Hub", True, "2025-01-02T03:04:05Z", "llama.cpp", 270_600_000, True),
        Hit("hf.co/Org/Big", source="HuggingFace", backend="vllm", fits=False),
    ],
    ["failed to search Docker Hub: it is away"],
)  # fmt: skip


@pytest.fixture
def runner(use_runner: Callable[[FakeRunner], None]) -> FakeRunner:
    runner = FakeRunner(found=FOUND)
    use_runner(runner)
    return runner


def test_hits_are_a_table_and_trouble_goes_to_stderr(dmr: Dmr, runner: FakeRunner) -> None:
    result = dmr("search", "smol", "-n", "5", "--source", "docker")
    assert result.code == 0
    head, smol, big = result.out.splitlines()
    assert head.split() == [
        "NAME", "DESCRIPTION", "BACKEND", "SIZE", "FITS", "DOWNLOADS", "STARS", "SOURCE"
    ]  # fmt: skip
    assert smol.startswith("ai/smollm2     Tiny [31m model for all all all all all all all...  ")
    assert smol.split("...")[1].split() == [
        "llama.cpp", "270.60MB", "yes", "1.2M", "45.6K", "Docker", "Hub"
    ]  # fmt: skip
    assert big.split() == ["hf.co/Org/Big", "vllm", "n/a", "no", "0", "0", "HuggingFace"]
    assert result.err == "Warning: failed to search Docker Hub: it is away\n"
    assert runner.calls[0] == ("search", "smol", 5, "dockerhub")


def test_json_has_the_names_of_docker(dmr: Dmr, runner: FakeRunner) -> None:
    found = json.loads(dmr("search", "--json").out)
    assert found[0]["Name"] == "ai/smollm2"
    assert found[0]["UpdatedAt"] == "2025-01-02T03:04:05Z"
    assert set(found[1]) >= {"Description", "Downloads", "Stars", "Official", "Backend", "Size"}


def test_nothing_found_is_said(dmr: Dmr, runner: FakeRunner) -> None:
    runner.found = Found([])
    assert dmr("search", "xyz").err == 'No models found matching "xyz"\n'
    assert dmr("search").err == "No models found\n"
    assert dmr("search", "xyz").out == ""


def test_a_source_that_is_none_is_a_usage_error(dmr: Dmr, runner: FakeRunner) -> None:
    assert dmr("search", "--source", "elsewhere").code == 2


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (45_600, "45.6K"), (1_234_567, "1.2M")]
)
def test_counts_are_short(number: int, text: str) -> None:
    assert count_text(number) == text
