from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from dmr_tui.errors import InvalidRequestError, StoreError
from dmr_tui.store.blobs import BlobStore
from tests.store.conftest import sha256

DATA = b"some bytes"
SHA512 = "sha512:" + "ab" * 64


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "models")


def test_paths_are_those_of_the_layout(blobs: BlobStore, tmp_path: Path) -> None:
    digest = sha256(DATA)
    assert blobs.path(digest) == tmp_path / "models/blobs/sha256" / digest[7:]
    assert blobs.path(SHA512) == tmp_path / "models/blobs/sha512" / SHA512[7:]
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256:",
        "sha256:../../x",
        sha256(DATA).upper(),
        sha256(DATA)[:-1],
        sha256(DATA)[7:],
        sha256(DATA) + "\n",
        "sha256:" + "g" * 64,
        "sha512:" + "a" * 64,
        "md5:" + "a" * 32,
    ],
)
def test_a_malformed_digest_gives_no_path(blobs: BlobStore, digest: str) -> None:
    for use in (blobs.path, blobs.has, blobs.partial, blobs.read):
        with pytest.raises(InvalidRequestError):
            use(digest)


def test_put_stores_under_the_digest_once(blobs: BlobStore) -> None:
    blob = blobs.put(DATA)
    assert blob == (sha256(DATA), len(DATA))
    assert blobs.read(blob.digest) == DATA
    inode = blobs.path(blob.digest).stat().st_ino
    assert blobs.put(DATA) == blob
    assert blobs.path(blob.digest).stat().st_ino == inode


def test_has_judges_by_size_too(blobs: BlobStore) -> None:
    digest, size = blobs.put(DATA)
    assert blobs.has(digest)
    assert blobs.has(digest, size)
    assert not blobs.has(digest, size + 1)
    assert not blobs.has(sha256(b"other"))
    blobs.path(digest).unlink()
    blobs.path(digest).mkdir()
    assert not blobs.has(digest)


def test_a_truncated_blob_is_replaced(blobs: BlobStore) -> None:
    digest, _ = blobs.put(DATA)
    blobs.path(digest).write_bytes(DATA[:3])
    blobs.put(DATA)
    assert blobs.read(digest) == DATA


def test_publishing_moves_the_partial_to_its_final_name(blobs: BlobStore) -> None:
    digest = sha256(DATA)
    partial = blobs.partial(digest)
    partial.write_bytes(DATA)
    assert ".dmr" in partial.parts
    assert not blobs.has(digest)
    blobs.publish(partial, digest)
    assert blobs.read(digest) == DATA
    assert not partial.exists()


def test_reading_a_missing_blob_names_it(blobs: BlobStore) -> None:
    with pytest.raises(StoreError, match=sha256(DATA)[7:]):
        blobs.read(sha256(DATA))


def test_put_file_copies_and_leaves_nothing_else(blobs: BlobStore, tmp_path: Path) -> None:
    source = tmp_path / "model.gguf"
    data = os.urandom(3 << 20)
    source.write_bytes(data)
    for _ in range(2):
        assert blobs.put_file(source) == (sha256(data), len(data))
    stored = blobs.path(sha256(data))
    assert stored.read_bytes() == data
    assert not stored.samefile(source)
    assert not list((tmp_path / "models/.dmr/partial").iterdir())


def test_put_file_refuses_what_it_cannot_read(blobs: BlobStore, tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(InvalidRequestError, match=str(path)):
            blobs.put_file(path)


def test_a_full_disk_is_noticed_before_the_copy(blobs: BlobStore, tmp_path: Path) -> None:
    huge = tmp_path / "huge.gguf"
    with huge.open("wb") as file:
        file.truncate(1 << 43)
    with pytest.raises(StoreError, match=r"not enough space .*: need 8796.* GB, have .* GB"):
        blobs.put_file(huge)
    assert not list((tmp_path / "models/.dmr/partial").iterdir())


def test_little_room_is_told_in_megabytes(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearly_full = SimpleNamespace(f_bavail=21, f_frsize=100_000)
    monkeypatch.setattr("dmr_tui.store.blobs.os.statvfs", lambda _: nearly_full)
    with pytest.raises(StoreError, match=r"to copy it: need 3\.5 MB, have 2\.1 MB"):
        blobs.require_space(3_480_000, "copy it")


def test_a_store_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file, not a folder")
    with pytest.raises(StoreError, match=str(tmp_path / "models")):
        BlobStore(tmp_path / "models").put(DATA)
