"""One blob from a source into the store: over several connections, resumed, verified, published.

The unfinished blob is in `BlobStore.partial`, with counters of what is there beside it. Whoever
writes it holds an exclusive `flock` on it, which the kernel releases when the process dies; others
that want the same blob wait, and find it finished. What an earlier process left is hashed again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from dmr_tui.errors import RegistryError
from dmr_tui.store import durable
from dmr_tui.store.blobs import BlobStore
from dmr_tui.store.transfer.lanes import BlobSource, Budget, Crew
from dmr_tui.store.transfer.partial import Partial, adopt, counters_of, occupied
from dmr_tui.store.transfer.pieces import present_bytes
from dmr_tui.store.transfer.retry import Persistence

_LOOK = 0.1  # seconds between looks at a blob that another process is fetching


def fetch_blob(
    source: BlobSource,
    blobs: BlobStore,
    digest: str,
    size: int,
    *,
    on_bytes: Callable[[int], None],
    persistence: Persistence,
    budget: Budget | None = None,
) -> None:
    """Have a blob in the store, fetching what of it is missing.

    Args:
        source: where it comes from.
        blobs: where it goes.
        digest: names it, and is what its bytes are held against.
        size: bytes it must have.
        on_bytes: told how many bytes of it are there; also while another process fetches it, and
            fewer than before when it is begun anew.
        persistence: how often a broken stream is continued, and what stops it. A blob that is
            stopped keeps what has come.
        budget: shared with other blobs of the same transfer.

    Raises:
        RegistryError: the source fails for good, or sends other bytes; those are deleted.
        StoreError: the disk is full or refuses.
        StoppedError: the transfer was cancelled.
    """
    with _locked(blobs, digest, size, on_bytes, persistence) as file:
        if file is None:
            on_bytes(size)
            return
        path = blobs.partial(digest)
        blobs.require_space(size - occupied(path), f"fetch {digest[:19]}")
        partial = Partial(file, path, digest, size)
        budget = budget or Budget()
        try:
            resumed = partial.resume()
            on_bytes(partial.pieces.present())
            Crew(source, partial, persistence, budget).work(on_bytes)
            if resumed and not partial.right:
                # What the earlier process left was bad, e.g. after a power cut.
                partial.restart()
                Crew(source, partial, persistence, budget).work(on_bytes)
            on_bytes(size)
            if not partial.right:
                partial.remove()
                raise RegistryError(
                    f"the bytes received for {digest} are not those: "
                    f"their digest is {partial.digest}",
                    "they were deleted; try again, and if it stays so tell the model's publisher",
                )
            partial.settle()
            blobs.publish(path, digest)
            partial.pieces.remove()
        finally:
            partial.close()


def present(blobs: BlobStore, digest: str, size: int) -> int:
    """How many bytes of a blob are there before it is fetched."""
    if blobs.has(digest, size):
        return size
    path = blobs.partial(digest)
    try:
        return present_bytes(path, counters_of(path), size)
    except FileNotFoundError:
        return 0


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
    adopt(blobs, digest, size)
    while not blobs.has(digest, size):
        with durable.reporting(f"write {path}"):
            file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        with file:
            if not _try_lock(file):
                on_bytes(_present(path, size))
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


def _present(path: Path, size: int) -> int:
    """How much of a blob another process has; all of it when it has just finished."""
    try:
        return present_bytes(path, counters_of(path), size)
    except FileNotFoundError:
        return size


def _is(file: FileIO, path: Path) -> bool:
    """Whether the open file still is the one of that name."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
