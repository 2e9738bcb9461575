"""One blob from a source in memory: the moments that no server can bring about."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dmr_tui.errors import RegistryError, StoppedError, StoreError
from dmr_tui.store.blobs import BlobStore
from dmr_tui.store.transfer import fetch
from dmr_tui.store.transfer.fetch import BlobStream, fetch_blob
from dmr_tui.store.transfer.retry import Persistence
from tests.support.stand_in import digest_of

DATA = bytes(range(256)) * 1000
DIGEST = digest_of(DATA)


class Memory:
    """A source that serves `DATA`, and no more than `most` bytes at once."""

    def __init__(self, most: int = len(DATA)) -> None:
        self.most = most
        self.starts: list[int] = []

    @contextmanager
    def open(self, digest: str, start: int) -> Iterator[BlobStream]:
        assert digest == DIGEST
        self.starts.append(start)
        yield BlobStream(start, None, iter([DATA[start : start + self.most]]))


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path)


def run(source: Memory, blobs: BlobStore, cancelled: threading.Event | None = None) -> list[int]:
    counts: list[int] = []
    persistence = Persistence(cancelled or threading.Event(), first=0.001)
    fetch_blob(source, blobs, DIGEST, len(DATA), on_bytes=counts.append, persistence=persistence)
    assert blobs.path(DIGEST).read_bytes() == DATA
    assert not blobs.partial(DIGEST).exists()
    return counts


def test_a_blob_that_is_there_is_not_asked_for(blobs: BlobStore) -> None:
    blobs.put(DATA)
    source = Memory()
    assert run(source, blobs) == [len(DATA)]
    assert source.starts == []


def test_a_stream_that_ends_early_without_a_word_is_continued(blobs: BlobStore) -> None:
    source = Memory(most=100_000)
    assert run(source, blobs) == [0, 100_000, 200_000, 256_000]
    assert source.starts == [0, 100_000, 200_000]


def test_one_that_always_ends_at_once_is_given_up(blobs: BlobStore) -> None:
    source = Memory(most=0)
    with pytest.raises(RegistryError, match="the stream ended after 0 of 256000 bytes"):
        run(source, blobs)
    assert len(source.starts) == 5


def test_an_empty_blob_needs_no_source(blobs: BlobStore) -> None:
    persistence = Persistence(threading.Event())
    fetch_blob(Memory(), blobs, digest_of(b""), 0, on_bytes=lambda _: None, persistence=persistence)
    assert blobs.path(digest_of(b"")).read_bytes() == b""


def test_one_that_was_published_while_the_lock_was_taken(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fetch._try_lock

    def publish_first(file: object) -> bool:
        blobs.put(DATA)
        return lock(file)  # type: ignore[arg-type]  # whatever it is

    monkeypatch.setattr(fetch, "_try_lock", publish_first)
    source = Memory()
    assert run(source, blobs) == [len(DATA)]
    assert source.starts == []


def test_a_partial_that_was_deleted_while_the_lock_was_taken(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fetch._try_lock
    deletions = [blobs.partial(DIGEST)]

    def delete_first(file: object) -> bool:
        for path in deletions:
            path.unlink()
        deletions.clear()
        return lock(file)  # type: ignore[arg-type]  # whatever it is

    monkeypatch.setattr(fetch, "_try_lock", delete_first)
    source = Memory()
    run(source, blobs)
    assert source.starts == [0]


def test_who_waits_for_another_can_be_cancelled(blobs: BlobStore) -> None:
    partial = blobs.partial(DIGEST)
    partial.write_bytes(DATA[:1000])
    cancelled = threading.Event()
    with partial.open("r+b", buffering=0) as held:
        assert fetch._try_lock(held)
        counts: list[int] = []

        def count(present: int) -> None:
            counts.append(present)
            cancelled.set()

        with pytest.raises(StoppedError):
            fetch_blob(
                Memory(),
                blobs,
                DIGEST,
                len(DATA),
                on_bytes=count,
                persistence=Persistence(cancelled),
            )
    assert counts == [1000]
    assert partial.read_bytes() == DATA[:1000]


def test_a_partial_that_cannot_be_written_is_told(blobs: BlobStore) -> None:
    blobs.partial(DIGEST).mkdir()
    with pytest.raises(StoreError, match=r"cannot write .*Is a directory"):
        run(Memory(), blobs)
