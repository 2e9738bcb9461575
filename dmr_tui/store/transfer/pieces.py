"""Which bytes of an unfinished blob are there: counters in a small file beside it.

A blob is divided into cells of 4 MiB, each filled from its beginning. The counters are mapped into
memory and shared, so that they survive a process that is killed at any moment: a counter is raised
when its bytes have been handed to the kernel. They do not survive the machine: after a crash of it
the counters may be on the disk while the bytes are not. So the file carries the id of the boot, and
after another one only the beginning that was synced counts.

The cells are what is counted; what is asked for at once is a `Run` of up to 8 of them.
"""

from __future__ import annotations

import mmap
import threading
from functools import cache
from pathlib import Path

from dmr_tui.store import durable

CELL = 4 << 20
"""Bytes of one counter's part of the blob."""
LARGEST_RUN = 32 << 20
"""Bytes asked for at once: each request costs a round trip."""

_MAGIC = b"dmrmap1\n"
_WORD = 8
_BOOT = slice(8, 56)  # bytes: the boot's id, padded
_SIZE, _DURABLE, _FIRST = 7, 8, 9  # words: the blob's size, its synced beginning, the counters


class Run:
    """Consecutive bytes that one lane fetches.

    Attributes:
        start: offset of its first byte.
        stop: offset after its last byte.
        position: offset of the next byte that is missing.
        alone: whether it is all that is missing, so that nobody else fetches.
        shortened: whether its end was given to another lane after it had been asked for.
    """

    def __init__(self, start: int, stop: int, *, alone: bool) -> None:
        self.start = start
        self.stop = stop
        self.position = start
        self.alone = alone
        self.shortened = False

    @property
    def left(self) -> int:
        """Bytes that are missing."""
        return self.stop - self.position


class PieceMap:
    """The counters of one blob, and who fetches what of it; for many threads."""

    def __init__(self, size: int, path: Path | None = None) -> None:
        """Nothing is there yet.

        Args:
            size: bytes of the blob.
            path: the file of the counters; None keeps them in memory.
        """
        self.size = size
        self._path = path
        self._cells = -(-size // CELL)
        self._store: mmap.mmap | bytearray = bytearray(self._length)
        self._words = memoryview(self._store).cast("Q")
        self._claimed = bytearray(self._cells)
        self._lock = threading.Lock()
        self._next = 0  # no cell before this one can be claimed
        self._frontier = 0  # all cells before this one are full

    @property
    def _length(self) -> int:
        return (_FIRST + self._cells) * _WORD

    def resume(self) -> bool:
        """Take up the counters of an earlier process; False when there are none for this blob."""
        if self._path is None or not _is_valid(self._path, self._length, self.size):
            return False
        self._map()
        if bytes(self._store[_BOOT]).rstrip(b"\0") != boot_id():
            synced = self._words[_DURABLE]
            for cell in range(self._cells):
                self._words[_FIRST + cell] = min(max(synced - cell * CELL, 0), CELL)
            self._store[_BOOT] = boot_id().ljust(48, b"\0")
        return True

    def begin(self, present: int = 0) -> None:
        """Count anew.

        Args:
            present: bytes that are there already, at the blob's beginning.
        """
        fresh = bytearray(self._length)
        fresh[: len(_MAGIC)] = _MAGIC
        fresh[_BOOT] = boot_id().ljust(48, b"\0")
        words = memoryview(fresh).cast("Q")
        words[_SIZE] = self.size
        for cell in range(-(-present // CELL)):
            words[_FIRST + cell] = min(present - cell * CELL, CELL)
        self._claimed = bytearray(self._cells)
        self._next = self._frontier = 0
        if self._path is None:
            self._hold(fresh)
        else:
            durable.write(self._path, bytes(fresh))
            self._map()

    def claim(self, lanes: int) -> Run | None:
        """Take the next bytes that are missing and that nobody fetches; None: there are none.

        Args:
            lanes: how many fetch at once. What is missing, with what they fetch just now, is
                divided among them, so that all are done at about the same time.
        """
        with self._lock:
            self._advance()
            first = self._next
            if first == self._cells:
                return None
            missing = self.size - self.present()
            most = min(max(round(missing / lanes / CELL), 1), LARGEST_RUN // CELL)
            last = first + 1
            while last < min(first + most, self._cells) and self._is_free(last):
                last += 1
            self._claimed[first:last] = b"\1" * (last - first)
            start = first * CELL + self._words[_FIRST + first]
            alone = last == self._cells and first == self._gap()
            return Run(start, min(last * CELL, self.size), alone=alone)

    def split(self, run: Run) -> Run | None:
        """Take the second half of what is missing of another lane's run; None: it is too little.

        The other lane may be writing meanwhile: its next bytes are far from what it loses.
        """
        with self._lock:
            middle = -(-(run.position + run.left // 2) // CELL) * CELL
            if run.left < 2 * CELL or middle >= run.stop:
                return None
            half = Run(middle, run.stop, alone=False)
            run.shortened = True
            run.stop = middle
            return half

    def claim_rest(self) -> Run:
        """Take all that is missing, for a source that cannot begin in the middle.

        What is there after the first gap is forgotten: it will come again. Nobody else may fetch.
        """
        with self._lock:
            start = self.frontier()
            first = start // CELL
            for cell in range(first + 1, self._cells):
                self._words[_FIRST + cell] = 0
            self._claimed[first:] = b"\1" * (self._cells - first)
            return Run(start, self.size, alone=True)

    def release(self, run: Run) -> None:
        """Let others fetch what is missing of a run."""
        with self._lock:
            first, last = run.start // CELL, -(-run.stop // CELL)
            self._claimed[first:last] = bytes(last - first)
            self._next = min(self._next, first)

    def wrote(self, start: int, stop: int) -> None:
        """Count bytes that have just been written; those before them in their cell are there."""
        while start < stop:
            cell = start // CELL
            end = min(stop, (cell + 1) * CELL)
            self._words[_FIRST + cell] = max(self._words[_FIRST + cell], end - cell * CELL)
            start = end

    def frontier(self) -> int:
        """How many bytes are there without a gap from the blob's beginning; for one thread."""
        while self._frontier < self._cells:
            count = self._words[_FIRST + self._frontier]
            if count < self._room(self._frontier):
                return self._frontier * CELL + count
            self._frontier += 1
        return self.size

    def present(self) -> int:
        """How many bytes are there, with and without gaps before them."""
        return sum(self._words[_FIRST:])

    def synced(self, offset: int) -> None:
        """Remember that all bytes before an offset have reached the disk."""
        self._words[_DURABLE] = offset

    def close(self) -> None:
        """Let go of the file, which stays."""
        self._hold(bytearray(self._length))

    def remove(self) -> None:
        """Let go of the file and remove it: the blob is finished, or given up."""
        self.close()
        if self._path is not None:
            with durable.reporting(f"remove {self._path}"):
                self._path.unlink(missing_ok=True)

    def _gap(self) -> int:
        """The first cell that is not full."""
        cells = range(self._cells)
        return next((c for c in cells if self._words[_FIRST + c] < self._room(c)), self._cells)

    def _advance(self) -> None:
        while self._next < self._cells and (
            self._claimed[self._next] or self._words[_FIRST + self._next] == self._room(self._next)
        ):
            self._next += 1

    def _is_free(self, cell: int) -> bool:
        return not self._claimed[cell] and self._words[_FIRST + cell] == 0

    def _room(self, cell: int) -> int:
        return min(CELL, self.size - cell * CELL)

    def _map(self) -> None:
        assert self._path is not None
        with durable.reporting(f"open {self._path}"), self._path.open("r+b") as file:
            self._hold(mmap.mmap(file.fileno(), self._length))

    def _hold(self, store: mmap.mmap | bytearray) -> None:
        self._words.release()
        if isinstance(self._store, mmap.mmap):
            self._store.close()
        self._store = store
        self._words = memoryview(store).cast("Q")


def present_bytes(partial: Path, counters: Path, size: int) -> int:
    """How many bytes of a blob that another process fetches are there.

    Raises:
        FileNotFoundError: it has just finished.
    """
    length = partial.stat().st_size
    try:
        data = counters.read_bytes()
    except FileNotFoundError:
        return min(length, size)
    if len(data) % _WORD or len(data) < _FIRST * _WORD:
        return min(length, size)
    return min(sum(memoryview(data).cast("Q")[_FIRST:]), length, size)


def _is_valid(path: Path, length: int, size: int) -> bool:
    with durable.reporting(f"read {path}"):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return False
    if len(data) != length or not data.startswith(_MAGIC):
        return False
    words = memoryview(data).cast("Q")
    return words[_SIZE] == size and all(count <= CELL for count in words[_FIRST:])


@cache
def boot_id() -> bytes:
    """What tells this run of the machine from the one before."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read().strip()
    except FileNotFoundError:
        import psutil  # Not at the top: only systems without /proc pay for it.

        return str(psutil.boot_time()).encode()
