"""Several connections that fetch one blob together.

More connections are faster than one where each is throttled, as content servers do. How many pay is
found out while they run: there are 4 at first, and more as long as the whole becomes faster. A
source that says it is asked too often (429) gets half of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from dmr_tui.store.transfer.partial import Partial
from dmr_tui.store.transfer.pieces import Run
from dmr_tui.store.transfer.retry import Attempts, Persistence, TransientError

FIRST, MOST = 4, 8
"""Lanes at the start, and at most."""

_MORE = 2  # lanes added at once
_WINDOW = 0.2  # seconds over which the speed is measured
_PAYS = 1.1  # times as fast it must be
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

    def open(self, digest: str, start: int, stop: int | None) -> AbstractContextManager[BlobStream]:
        """Ask for bytes of a blob; it is the caller who tries again.

        Args:
            digest: names the blob.
            start: offset of the first byte.
            stop: offset after the last one; None: to the end.

        Raises:
            TransientError: the source cannot answer just now.
            RegistryError: it does not have the blob.
        """
        ...

    def hang_up(self) -> None:
        """End all answers that are being read: they raise `TransientError`."""
        ...


class Crew:
    """The lanes of one blob, led by the thread that hashes what they bring."""

    def __init__(self, source: BlobSource, partial: Partial, persistence: Persistence) -> None:
        self._source = source
        self._partial = partial
        self._pieces = partial.pieces
        self._persistence = persistence
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._stopping = False
        self._rangeless = False
        self._most = MOST
        self._active = 0

    def work(self, on_bytes: Callable[[int], None]) -> None:
        """Fetch all that is missing, and hash it.

        Args:
            on_bytes: told how many bytes are there.

        Raises:
            RegistryError: a lane failed for good.
            StoreError: the disk is full or refuses.
            StoppedError: the transfer was cancelled.
        """
        pace = _Pace(self._pieces.present())
        with ThreadPoolExecutor(MOST, thread_name_prefix="fetch") as pool:
            lanes: list[Future[None]] = []
            try:
                while self._partial.hashed < self._partial.size:
                    lanes = _running(lanes) or self._start(pool, FIRST)
                    moved = self._partial.follow(self._persistence)
                    present = self._pieces.present()
                    on_bytes(present)
                    if pace.pays(present):
                        lanes += self._start(pool, _MORE)
                    if not moved:
                        self._woken.wait(_GLANCE)
                        self._woken.clear()
                wait(lanes, _ENDING)
            finally:
                self._stopping = True
                if not all(lane.done() for lane in lanes):
                    self._source.hang_up()

    def _start(self, pool: ThreadPoolExecutor, count: int) -> list[Future[None]]:
        """Send more lanes off, as many as there is work for."""
        lanes: list[Future[None]] = []
        for _ in range(count):
            with self._lock:
                run = self._claim()
                if run is None:
                    break
                self._active += 1
            lanes.append(pool.submit(self._lane, run))
        return lanes

    def _claim(self) -> Run | None:
        """The next run for one lane more; to be called with the lock."""
        if self._active >= self._most or self._stopping:
            return None
        if self._rangeless:
            return None if self._active else self._pieces.claim_rest()
        return self._pieces.claim(min(max(FIRST, self._active + 1), self._most))

    def _lane(self, run: Run | None) -> None:
        attempts = self._persistence.begin()
        try:
            while run is not None:
                whole = self._fetch(run, attempts)
                with self._lock:
                    self._active -= 1
                    if not whole:
                        self._pieces.release(run)
                    run = self._claim() if whole else None
                    self._active += run is not None
        except BaseException:
            with self._lock:
                self._active -= 1
            raise
        finally:
            self._woken.set()

    def _fetch(self, run: Run, attempts: Attempts) -> bool:
        """Fetch a run, however often it breaks off; False when others are to do it."""
        before = self._pieces.present()
        while run.position < run.stop:
            self._persistence.check()
            stop = run.stop if run.stop < self._partial.size else None
            try:
                with self._source.open(self._partial.wanted, run.position, stop) as stream:
                    if not self._receive(run, stream, attempts):
                        return False
                if run.position < run.stop:
                    raise TransientError(
                        f"the stream ended after {run.position} of {run.stop} bytes"
                    )
            except TransientError as error:
                if self._stopping or (error.status == _TOO_MANY and self._is_surplus()):
                    return False
                try:
                    attempts.failed(error)
                except TransientError:
                    if self._active == 1 or self._pieces.present() == before:
                        raise
                    return False  # others get on: the source bears fewer connections
        return True

    def _receive(self, run: Run, stream: BlobStream, attempts: Attempts) -> bool:
        """Write what comes of a run; False when the source sends what was not asked for."""
        size = self._partial.size
        if stream.total not in (None, size):
            raise TransientError(f"the source offers {stream.total} bytes for a blob of {size}")
        if not run.alone and (stream.start != run.position or (stream.stop or size) > run.stop):
            self._rangeless = True
            return False
        position = stream.start
        for chunk in stream.chunks:
            end = position + len(chunk)
            if end > run.stop:
                raise TransientError(f"the source sent more than the {run.stop} bytes of the blob")
            # What is there is never written again: it may be in the hash already.
            if end > run.position:
                fresh = chunk[run.position - position :] if position < run.position else chunk
                self._partial.write(fresh, end - len(fresh))
                run.position = end
                attempts.progressed()
            position = end
            if self._stopping:
                return False
        return True

    def _is_surplus(self) -> bool:
        """Whether this lane is one too many, now that the source is asked too often."""
        with self._lock:
            self._most = max(1, min(self._most, self._active // 2))
            return self._active > self._most


class _Pace:
    """Whether more lanes have made the whole faster."""

    def __init__(self, present: int) -> None:
        self._present = present
        self._since = time.monotonic()
        self._best = 0.0
        self._rising = True

    def pays(self, present: int) -> bool:
        """Whether to add lanes now, having so many bytes."""
        now = time.monotonic()
        seconds = now - self._since
        if not self._rising or seconds < _WINDOW or present == self._present:
            return False
        speed = (present - self._present) / seconds
        self._rising = speed > _PAYS * self._best
        self._best, self._present, self._since = speed, present, now
        return self._rising


def _running(lanes: list[Future[None]]) -> list[Future[None]]:
    """Those that have not ended; raises what ended one."""
    for lane in lanes:
        if lane.done():
            lane.result()
    return [lane for lane in lanes if not lane.done()]
