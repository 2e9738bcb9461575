"""`dmr pulls`, over the list and the partial files that a full screen leaves."""

from __future__ import annotations

import json

import pytest

from dmr_tui.paths import Paths
from dmr_tui.runner.unfinished import Unfinished, UnfinishedPulls
from dmr_tui.store.store import Store
from tests.cli.conftest import Dmr

DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def listed(dmr: Dmr) -> UnfinishedPulls:
    pulls = UnfinishedPulls(Paths.default().pulls)
    store = Store(Paths.default().models)
    here = store.blobs.put(b"x" * 500)
    partial = store.blobs.partial(DIGEST)
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.write_bytes(b"y" * 300)
    layers = {here.digest: (500, 0), DIGEST: (900, 0)}
    pulls.write([Unfinished("phi4", paused=True, total=1400, layers=layers), Unfinished("qwen3")])
    return pulls


def test_what_is_not_finished_is_listed_with_what_is_on_the_disk(
    dmr: Dmr, listed: UnfinishedPulls
) -> None:
    head, phi, qwen = dmr("pulls").out.splitlines()
    assert head.split() == ["MODEL", "STATE", "FETCHED", "SIZE"]
    assert phi.split() == ["phi4", "paused", "800.00B", "1.40kB"]
    assert qwen.split()[:4] == ["qwen3", "waits", "for", "dmr"]
    assert json.loads(dmr("pulls", "--json").out)[0] == {
        "model": "phi4", "state": "paused", "fetched": 800, "size": 1400
    }  # fmt: skip
    # To look does not take the list away from the screen.
    assert listed.own()
    assert "under way" in dmr("pulls").out
    listed.disown()


def test_nothing_unfinished_is_said(dmr: Dmr) -> None:
    result = dmr("pulls")
    assert (result.code, result.out, result.err) == (0, "", "Nothing is unfinished.\n")
