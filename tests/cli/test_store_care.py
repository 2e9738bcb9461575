"""`fsck`, `prune`, `purge` and `df` on a real store."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dmr_tui.paths import Paths
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from tests.cli.conftest import Dmr


@pytest.fixture
def store(tiny_gguf: Path) -> Store:
    store = Store(Paths.default().models)
    package_gguf(store, tiny_gguf, parse_reference("my/m"))
    return store


def weights(store: Store) -> Path:
    return store.blobs.path(store.find("my/m").manifest.layers[0].digest)


def test_fsck_of_a_sound_store(dmr: Dmr, store: Store) -> None:
    result = dmr("fsck")
    assert result.code == 0
    assert result.out == (
        "1 models, 2 files checked (sizes only, --full reads every file): all right\n"
    )
    assert "read): all right" in dmr("fsck", "--full").out
    report = json.loads(dmr("fsck", "--full", "--json").out)
    assert report["clean"] is True
    assert report["hashed"] > 400_000


def test_fsck_says_what_is_damaged_and_how_it_is_repaired(dmr: Dmr, store: Store) -> None:
    blob = weights(store)
    os.truncate(blob, 1000)
    dry = dmr("fsck", "--dry-run")
    assert dry.code == 1
    assert blob.exists()
    result = dmr("fsck")
    assert result.code == 1
    assert not blob.exists()
    assert f"damaged: blob sha256:{blob.name}: it has 1000 bytes instead of" in result.out
    assert "my/m is damaged: fetch it again with dmr pull my/m\n" in result.out
    report = json.loads(dmr("fsck", "--json").out)
    assert report["damaged"] == ["docker.io/my/m:latest"]
    assert report["problems"][0]["what"] == "it is missing"


def test_fsck_rebuilds_a_lost_index(dmr: Dmr, store: Store) -> None:
    (store.root / "models.json").write_text("{")
    assert "dmr fsck" in dmr("list").err
    result = dmr("fsck")
    assert result.code == 0
    assert "repaired: index models.json" in result.out
    assert store.find("my/m")


def test_prune_asks_and_says_what_went(dmr: Dmr, store: Store) -> None:
    blob = store.blobs.put(b"loose" * 100)
    assert dmr("prune").out == "Freed 0.00B\n"
    refused = dmr("prune", "--all", stdin="n\n")
    assert (refused.code, refused.out) == (0, "")
    assert f"blob:        {blob.digest}  500.00B" in refused.err
    assert refused.err.endswith("[y/N] Operation cancelled.\n")
    assert dmr("prune", "--all", "--dry-run").out.endswith("Would free 500.00B\n")
    assert store.blobs.has(blob.digest)
    done = dmr("prune", "--all", stdin="y\n")
    assert done.out == f"blob:        {blob.digest}  500.00B\nFreed 500.00B\n"
    assert not store.blobs.has(blob.digest)
    assert dmr("prune", "--all", "--json").out == "[]\n"
    assert store.find("my/m")


def test_prune_of_partials_needs_no_answer_with_force(dmr: Dmr, store: Store) -> None:
    partial = store.blobs.partial("sha256:" + "ab" * 32)
    partial.write_bytes(b"half")
    rows = dmr("df").out.splitlines()
    assert rows[2] == "Partial downloads  4.00B"
    assert json.loads(dmr("df", "--json").out)["partial"] == 4
    assert dmr("prune").out == "Freed 0.00B\n"
    removed = json.loads(dmr("prune", "--partials", "-f", "--json").out)
    assert removed == [{"kind": "partial", "name": "sha256:" + "ab" * 32, "size": 4}]
    assert not partial.exists()


def test_purge_asks_first(dmr: Dmr, store: Store) -> None:
    refused = dmr("purge", stdin="\n")
    assert (refused.code, refused.out) == (0, "")
    assert refused.err == (
        "WARNING! This will remove the entire models directory.\n"
        "Are you sure you want to continue? [y/N] Operation cancelled.\n"
    )
    assert store.find("my/m")
    assert dmr("purge", stdin="y\n").code == 0
    assert list(store.root.iterdir()) == []


def test_purge_and_rm_refuse_what_another_process_runs(dmr: Dmr, store: Store) -> None:
    store.leases.hold_model(store.find("my/m").id, "run my/m", os.getppid())
    for command in (("purge",), ("rm", "my/m")):
        refused = dmr(*command, stdin="y\n")
        assert refused.code == 1
        assert f"in use by process {os.getppid()} (run my/m)" in refused.err
    assert dmr("purge", "-f").code == 0
    assert list(store.root.iterdir()) == []
