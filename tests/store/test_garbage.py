from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Any

import pytest

from dmr_tui.errors import StoreError
from dmr_tui.store import garbage
from dmr_tui.store.garbage import STALE, YOUNG, Removed, prune, purge
from dmr_tui.store.garbage import preview as preview_prune
from dmr_tui.store.store import Store
from dmr_tui.store.usage import Usage, disk_usage
from tests.store.conftest import add_model, sha256, tree


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock, moved on so far that nothing is young any more."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + YOUNG + 60)


def leave_garbage(store: Store) -> dict[str, Path]:
    """One thing of each kind that no model needs."""
    root = store.root
    other = sha256(b"other")[7:]
    partial = store.blobs.partial("sha256:" + other)
    files = {
        "blob": store.blobs.path(store.blobs.put(b"loose").digest),
        "manifest": root / "manifests" / "sha256" / other,
        "bundle": root / "bundles" / "sha256" / other / "model" / "model.gguf",
        "partial": partial,
        "map": partial.with_suffix(".map"),
        "incomplete": root / "blobs" / "sha256" / (sha256(b"x")[7:] + ".incomplete"),
        "temporary": root / "blobs" / "sha256" / (other + ".tmp-12ab"),
        "index": root / "models.json.tmp-0a1b2c",
    }
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"loose")
    return files


@pytest.fixture
def full_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose disk takes nothing while the weights of its one model are there."""
    blob = store.blobs.path(add_model(store, None).manifest.layers[0].digest)
    sync = os.fsync

    def refuse(descriptor: int) -> None:
        if blob.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    return blob


def test_on_a_full_disk_a_model_can_be_removed(store: Store, full_disk: Path) -> None:
    (model,) = store.models()
    assert store.remove(model.id) == [("Deleted", model.id)]
    assert not full_disk.exists()
    assert store.index.entries() == []
    assert store.index.removed() == [model.id]
    assert set(tree(store.root)) == {"models.json", "layout.json", ".dmr/models.json", ".dmr/lock"}


def test_on_a_full_disk_prune_frees_models_without_a_name(store: Store, full_disk: Path) -> None:
    foreseen = preview_prune(store, everything=True)
    assert prune(store, everything=True) == foreseen
    assert not full_disk.exists()
    assert store.index.entries() == []


@pytest.mark.usefixtures("full_disk")
def test_on_a_full_disk_a_store_can_be_purged(store: Store) -> None:
    purge(store)
    assert list(store.root.iterdir()) == []


@pytest.mark.usefixtures("later")
def test_prune_removes_what_no_model_needs_and_nothing_else(store: Store) -> None:
    store.bundle(add_model(store, "m"))
    add_model(store, None, weights=b"untagged")
    before = tree(store.root)
    garbage = leave_garbage(store)
    foreseen = preview_prune(store)
    assert set(tree(store.root)) == {*before} | {
        str(path.relative_to(store.root)) for path in garbage.values()
    }
    assert prune(store) == foreseen
    kept = {"partial", "map", "incomplete"}  # they can be continued
    assert {name for name, path in garbage.items() if path.exists()} == kept
    partials = prune(store, partials=True)
    assert [(item.kind, item.size) for item in partials] == [("partial", 5), ("partial", 10)]
    assert tree(store.root) == before
    assert prune(store) == []


def test_what_is_young_stays_since_another_program_may_be_about_to_name_it(store: Store) -> None:
    add_model(store, "m")
    garbage = leave_garbage(store)
    assert prune(store) == []
    assert all(path.exists() for path in garbage.values())
    future = time.time() + 1e6
    os.utime(garbage["blob"], (future, future))
    assert prune(store) == []
    prune(store, everything=True)
    assert not any(path.exists() for path in garbage.values())


def test_everything_takes_models_without_a_name_too(store: Store) -> None:
    keep = add_model(store, "m", weights=b"keep")
    before = tree(store.root)
    gone = add_model(store, None, weights=b"gone" * 100)
    store.bundle(gone)
    removed = prune(store, everything=True)
    assert removed[0] == Removed("model", gone.id, 0)
    # The bundle's file is the blob's: its bytes count once, and only when both names are gone.
    assert sum(item.size for item in removed if item.kind in ("blob", "bundle")) >= 400
    assert store.find("m").id == keep.id
    assert tree(store.root) == before


def test_a_blob_that_lives_on_elsewhere_frees_nothing(store: Store, tmp_path: Path) -> None:
    add_model(store, "m")
    blob = store.blobs.put(b"shared")
    os.link(store.blobs.path(blob.digest), tmp_path / "elsewhere")
    assert prune(store, everything=True) == [Removed("blob", blob.digest, 0)]


def test_old_partials_go_by_themselves_unless_one_is_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(store, "m")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + STALE + 60)
    partial = store.blobs.partial(sha256(b"x"))
    partial.write_bytes(b"half")
    with partial.open("r+b") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        assert prune(store, everything=True) == []
    assert [item.kind for item in prune(store)] == ["partial"]


def test_an_index_that_was_lost_does_not_make_the_models_garbage(store: Store) -> None:
    add_model(store, "m")
    (store.root / "models.json").unlink()
    before = tree(store.root)
    for call in (prune, preview_prune):
        with pytest.raises(StoreError, match="no index") as failure:
            call(store, everything=True)
        assert "dmr fsck" in (failure.value.hint or "")
    assert tree(store.root) == before


def test_a_blob_that_only_the_manifest_names_stays(store: Store) -> None:
    model = add_model(store, "m")
    index = store.root / "models.json"
    index.write_text(index.read_text().replace(sha256(b"weights"), "sha256:" + "0" * 64))
    prune(store, everything=True)
    assert store.bundle(model).gguf.read_bytes() == b"weights"


def test_purge_empties_the_store_and_keeps_its_root(store: Store) -> None:
    store.bundle(add_model(store, "m"))
    leave_garbage(store)
    (store.root / "notes.txt").write_text("not the store's")
    purge(store)
    assert [path.name for path in store.root.iterdir()] == ["notes.txt"]
    assert add_model(store, "m").tags == ("docker.io/ai/m:latest",)


def test_purge_refuses_what_is_no_store(store: Store) -> None:
    purge(store)
    store.root.mkdir()
    purge(store)
    precious = store.root / "blobs"
    precious.write_text("precious")
    with pytest.raises(StoreError, match=r"no layout\.json"):
        purge(store, force=True)
    assert precious.read_text() == "precious"


def test_disk_usage_counts_each_inode_once_and_says_what_is_what(store: Store) -> None:
    assert disk_usage(store) == Usage()
    store.bundle(add_model(store, "m", weights=b"w" * 1000))
    own = disk_usage(store)
    assert 1000 < own.models < 3000
    leave_garbage(store)
    quarantine = store.root / ".dmr" / "quarantine" / "bad"
    quarantine.parent.mkdir()
    quarantine.write_bytes(b"bad")
    with store.blobs.partial(sha256(b"sparse")).open("wb") as sparse:
        sparse.truncate(1 << 30)
    usage = disk_usage(store)
    assert usage.models == own.models
    assert usage.partial == 15
    assert usage.unused == 5 * 5
    assert usage.quarantined == 3
    assert usage.total == own.total + 15 + 25 + 3


def test_a_partial_that_a_pull_takes_up_meanwhile_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(store, "m")
    partial = store.blobs.partial(sha256(b"x"))
    partial.write_bytes(b"half")
    with partial.open("r+b") as pull:
        survey = garbage.survey

        def then_lock(*arguments: Any) -> list[garbage.Garbage]:
            found = list(survey(*arguments))
            fcntl.flock(pull, fcntl.LOCK_EX)
            return found

        monkeypatch.setattr(garbage, "survey", then_lock)
        assert prune(store, partials=True) == []
    assert partial.exists()
