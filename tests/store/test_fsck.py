from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from shutil import rmtree

import pytest

from dmr_tui.errors import StoreError
from dmr_tui.store.fsck import Report, fsck
from dmr_tui.store.store import Store
from tests.store.conftest import add_model, sha256, tree

WEIGHTS = b"weights" * 100


@pytest.fixture
def blob(store: Store) -> Path:
    """The weights of the model `m`, which stands beside a sound one."""
    add_model(store, "sound", weights=b"sound")
    model = add_model(store, "m", weights=WEIGHTS)
    store.bundle(model)
    return store.blobs.path(model.manifest.layers[0].digest)


def whats(report: Report) -> list[tuple[str, bool]]:
    return [(problem.place, problem.repaired) for problem in report.problems]


def test_a_sound_store_is_clean_and_left_alone(store: Store, blob: Path) -> None:
    assert fsck(Store(store.root / "absent")) == Report()
    before = tree(store.root)
    counted: list[tuple[int, int]] = []
    report = fsck(store, full=True, on_progress=lambda done, total: counted.append((done, total)))
    assert report.clean
    assert (report.models, report.blobs, report.problems, report.garbage) == (2, 4, [], {})
    assert report.hashed == sum(path.stat().st_size for path in blob.parent.iterdir())
    assert counted[-1] == (report.hashed, report.hashed)
    assert tree(store.root) == before


@pytest.mark.parametrize(
    ("damage", "full"),
    [(WEIGHTS[:-1], False), (b"", False), (WEIGHTS + b"!", False), (b"x" * len(WEIGHTS), True)],
)
def test_a_bad_blob_goes_to_quarantine_and_its_model_is_named(
    store: Store, blob: Path, damage: bytes, full: bool
) -> None:
    blob.write_bytes(damage)  # and so into the bundle
    if full:
        assert fsck(store).damaged == []  # sizes alone do not show it
        store.bundle(store.find("m"))
    report = fsck(store, full=full)
    assert not report.clean
    assert report.damaged == ["docker.io/ai/m:latest"]
    assert ("blob", False) in whats(report)
    assert not blob.exists()
    (kept,) = (store.root / ".dmr" / "quarantine").iterdir()
    assert kept.read_bytes() == damage
    with pytest.raises(StoreError, match="missing or cut short"):
        store.bundle(store.find("m"))
    again = fsck(store)
    assert again.damaged == ["docker.io/ai/m:latest"]
    assert again.garbage == {"quarantined": 1}

    store.blobs.put(WEIGHTS)
    assert fsck(store, full=True).clean
    assert store.bundle(store.find("m")).gguf.read_bytes() == WEIGHTS


def test_a_dry_run_says_the_same_and_changes_nothing(store: Store, blob: Path) -> None:
    os.truncate(blob, 3)
    (store.root / "bundles" / "sha256" / store.find("m").id[7:] / "model" / "more").write_text("")
    before = tree(store.root)
    report = fsck(store, full=True, repair=False)
    assert report.damaged == ["docker.io/ai/m:latest"]
    assert whats(report) == [("blob", False), ("bundle", False)]
    assert tree(store.root) == before


@pytest.mark.parametrize("how", ["missing", "dangling", "folder"])
@pytest.mark.parametrize("bundled", [False, True])
def test_a_blob_that_is_no_file_is_found_and_comes_back_from_its_bundle(
    store: Store, blob: Path, how: str, bundled: bool
) -> None:
    model = store.find("m")
    if not bundled:
        rmtree(store.bundle_path(model.id))
    blob.unlink()
    if how == "dangling":
        blob.symlink_to("/nowhere/at/all")
    elif how == "folder":
        blob.mkdir()
    report = fsck(store)
    assert whats(report) == [("blob", bundled)]
    if bundled:
        assert report.damaged == []
        assert store.bundle(model).gguf.read_bytes() == blob.read_bytes() == WEIGHTS
        assert blob.samefile(store.bundle(model).gguf)
    else:
        assert report.damaged == ["docker.io/ai/m:latest"]
        assert not os.path.lexists(blob)


def test_a_bundle_that_cannot_be_linked_leaves_the_blob_missing(
    store: Store, blob: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob.unlink()

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "it is somebody else's")

    monkeypatch.setattr(os, "link", refused)
    assert whats(fsck(store)) == [("blob", False), ("bundle", False)]
    assert (store.bundle_path(store.find("m").id) / "model" / "model.gguf").read_bytes() == WEIGHTS


def test_a_bundle_with_other_bytes_gives_none_back(store: Store, blob: Path) -> None:
    blob.unlink()
    bundle = store.bundle_path(store.find("m").id) / "model" / "model.gguf"
    bundle.write_bytes(b"x" * len(WEIGHTS))
    assert fsck(store).damaged == ["docker.io/ai/m:latest"]
    assert not blob.exists()


@pytest.mark.parametrize("repair", [True, False])
@pytest.mark.parametrize("damage", [None, b"short", b"x" * len(WEIGHTS)])
def test_what_is_made_anew_during_the_check_is_left_alone(
    store: Store, blob: Path, damage: bytes | None, repair: bool
) -> None:
    model = store.find("m")
    rmtree(store.bundle_path(model.id))
    blob.unlink()
    if damage is not None:
        blob.write_bytes(damage)
    rest = model.manifest.config.size if damage and len(damage) == len(WEIGHTS) else 1 << 20

    def mend(done: int, total: int) -> None:
        """At once, or once the bad bytes are read."""
        if done >= total - rest and (not blob.exists() or blob.read_bytes() == damage):
            new = blob.with_name("new")
            new.write_bytes(WEIGHTS)
            new.rename(blob)

    assert fsck(store, full=True, repair=repair, on_progress=mend).problems == []
    assert blob.read_bytes() == WEIGHTS
    assert fsck(store, full=True).clean


def test_a_symbolic_link_to_the_right_bytes_is_sound(
    store: Store, blob: Path, tmp_path: Path
) -> None:
    blob.rename(tmp_path / "adopted")
    blob.symlink_to(tmp_path / "adopted")
    assert fsck(store, full=True).clean


def test_a_bad_blob_that_nobody_needs_is_repaired_by_putting_it_aside(
    store: Store, blob: Path
) -> None:
    loose = blob.with_name("0" * 64)
    loose.write_bytes(b"not what the name says")
    assert fsck(store).clean
    report = fsck(store, full=True)
    assert report.clean
    assert whats(report) == [("blob", True)]
    assert not loose.exists()


def test_a_bundle_that_shows_other_bytes_is_made_anew(store: Store, blob: Path) -> None:
    bundle = store.bundle(store.find("m"))
    bundle.gguf.unlink()
    bundle.gguf.write_bytes(b"other")
    report = fsck(store)
    assert whats(report) == [("bundle", True)]
    assert report.clean
    assert store.bundle(store.find("m")).gguf.read_bytes() == WEIGHTS


@pytest.mark.parametrize("damage", [None, b"{}"])
def test_a_manifest_that_is_not_its_own_is_found(
    store: Store, blob: Path, damage: bytes | None
) -> None:
    manifest = store.manifest_path(store.find("m").id)
    manifest.unlink()
    if damage is not None:
        manifest.write_bytes(damage)
    report = fsck(store)
    assert whats(report) == [("manifest", False)]
    assert report.damaged == ["docker.io/ai/m:latest"]


def test_a_config_that_cannot_be_read_is_found(store: Store, blob: Path) -> None:
    config = store.blobs.path(store.find("m").manifest.config.digest)
    config.write_bytes(b"x" * config.stat().st_size)
    assert whats(fsck(store)) == [("config", False)]


@pytest.mark.parametrize("damage", [b"", b'{"models": [{"id"', b"\xff\xfe", None])
def test_an_index_is_rebuilt_with_its_tags_and_the_bad_one_kept(
    store: Store, blob: Path, damage: bytes | None
) -> None:
    store.tag("m", "other:v2")
    before = store.models()
    index = store.root / "models.json"
    index.unlink()
    if damage is not None:
        index.write_bytes(damage)
    report = fsck(store)
    assert report.clean
    assert whats(report) == [("index", True)]
    assert store.models() == before
    kept = store.root / ".dmr" / "quarantine"
    assert [path.read_bytes() for path in kept.glob("*")] == [damage] * (damage is not None)


def test_without_the_copy_the_models_come_back_without_names(store: Store, blob: Path) -> None:
    ids = {model.id for model in store.models()}
    index = store.root / "models.json"
    index.write_bytes(b"?")
    (store.root / ".dmr" / "models.json").write_bytes(b"?")
    assert not fsck(store, repair=False).clean
    assert index.read_bytes() == b"?"
    assert fsck(store).clean
    assert {model.id for model in store.models()} == ids
    assert {model.tags for model in store.models()} == {()}


def test_what_a_crash_left_does_not_come_back_with_the_index(store: Store, blob: Path) -> None:
    gone = add_model(store, None, weights=b"half removed")
    store.blobs.path(gone.manifest.layers[0].digest).unlink()
    (store.root / ".dmr" / "models.json").write_bytes(b'{"models": []}')
    (store.root / "models.json").write_bytes(b"?")
    fsck(store)
    assert gone.id not in {model.id for model in store.models()}


def test_entries_that_contradict_are_mended(store: Store, blob: Path) -> None:
    index = store.root / "models.json"
    document = json.loads(index.read_text())
    sound, other = document["models"]
    other["tags"] = [*other["tags"], *sound["tags"]]
    other["files"] = other["files"][:1]
    other["pinned"] = True
    evil = {"id": "sha256:../../x", "tags": ["docker.io/ai/evil:latest"], "files": sound["files"]}
    document["models"] = [sound, other, {**sound, "tags": ["docker.io/ai/again:latest"]}, evil]
    index.write_text(json.dumps(document))
    report = fsck(store)
    assert report.clean
    assert len(report.problems) == 4
    mended = json.loads(index.read_text())["models"]
    assert [entry["tags"] for entry in mended] == [
        ["docker.io/ai/sound:latest", "docker.io/ai/again:latest"],
        ["docker.io/ai/m:latest"],
    ]
    assert len(mended[1]["files"]) == 2
    assert mended[1]["pinned"] is True
    assert fsck(store).problems == []


def test_garbage_is_counted_and_no_problem(store: Store, blob: Path) -> None:
    store.blobs.put(b"loose")
    store.blobs.partial(sha256(b"half")).write_bytes(b"ha")
    (store.root / "models.json.tmp-00ff").write_bytes(b"{")
    report = fsck(store, full=True)
    assert report.clean
    assert report.garbage == {"blob": 1, "partial": 1, "temporary": 1}
