"""One blob from a source in memory: the moments that no server can bring about."""

from __future__ import annotations

import errno
import itertools
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dmr_tui.errors import RegistryError, StoppedError, StoreError
from dmr_tui.store import durable
from dmr_tui.store.blobs import BlobStore
from dmr_tui.store.transfer import fetch, pieces
from dmr_tui.store.transfer import partial as partial_room
from dmr_tui.store.transfer.fetch import fetch_blob
from dmr_tui.store.transfer.grip import Grip, limit_queue
from dmr_tui.store.transfer.lanes import ALL, BlobStream
from dmr_tui.store.transfer.layers import Wanted, fetch_layers
from dmr_tui.store.transfer.pieces import CELL
from dmr_tui.store.transfer.retry import Persistence, TransientError
from tests.support.stand_in import digest_of

DATA = bytes(range(256)) * 1000
DIGEST = digest_of(DATA)


class Memory:
    """A source that serves `DATA`, and no more than `most` bytes at once."""

    def __init__(self, most: int = len(DATA)) -> None:
        self.most = most
        self.starts: list[int] = []

    @contextmanager
    def open(self, digest: str, start: int, stop: int | None, grip: Grip) -> Iterator[BlobStream]:
        assert digest == DIGEST
        self.starts.append(start)
        yield BlobStream(start, stop, None, iter([DATA[start : start + self.most]]))


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
    counts = run(source, blobs)
    assert set(counts) <= {0, 100_000, 200_000, 256_000}
    assert counts == sorted(counts)
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


class Slices:
    """A source of a large blob, that does to each request what a test says."""

    def __init__(self, data: bytes, behave: Callable[[Slices, int, int], BlobStream]) -> None:
        self.data = data
        self.digest = digest_of(data)
        self.behave = behave
        self.asked: list[tuple[int, int]] = []

    @contextmanager
    def open(self, digest: str, start: int, stop: int | None, grip: Grip) -> Iterator[BlobStream]:
        end = len(self.data) if stop is None else stop
        self.asked.append((start, end))
        yield self.behave(self, start, end)

    def part(self, start: int, stop: int) -> BlobStream:
        """A right answer."""
        pieces = [self.data[at : min(at + 100_000, stop)] for at in range(start, stop, 100_000)]
        return BlobStream(start, stop, len(self.data), iter(pieces))


LARGE = random.Random(3).randbytes(7 * CELL + 1234)


def get(source: Slices, blobs: BlobStore, told: list[str] | None = None) -> list[int]:
    counts: list[int] = []
    notes = [] if told is None else told
    persistence = Persistence(threading.Event(), notes.append, first=0.001)
    size = len(source.data)
    fetch_blob(source, blobs, source.digest, size, on_bytes=counts.append, persistence=persistence)
    assert blobs.path(source.digest).read_bytes() == source.data
    assert list(blobs.partial(source.digest).parent.iterdir()) == []
    return counts


def test_a_large_blob_is_asked_for_in_parts_and_each_byte_once(blobs: BlobStore) -> None:
    source = Slices(LARGE, Slices.part)
    counts = get(source, blobs)
    assert counts[-1] == len(LARGE)
    covered = sorted(source.asked)
    assert len(covered) >= 4
    assert covered[0][0] == 0
    assert covered[-1][1] == len(LARGE)
    assert all(one[1] == next_one[0] for one, next_one in itertools.pairwise(covered))


def test_a_source_without_parts_is_read_from_the_beginning_by_one_lane(blobs: BlobStore) -> None:
    def whole(source: Slices, start: int, stop: int) -> BlobStream:
        return source.part(0, len(source.data))

    source = Slices(LARGE, whole)
    get(source, blobs)
    assert source.asked[-1] == (0, len(LARGE))


def test_what_is_there_is_not_written_again_by_a_source_without_parts(blobs: BlobStore) -> None:
    """The hash of a beginning is known; bytes that come for it later must not replace it."""
    blobs.partial(digest_of(LARGE)).write_bytes(LARGE[: CELL + 5])

    def forged(source: Slices, start: int, stop: int) -> BlobStream:
        return BlobStream(0, None, len(LARGE), iter([bytes(CELL), LARGE[CELL:]]))

    get(Slices(LARGE, forged), blobs)


def test_lanes_are_halved_by_a_source_that_is_asked_too_often(blobs: BlobStore) -> None:
    lock, running = threading.Lock(), 0
    refusals: list[int] = []

    def busy(source: Slices, start: int, stop: int) -> BlobStream:
        nonlocal running
        with lock:
            running += 1
            if running > 1:
                refusals.append(start)
                running -= 1
                raise TransientError("answered 429", status=429)
        stream = source.part(start, stop)

        def chunks() -> Iterator[bytes]:
            nonlocal running
            yield from stream.chunks
            with lock:
                running -= 1

        return BlobStream(start, stop, stream.total, chunks())

    source = Slices(LARGE, busy)
    told: list[str] = []
    get(source, blobs, told)
    assert refusals


def test_one_lane_that_fails_for_good_ends_all(blobs: BlobStore) -> None:
    def refuse(source: Slices, start: int, stop: int) -> BlobStream:
        if start:
            raise RegistryError("no such blob")
        return source.part(start, stop)

    source = Slices(LARGE, refuse)
    with pytest.raises(RegistryError, match="no such blob"):
        get(source, blobs)
    assert not blobs.has(source.digest)


@pytest.mark.parametrize("same_boot", [True, False], ids=["killed", "power cut"])
def test_after_a_power_cut_only_what_was_synced_counts(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch, same_boot: bool
) -> None:
    class Cut(Exception):
        """Stands for the end of a process."""

    def die(source: Slices, start: int, stop: int) -> BlobStream:
        def chunks() -> Iterator[bytes]:
            yield source.data[start : start + 1000]
            raise Cut

        return BlobStream(start, stop, len(source.data), chunks())

    monkeypatch.setattr(partial_room, "_SYNC", 500)
    with pytest.raises(Cut):
        get(Slices(LARGE, die), blobs)
    if not same_boot:
        monkeypatch.setattr(pieces, "boot_id", lambda: b"another")
    source = Slices(LARGE, Slices.part)
    counts = get(source, blobs)
    assert counts[0] >= 1000
    assert (sum(stop - start for start, stop in source.asked) > len(LARGE) - 4000) is not same_boot


@pytest.mark.parametrize("damage", [b"", b"dmrmap1\n", bytes(200)], ids=["empty", "short", "zero"])
def test_damaged_counters_cost_no_more_than_the_bytes(blobs: BlobStore, damage: bytes) -> None:
    path = blobs.partial(digest_of(LARGE))
    path.write_bytes(bytes(len(LARGE)))
    path.with_suffix(".map").write_bytes(damage)
    get(Slices(LARGE, Slices.part), blobs)


def test_counters_without_their_file_are_not_believed(blobs: BlobStore) -> None:
    counters = blobs.partial(digest_of(LARGE)).with_suffix(".map")
    left = pieces.PieceMap(len(LARGE), counters)
    left.begin(len(LARGE))
    left.close()
    get(Slices(LARGE, Slices.part), blobs)


@pytest.mark.parametrize(
    ("length", "age", "kept"),
    [(2 * CELL, 3600, 2 * CELL), (0, 3600, 0), (2 * CELL, 0, 0), (len(LARGE) + 1, 3600, 0)],
    ids=["left", "empty", "being written", "too long"],
)
def test_what_docker_model_runner_left_is_taken_over(
    blobs: BlobStore, length: int, age: int, kept: int
) -> None:
    theirs = blobs.path(digest_of(LARGE))
    theirs.parent.mkdir(parents=True)
    theirs = theirs.with_name(theirs.name + ".incomplete")
    theirs.write_bytes((LARGE + b"!")[:length])
    moment = time.time() - age
    os.utime(theirs, (moment, moment))
    source = Slices(LARGE, Slices.part)
    get(source, blobs)
    assert sum(stop - start for start, stop in source.asked) == len(LARGE) - kept


def test_the_room_on_the_disk_is_reserved_at_once(blobs: BlobStore) -> None:
    seen: list[int] = []

    def look(source: Slices, start: int, stop: int) -> BlobStream:
        seen.append(blobs.partial(source.digest).stat().st_blocks * 512)
        return source.part(start, stop)

    get(Slices(LARGE, look), blobs)
    assert min(seen) >= len(LARGE)


@pytest.mark.parametrize("kept", [0, 2 * CELL])
def test_room_whose_reservation_was_cut_off_is_not_taken_for_bytes(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    def fill_up(file: int, size: int) -> None:
        os.ftruncate(file, 5 * CELL)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = blobs.partial(digest_of(LARGE))
    path.write_bytes(LARGE[:kept])
    source = Slices(LARGE, Slices.part)
    with monkeypatch.context() as full:
        full.setattr(durable, "reserve", fill_up)
        with pytest.raises(StoreError, match="No space left"):
            get(source, blobs)
    assert path.stat().st_size == 5 * CELL
    assert fetch.present(blobs, source.digest, len(LARGE)) == kept
    assert get(source, blobs)[0] == kept
    assert sum(stop - start for start, stop in source.asked) == len(LARGE) - kept


@pytest.mark.parametrize("size", [200 << 20, 1 << 30, (1 << 30) + 5])
def test_lanes_of_one_speed_are_done_at_about_the_same_time(size: int) -> None:
    counters = pieces.PieceMap(size)
    counters.begin()
    # Eight lanes that begin one after another; a byte takes a unit of time, and who is done first
    # takes the next run.
    work: list[tuple[int, pieces.Run]] = []
    free = [lane * CELL for lane in range(8)]
    while True:
        now = min(free)
        for begun, run in work:
            if now > begun:
                counters.wrote(run.start, min(run.start + now - begun, run.stop))
        following = counters.claim(8)
        if following is None:
            break
        assert following.left <= pieces.LARGEST_RUN
        work.append((now, following))
        free[free.index(now)] = now + following.left
    last = sorted(begun + run.left for begun, run in work)[-8:]
    assert last[-1] - last[0] <= 3 * CELL
    assert len(work) <= size / pieces.LARGEST_RUN + 16


def test_little_waits_in_a_connection_to_a_near_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        with client:
            before = client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            limit_queue(client)
            assert client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 256 << 10  # it doubles
            assert before != 256 << 10


def layers_of(count: int) -> dict[str, bytes]:
    parts = [random.Random(number).randbytes(CELL + 10 * number) for number in range(count)]
    return {digest_of(part): part for part in parts}


def test_several_blobs_share_a_budget_of_lanes(blobs: BlobStore) -> None:
    parts = layers_of(5)
    lock, lanes, most = threading.Lock(), 0, 0

    class Many:
        @contextmanager
        def open(
            self, digest: str, start: int, stop: int | None, grip: Grip
        ) -> Iterator[BlobStream]:
            nonlocal lanes, most
            with lock:
                lanes += 1
                most = max(most, lanes)
            time.sleep(0.01)
            data = parts[digest]
            end = len(data) if stop is None else stop
            yield BlobStream(start, end, len(data), iter([data[start:end]]))
            with lock:
                lanes -= 1

    wanted = [Wanted(digest, len(part), lambda _: None) for digest, part in parts.items()]
    fetch_layers(Many(), blobs, wanted, Persistence(threading.Event()))
    assert all(blobs.path(digest).read_bytes() == part for digest, part in parts.items())
    assert 1 < most <= ALL


def test_a_blob_that_fails_ends_the_others_which_keep_what_they_have(blobs: BlobStore) -> None:
    parts = layers_of(3)
    bad, *good = parts
    started = threading.Barrier(3)

    class Failing:
        @contextmanager
        def open(
            self, digest: str, start: int, stop: int | None, grip: Grip
        ) -> Iterator[BlobStream]:
            if start == 0:
                started.wait(10)
            if digest == bad:
                raise RegistryError("gone")
            data = parts[digest]

            def slowly() -> Iterator[bytes]:
                yield data[start : start + 1000]
                time.sleep(0.5)
                raise TransientError("broken")

            yield BlobStream(start, stop, len(data), slowly())

    wanted = [Wanted(digest, len(part), lambda _: None) for digest, part in parts.items()]
    with pytest.raises(RegistryError, match="gone"):
        fetch_layers(Failing(), blobs, wanted, Persistence(threading.Event(), first=60))
    assert all(blobs.partial(digest).exists() for digest in good)
    assert not any(blobs.has(digest) for digest in parts)
