"""An unfinished blob on the disk: written anywhere, hashed in order, published when it is right."""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from pathlib import Path

from dmr_tui.errors import StoreError
from dmr_tui.store import durable
from dmr_tui.store.blobs import BlobStore
from dmr_tui.store.transfer.pieces import CELL, PieceMap
from dmr_tui.store.transfer.retry import Persistence

_BUFFER = 512 << 10  # bytes hashed at once: few enough to stay in the processor's cache
_STRIDE = 8 << 20  # bytes hashed between looks at everything else
_SYNC = 1 << 30  # bytes after which the beginning is synced
_FLUSH = 32 << 20  # bytes after which they are sent on their way to the disk
_RESTING = 60.0  # seconds after which nobody seems to write to a file any more


def counters_of(partial: Path) -> Path:
    """The file of an unfinished blob's counters."""
    return partial.with_suffix(".map")


def occupied(partial: Path) -> int:
    """Bytes of the disk that an unfinished blob has reserved already."""
    try:
        status = partial.stat()
    except FileNotFoundError:
        return 0
    return max(status.st_size if status.st_size < CELL else 0, status.st_blocks * 512)


def adopt(blobs: BlobStore, digest: str, size: int) -> None:
    """Take over what Docker Model Runner left of a blob: a plain beginning of it.

    One that has changed within the last minute is left alone: it may still be written.
    """
    theirs = blobs.path(digest)
    theirs = theirs.with_name(f"{theirs.name}.incomplete")
    ours = blobs.partial(digest)
    with durable.reporting(f"take over {theirs}"):
        try:
            status = theirs.stat()
        except FileNotFoundError:
            return
        resting = not 0 <= time.time() - status.st_mtime < _RESTING
        if resting and status.st_size <= size and not ours.exists():
            os.replace(theirs, ours)


class Partial:
    """The file of an unfinished blob, its counters, and the running hash over its beginning.

    A blob of one cell is a plain beginning of itself and needs no counters.
    """

    def __init__(self, file: FileIO, path: Path, digest: str, size: int) -> None:
        self.path = path
        self.size = size
        self.wanted = digest
        self.hashed = 0
        """Bytes from the beginning that are in the hash."""
        self.pieces = PieceMap(size, counters_of(path) if size > CELL else None)
        self._file = file.fileno()
        self._algorithm = digest.partition(":")[0]
        self._hash = hashlib.new(self._algorithm)
        self._synced = self._flushed = 0
        self._syncing: Future[None] | None = None
        self._syncer = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._buffer = memoryview(bytearray(_BUFFER))

    @property
    def digest(self) -> str:
        """Of the bytes that are in the hash."""
        return f"{self._algorithm}:{self._hash.hexdigest()}"

    @property
    def right(self) -> bool:
        """Whether the hash is that of the blob."""
        return self.digest == self.wanted

    def resume(self) -> bool:
        """Find out what earlier processes left, and reserve the rest; False: they left nothing.

        Raises:
            StoreError: the disk is full or refuses.
        """
        with durable.reporting(f"write {self.path}"):
            length = os.fstat(self._file).st_size
            counted = self.pieces.resume()
            if length != self.size or not counted:
                prefix = length if length <= self.size else 0
                if counted:  # What follows is room that was being reserved.
                    prefix = min(prefix, self.pieces.frontier())
                os.ftruncate(self._file, prefix)
                self.pieces.begin(prefix)
            self._reserve()
        return self.pieces.present() > 0

    def restart(self) -> None:
        """Forget all bytes."""
        self.settle()
        with durable.reporting(f"write {self.path}"):
            if self.size <= CELL:
                os.ftruncate(self._file, 0)
            self.pieces.begin()
        self._hash = hashlib.new(self._algorithm)
        self.hashed = self._synced = self._flushed = 0

    def write(self, data: bytes, offset: int) -> None:
        """Put bytes where they belong; for many threads."""
        try:
            written = os.pwrite(self._file, data, offset)
            while written < len(data):
                written += os.pwrite(self._file, data[written:], offset + written)
        except OSError as error:
            raise StoreError(
                f"cannot write {self.path}: {error.strerror}",
                "check the folder's permissions and free space; the next pull goes on from here",
            ) from error
        self.pieces.wrote(offset, offset + len(data))

    def follow(self, persistence: Persistence) -> bool:
        """Hash some of what has come since the last call; False when there is nothing new."""
        stop = min(self.pieces.frontier(), self.hashed + _STRIDE)
        if stop == self.hashed:
            return False
        with durable.reporting(f"read {self.path}"):
            while self.hashed < stop:
                persistence.check()
                room = self._buffer[: min(_BUFFER, stop - self.hashed)]
                count = os.preadv(self._file, [room], self.hashed)
                if count == 0:
                    raise StoreError(f"{self.path} was cut off while it was written")
                self._hash.update(room[:count])
                self.hashed += count
            if self.hashed - self._flushed >= _FLUSH:
                durable.flush(self._file, self._flushed, self.hashed - self._flushed)
                self._flushed = self.hashed
            if self.hashed - self._synced >= _SYNC:
                self._sync()
        return True

    def settle(self) -> None:
        """Wait for what is on its way to the disk, before the blob is published.

        Raises:
            StoreError: the disk did not take it. It tells that only once, so nobody else may ask.
        """
        with durable.reporting(f"write {self.path}"):
            if self._syncing is not None:
                self._syncing.result()

    def close(self) -> None:
        """Let go of the counters, which stay, once nobody writes any more."""
        self._syncer.shutdown()
        self.pieces.close()

    def _sync(self) -> None:
        """Have the beginning reach the disk while the rest comes, and remember how much did.

        Nothing after it needs to come again after a power cut. Not more often: a process that is
        killed while it waits for the disk keeps its connections until that answers.
        """
        if self._syncing is not None:
            if not self._syncing.done():
                return
            self._syncing.result()
        self._synced = self.hashed
        self._syncing = self._syncer.submit(self._sync_now, self.hashed)

    def _sync_now(self, hashed: int) -> None:
        (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(self._file)
        self.pieces.synced(hashed)

    def remove(self) -> None:
        """Delete everything."""
        with durable.reporting(f"remove {self.path}"):
            self.path.unlink(missing_ok=True)
        self.pieces.remove()

    def _reserve(self) -> None:
        """Have the disk's room for the whole blob, so that it cannot run out on the way."""
        if self.size > CELL:
            durable.reserve(self._file, self.size)
