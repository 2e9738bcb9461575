"""The store's lock: whoever changes the index or removes files holds it, for milliseconds.

It is an advisory `flock` on `.dmr/lock`, which the kernel releases when its holder dies. Readers
take none.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dmr_tui.store import durable


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the lock of the store below `root`, exclusively; not to be nested.

    Raises:
        StoreError: the store cannot be written.
    """
    folder = root / ".dmr"
    with durable.reporting(f"make {folder}"):
        durable.make_folder(folder)
    path = folder / "lock"
    with durable.reporting(f"lock {path}"):
        descriptor = _lock(path)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Whoever purges the store removes the lock file too: a lock on that one locks nothing.
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
