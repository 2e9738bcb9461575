"""Several connections that fetch one blob together.

More connections are faster than one where each is throttled, as content servers do. How many pay is
found out while they run: there are 4 at first, and more as long as the whole becomes faster. A
source that says it is asked too often (429) gets half of them. One that hangs or crawls while the
others get on is given a new connection, and when nothing else is left they take over half of what
it has to do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from dmr_tui.store.transfer.grip import Grip
from dmr_tui.store.transfer.pace import Lane, Pace, Watch, latest
from dmr_tui.store.transfer.partial import Partial
from dmr_tui.store.transfer.pieces import Run
from dmr_tui.store.transfer.retry import Attempts, Persistence, TransientError

FIRST, MOST = 4, 8
"""Lanes of a blob at the start, and at most."""
ALL = 12
"""Lanes of a whole transfer at most."""

_MORE = 4  # lanes added at once
_GLANCE = 0.02  # seconds between looks at what has come
_ENDING = 1.0  # seconds for a stream to end after its last byte
_TOO_MANY = 429


@dataclass(frozen=True)
class BlobStream:
    """Bytes of a blob as they arrive.

    Attributes:
        start: offset of the first byte; 0 from a source that cannot begin elsewhere.
        stop: offset after the last one; None when the source does not say.
        total: bytes of the whole blob as the source says; None when it does not.
        chunks: the bytes; raises `TransientError` when they break off.
    """

    start: int
    stop: int | None
    total: int | None
    chunks: Iterator[bytes]


class BlobSource(Protocol):
    """Where blobs come from; for many threads."""

    def open(
        self, digest: str, start: int, stop: int | None, grip: Grip
    ) -> AbstractContextManager[BlobStream]:
        """Ask for bytes of a blob; it is the caller who tries again.

        Args:
            digest: names the blob.
            start: offset of the first byte.
            stop: offset after the last one; None: to the end.
            grip: is given the connection while it serves this request; broken off, it raises
                `TransientError`.

        Raises:
            TransientError: the source cannot answer just now.
            RegistryError: it does not have the blob.
        """
        ...


class Budget:
    """How many lanes the blobs of one transfer may have: servers count connections."""

    def __init__(self) -> None:
        """Nobody has any."""
        self._crews = 0
        self._lock = threading.Lock()

    @property
    def share(self) -> int:
        """Lanes for each blob at this moment."""
        return max(1, min(MOST, ALL // max(self._crews, 1)))

    @contextmanager
    def taking_part(self) -> Iterator[None]:
        """Be one of those that share."""
        with self._lock:
            self._crews += 1
        try:
            yield
        finally:
            with self._lock:
                self._crews -= 1


class Crew:
    """The lanes of one blob, led by the thread that hashes what they bring."""

    def __init__(
        self, source: BlobSource, partial: Partial, persistence: Persistence, budget: Budget
    ) -> None:
        self._budget = budget
        self._source = source
        self._partial = partial
        self._pieces = partial.pieces
        self._persistence = persistence
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._stopping = False
        self._rangeless = False
        self._bearable = MOST
        self._lanes: set[Lane] = set()
        self._watch = Watch()

    def work(self, on_bytes: Callable[[int], None]) -> None:
        """Fetch all that is missing, and hash it.

        Args:
            on_bytes: told how many bytes are there.

        Raises:
            RegistryError: a lane failed for good.
            StoreError: the disk is full or refuses.
            StoppedError: the transfer was cancelled.
        """
        pace, share = Pace(self._pieces.present()), self._budget.share
        with (
            self._budget.taking_part(),
            ThreadPoolExecutor(MOST, thread_name_prefix="fetch") as pool,
        ):
            lanes: list[Future[None]] = []
            try:
                while self._partial.hashed < self._partial.size:
                    lanes = _running(lanes) or self._start(pool, FIRST)
                    moved = self._partial.follow(self._persistence)
                    self._persistence.check()
                    present = self._pieces.present()
                    on_bytes(present)
                    if self._budget.share > share:
                        pace = Pace(present)  # another blob is done: more lanes may pay again
                    share = self._budget.share
                    if pace.pays(present):
                        lanes += self._start(pool, _MORE)
                    if self._watch.is_due():
                        lanes += self._hasten(pool, present)
                    if not moved:
                        self._woken.wait(_GLANCE)
                        self._woken.clear()
                wait(lanes, _ENDING)
            finally:
                self._stopping = True
                with self._lock:
                    for lane in self._lanes:
                        lane.grip.break_off()

    @property
    def _most(self) -> int:
        """Lanes that there may be now."""
        return min(self._bearable, self._budget.share)

    def _start(self, pool: ThreadPoolExecutor, count: int) -> list[Future[None]]:
        """Send more lanes off, as many as there is work for."""
        lanes: list[Future[None]] = []
        for _ in range(count):
            with self._lock:
                run = self._claim()
                if run is None:
                    break
                lane = Lane(run)
                self._lanes.add(lane)
            lanes.append(pool.submit(self._work, lane))
        return lanes

    def _hasten(self, pool: ThreadPoolExecutor, present: int) -> list[Future[None]]:
        """Do something about lanes that hold the others up; returns those that were sent off."""
        with self._lock:
            for lane in self._watch.laggards(self._lanes, present):
                lane.restart()
            last = latest(self._lanes, time.monotonic())
            idle = len(self._lanes) < min(FIRST, self._most)
        return self._start(pool, 1) if last is not None and idle else []

    def _claim(self) -> Run | None:
        """The next run for one lane more; to be called with the lock."""
        if len(self._lanes) >= self._most or self._stopping:
            return None
        if self._rangeless:
            return None if self._lanes else self._pieces.claim_rest()
        run = self._pieces.claim(self._most)
        if run is None and (last := latest(self._lanes, time.monotonic())) is not None:
            return self._pieces.split(last.run)
        return run

    def _work(self, lane: Lane) -> None:
        attempts = self._persistence.begin(lambda: self._stopping)
        try:
            while True:
                whole = self._fetch(lane, attempts)
                with self._lock:
                    self._lanes.discard(lane)
                    if not whole:
                        self._pieces.release(lane.run)
                    run = self._claim() if whole else None
                    if run is None:
                        return
                    self._watch.finished.append(lane.take(run))
                    self._lanes.add(lane)
        finally:
            with self._lock:
                self._lanes.discard(lane)
            self._woken.set()

    def _fetch(self, lane: Lane, attempts: Attempts) -> bool:
        """Fetch a run, however often it breaks off; False when others are to do it."""
        run = lane.run
        while run.left > 0:
            self._persistence.check()
            stop = run.stop if run.stop < self._partial.size else None
            try:
                with self._source.open(
                    self._partial.wanted, run.position, stop, lane.grip
                ) as stream:
                    if not self._receive(lane, stream, attempts):
                        return False
                if run.left > 0:
                    raise TransientError(
                        f"the stream ended after {run.position} of {run.stop} bytes"
                    )
            except TransientError as error:
                if self._stopping or (error.status == _TOO_MANY and self._is_surplus()):
                    return False
                if lane.restarted:
                    lane.restarted = False
                    continue
                try:
                    attempts.failed(error)
                except TransientError:
                    if len(self._lanes) == 1:
                        raise
                    return False  # others may get on: the source bears fewer connections
        return True

    def _receive(self, lane: Lane, stream: BlobStream, attempts: Attempts) -> bool:
        """Write what comes of a run; False when the source sends what was not asked for."""
        run, size = lane.run, self._partial.size
        if stream.total not in (None, size):
            raise TransientError(f"the source offers {stream.total} bytes for a blob of {size}")
        asked = (stream.stop or size) <= run.stop or run.shortened
        if not run.alone and (stream.start != run.position or not asked):
            self._rangeless = True
            return False
        position = stream.start
        for chunk in stream.chunks:
            end = position + len(chunk)
            if end > run.stop:
                if not run.shortened:
                    raise TransientError(
                        f"the source sent more than the {run.stop} bytes of the blob"
                    )
                chunk = chunk[: max(run.stop - position, 0)]
            # What is there is never written again: it may be in the hash already.
            if end > run.position:
                fresh = chunk[run.position - position :] if position < run.position else chunk
                self._partial.write(fresh, position + len(chunk) - len(fresh))
                run.position = min(end, run.stop)
                lane.bring(len(fresh))
                attempts.progressed()
            position = end
            if self._stopping:
                return False
            if run.shortened and run.left <= 0:
                break  # the rest comes to another lane
        return True

    def _is_surplus(self) -> bool:
        """Whether this lane is one too many, now that the source is asked too often."""
        with self._lock:
            self._bearable = max(1, min(self._most, len(self._lanes) // 2))
            return len(self._lanes) > self._most


def _running(lanes: list[Future[None]]) -> list[Future[None]]:
    """Those that have not ended; raises what ended one."""
    for lane in lanes:
        if lane.done():
            lane.result()
    return [lane for lane in lanes if not lane.done()]
