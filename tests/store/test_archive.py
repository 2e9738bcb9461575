from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from dmr_tui.errors import DmrError, InvalidRequestError, StoreError
from dmr_tui.store.archive import NAMES, load, save
from dmr_tui.store.copying import copy_model
from dmr_tui.store.fsck import fsck
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from tests.store.conftest import add_model, give_foreign_tag, sha256, tree

WEIGHTS = b"weights" * 1000


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


def saved(store: Store, name: str = "m") -> bytes:
    out = io.BytesIO()
    save(store, store.find(name), out)
    return out.getvalue()


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {
            each.name: content.read() if (content := tar.extractfile(each)) else b"" for each in tar
        }


def tar(files: dict[str, bytes], **kinds: bytes) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, kind in kinds.items():
            member = tarfile.TarInfo("blobs/sha256/" + "0" * 64)
            member.type, member.linkname = kind, f"/etc/{name}"
            archive.addfile(member)
    return io.BytesIO(out.getvalue())


def test_the_layout_is_docker_model_runners(store: Store) -> None:
    model = add_model(store, "m", weights=WEIGHTS)
    archive = members(saved(store))
    config = model.manifest.config.digest
    assert list(archive) == [
        "blobs",
        "blobs/sha256",
        f"blobs/sha256/{sha256(WEIGHTS)[7:]}",
        f"blobs/sha256/{config[7:]}",
        "manifest.json",
    ]
    assert archive["manifest.json"] == store.manifest_bytes(model.id)
    assert saved(store) == saved(store)


def test_what_is_saved_can_be_loaded(store: Store, other: Store) -> None:
    model = add_model(store, "m", weights=WEIGHTS)
    store.tag("m", "my/other:v2")
    counts: list[tuple[int, int]] = []
    archive = saved(store)
    loaded = load(other, io.BytesIO(archive), on_progress=lambda *at: counts.append(at))
    assert loaded.id == model.id
    assert loaded.tags == ("docker.io/ai/m:latest", "docker.io/my/other:v2")
    assert counts[-1][0] == model.size
    assert fsck(other, full=True).clean
    assert load(other, io.BytesIO(archive)).id == model.id


def test_names_that_only_another_program_takes_for_such_stay_behind(
    store: Store, other: Store
) -> None:
    add_model(store, "m", weights=WEIGHTS)
    give_foreign_tag(store, "docker.io/org/my-_model:v1")
    assert load(other, io.BytesIO(saved(store))).tags == ("docker.io/ai/m:latest",)
    other.remove("m")
    copied, _ = copy_model(store, store.find("m"), other, None)
    assert copied.tags == ("docker.io/ai/m:latest",)


def test_a_name_replaces_those_of_the_archive(store: Store, other: Store) -> None:
    add_model(store, "m", weights=WEIGHTS)
    archive = saved(store)
    assert load(other, io.BytesIO(archive), names=False).tags == ()
    named = load(other, io.BytesIO(archive), reference=parse_reference("my/x"))
    assert named.tags == ("docker.io/my/x:latest",)


def test_an_archive_of_docker_model_runner_has_no_names_and_may_be_compressed(
    store: Store, other: Store
) -> None:
    model = add_model(store, "m", weights=WEIGHTS)
    plain = tar({f"./{name}": data for name, data in members(saved(store)).items() if data})
    loaded = load(other, io.BytesIO(gzip.compress(plain.getvalue())))
    assert (loaded.id, loaded.tags) == (model.id, ())


def test_the_names_are_where_other_readers_skip_them(store: Store) -> None:
    add_model(store, "m")
    with tarfile.open(fileobj=io.BytesIO(saved(store))) as archive:
        *_, last = archive
    assert last.pax_headers == {NAMES: "docker.io/ai/m:latest"}


@pytest.mark.parametrize("cut", [0, 100, 700, 4000, -12000])
def test_a_cut_archive_is_refused_and_leaves_no_model(store: Store, other: Store, cut: int) -> None:
    add_model(store, "m", weights=WEIGHTS)
    with pytest.raises(InvalidRequestError):
        load(other, io.BytesIO(saved(store)[:cut]))
    assert other.models() == []
    assert fsck(other, full=True).clean
    assert not [name for name in tree(other.root) if ".part" in name]


def test_bytes_that_are_not_their_digest_are_refused(store: Store, other: Store) -> None:
    add_model(store, "m", weights=WEIGHTS)
    archive = saved(store).replace(b"weights", b"WEIGHTS", 1)
    with pytest.raises(InvalidRequestError, match=sha256(WEIGHTS)):
        load(other, io.BytesIO(archive))
    assert "blobs/sha256/" + sha256(WEIGHTS)[7:] not in tree(other.root)


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "blobs/sha256/../../evil",
        "blobs/sha256/" + "A" * 64,
        "blobs/md5/" + "0" * 32,
        "index.json",
    ],
)
def test_members_that_mean_nothing_or_harm_are_refused(other: Store, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="no model's archive"):
        load(other, tar({name: b"evil"}))
    assert not other.root.exists()


def test_links_and_devices_are_refused(other: Store) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        with pytest.raises(InvalidRequestError):
            load(other, tar({}, passwd=kind))
    assert not other.root.exists()


def test_an_archive_without_all_its_blobs_or_manifest_is_refused(
    store: Store, other: Store
) -> None:
    add_model(store, "m", weights=WEIGHTS)
    files = {name: data for name, data in members(saved(store)).items() if data}
    with pytest.raises(StoreError, match="not whole"):
        load(other, tar({"manifest.json": files["manifest.json"]}))
    del files["manifest.json"]
    with pytest.raises(InvalidRequestError, match=r"no manifest\.json"):
        load(other, tar(files))
    with pytest.raises(DmrError):
        load(other, tar({"manifest.json": b'{"schemaVersion": 2}'}))


def test_a_damaged_blob_is_not_saved(store: Store) -> None:
    model = add_model(store, "m", weights=WEIGHTS)
    blob = store.blobs.path(model.manifest.layers[0].digest)
    blob.write_bytes(b"x" * len(WEIGHTS))
    with pytest.raises(StoreError, match="is damaged"):
        saved(store)
    blob.unlink()
    with pytest.raises(StoreError, match="missing"):
        saved(store)


def test_a_copy_in_another_store_shares_its_bytes(store: Store, other: Store) -> None:
    model = add_model(store, "m", weights=WEIGHTS)
    store.tag("m", "n:v2")
    copied, how = copy_model(store, model, other, None)
    assert copied.tags == ("docker.io/ai/m:latest",)  # as the model was when it was looked up
    assert how in ("hard link", "reflink")
    if how == "hard link":
        here, there = (each.blobs.path(sha256(WEIGHTS)) for each in (store, other))
        assert here.samefile(there)
    store.remove(model.id, force=True)
    assert fsck(other, full=True).clean
    renamed, _ = copy_model(other, copied, store, parse_reference("back"))
    assert renamed.tags == ("docker.io/ai/back:latest",)


def test_a_store_is_not_copied_to_itself(store: Store) -> None:
    model = add_model(store, "m")
    with pytest.raises(InvalidRequestError):
        copy_model(store, model, Store(store.root), None)


def test_a_copy_onto_another_disk_is_a_real_one(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = add_model(store, "m", weights=WEIGHTS)

    def another_device(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", another_device)
    assert copy_model(store, model, other, None)[1] == "copy"
    assert fsck(other, full=True).clean
    assert not other.blobs.path(sha256(WEIGHTS)).is_symlink()
