"""One blob from a source into the store: streamed, resumed, verified, published.

The unfinished blob is a plain prefix of the finished one, in `BlobStore.partial`. Whoever writes it
holds an exclusive `flock` on it, which the kernel releases when the process dies; others that want
the same blob wait, and find it finished. A prefix left by an earlier process is hashed again, since
nothing says that all of it reached the disk.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol

from dmr_tui.errors import RegistryError
from dmr_tui.store import durable
from dmr_tui.store.blobs import BlobStore
from dmr_tui.store.transfer.retry import Persistence, TransientError

_BUFFER = 1 << 20  # bytes read at once
_LOOK = 0.1  # seconds between looks at a blob that another process is fetching


@dataclass(frozen=True)
class BlobStream:
    """The rest of a blob as it arrives.

    Attributes:
        start: offset of the first byte; 0 from a source that cannot begin elsewhere.
        total: bytes of the whole blob as the source says; None when it does not.
        chunks: the bytes; raises `TransientError` when they break off.
    """

    start: int
    total: int | None
    chunks: Iterator[bytes]


class BlobSource(Protocol):
    """Where blobs come from."""

    def open(self, digest: str, start: int) -> AbstractContextManager[BlobStream]:
        """Ask for a blob from an offset on; it is the caller who tries again.

        Raises:
            TransientError: the source cannot answer just now.
            RegistryError: it does not have the blob.
        """
        ...


def fetch_blob(
    source: BlobSource,
    blobs: BlobStore,
    digest: str,
    size: int,
    *,
    on_bytes: Callable[[int], None],
    persistence: Persistence,
) -> None:
    """Have a blob in the store, fetching what of it is missing.

    Args:
        source: where it comes from.
        blobs: where it goes.
        digest: names it, and is what its bytes are held against.
        size: bytes it must have.
        on_bytes: told how many bytes of it are there; also while another process fetches it, and
            fewer than before when the source makes it begin anew.
        persistence: how often a broken stream is continued, and what stops it. A blob that is
            stopped keeps what has come.

    Raises:
        RegistryError: the source fails for good, or sends other bytes; those are deleted.
        StoreError: the disk is full or refuses.
        StoppedError: the transfer was cancelled.
    """
    with _locked(blobs, digest, size, on_bytes, persistence) as file:
        if file is None:
            on_bytes(size)
            return
        partial = _Partial(file, blobs.partial(digest), digest)
        resumed = partial.resume(persistence)
        on_bytes(partial.length)
        blobs.require_space(size - partial.length, f"fetch {digest[:19]}")
        _download(source, partial, size, on_bytes, persistence)
        if resumed and not partial.right:
            # What the earlier process left was bad, e.g. after a power cut.
            partial.restart()
            _download(source, partial, size, on_bytes, persistence)
        if not partial.right:
            partial.path.unlink()
            raise RegistryError(
                f"the bytes received for {digest} are not those: their digest is {partial.digest}",
                "they were deleted; try again, and if it stays so tell the model's publisher",
            )
        blobs.publish(partial.path, digest)


class _Partial:
    """A blob's present prefix, and the running hash over it."""

    def __init__(self, file: FileIO, path: Path, digest: str) -> None:
        self.path = path
        self.length = 0
        self._file = file
        self.wanted = digest
        self._algorithm = digest.partition(":")[0]
        self._hash = hashlib.new(self._algorithm)

    @property
    def digest(self) -> str:
        """Of the bytes present."""
        return f"{self._algorithm}:{self._hash.hexdigest()}"

    @property
    def right(self) -> bool:
        """Whether the bytes present are the blob."""
        return self.digest == self.wanted

    def resume(self, persistence: Persistence) -> bool:
        """Hash what an earlier process left; False if that is nothing."""
        with durable.reporting(f"read {self.path}"):
            while chunk := self._file.read(_BUFFER):
                persistence.check()
                self._hash.update(chunk)
                self.length += len(chunk)
        return self.length > 0

    def restart(self) -> None:
        """Forget all bytes."""
        with durable.reporting(f"write {self.path}"):
            self._file.seek(0)
            self._file.truncate()
        self._hash = hashlib.new(self._algorithm)
        self.length = 0

    def write(self, chunk: bytes) -> None:
        """Append."""
        with durable.reporting(f"write {self.path}"):
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._file.write(rest) :]
        self._hash.update(chunk)
        self.length += len(chunk)


def _download(
    source: BlobSource,
    partial: _Partial,
    size: int,
    on_bytes: Callable[[int], None],
    persistence: Persistence,
) -> None:
    """Append until the blob has its size, continuing where a stream breaks off."""
    attempts = persistence.begin()
    furthest = partial.length
    while partial.length < size:
        persistence.check()
        try:
            with source.open(partial.wanted, partial.length) as stream:
                if stream.total not in (None, size):
                    raise TransientError(
                        f"the source offers {stream.total} bytes for a blob of {size}"
                    )
                if stream.start != partial.length:
                    partial.restart()
                for chunk in stream.chunks:
                    if partial.length + len(chunk) > size:
                        raise TransientError(
                            f"the source sent more than the {size} bytes of the blob"
                        )
                    partial.write(chunk)
                    on_bytes(partial.length)
                    if partial.length > furthest:
                        furthest = partial.length
                        attempts.progressed()
            if partial.length < size:
                raise TransientError(f"the stream ended after {partial.length} of {size} bytes")
        except TransientError as error:
            attempts.failed(error)


@contextmanager
def _locked(
    blobs: BlobStore,
    digest: str,
    size: int,
    on_bytes: Callable[[int], None],
    persistence: Persistence,
) -> Iterator[FileIO | None]:
    """The partial, exclusively; None once the blob is in the store.

    While another process holds it, its length is passed on as progress.
    """
    path = blobs.partial(digest)
    while not blobs.has(digest, size):
        with durable.reporting(f"write {path}"):
            file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        with file:
            if not _try_lock(file):
                on_bytes(min(os.fstat(file.fileno()).st_size, size))
                persistence.cancelled.wait(_LOOK)
                persistence.check()
            elif _is(file, path):
                if not blobs.has(digest, size):
                    yield file
                    return
                path.unlink()  # made anew after the holder of the last one had published it
            # Else its holder has just published or deleted it.
    yield None


def _try_lock(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is(file: FileIO, path: Path) -> bool:
    """Whether the open file still is the one of that name."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
