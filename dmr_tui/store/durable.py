"""Writing to disk so that a crash leaves the old file or the new one, never half of one.

A final name appears only by renaming a file whose content has reached the disk; then the folder
that holds the name is synced too.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dmr_tui.errors import StoreError

_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_NO_FALLOCATE = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}
_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def reporting(doing: str) -> Iterator[None]:
    """Turn the system's refusals into `StoreError`s that say what was being done.

    Args:
        doing: what the block does, e.g. `write /models/models.json`.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot {doing}: {error.strerror or error}",
            "check the folder's permissions and free space, or choose another with MODELS_PATH",
        ) from error


def is_read_only(error: BaseException | None) -> bool:
    """Whether a failure says that a file system or a folder may only be read."""
    return isinstance(error, OSError) and error.errno in _READ_ONLY


def is_full(error: BaseException | None) -> bool:
    """Whether a failure says that a disk, or what a user may have of it, is full."""
    return isinstance(error, OSError) and error.errno in _FULL


def read(path: Path) -> bytes:
    """The content of a small file.

    Raises:
        StoreError: it is missing or cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


def write(path: Path, data: bytes) -> None:
    """Give a file a new content, atomically, making its folder if need be."""
    temporary = path.with_name(f"{path.name}.tmp-{os.urandom(5).hex()}")
    with reporting(f"write {path}"):
        make_folder(path.parent)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def exchange(path: Path, data: bytes) -> bytes:
    """Give a file a new content like `write`, and tell what it displaced.

    On Linux nothing comes between: the two files change names in one step.

    Returns:
        The content that the name had at that moment; empty when there was no such file.
    """
    temporary = path.with_name(f"{path.name}.tmp-{os.urandom(5).hex()}")
    with reporting(f"write {path}"):
        make_folder(path.parent)
        try:
            temporary.write_bytes(data)
            sync(temporary)
            if _swap(temporary, path):
                return temporary.read_bytes()
            displaced = path.read_bytes() if path.exists() else b""
            os.replace(temporary, path)
            return displaced
        finally:
            temporary.unlink(missing_ok=True)
            sync(path.parent)


def _swap(first: Path, second: Path) -> bool:
    """Exchange two names at once; False where the system cannot, or the second is not there."""
    if sys.platform != "linux":
        return False
    import ctypes  # Not at the top: whoever only reads does not pay for it.

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    here, both = -100, 2  # AT_FDCWD and RENAME_EXCHANGE, from linux/fcntl.h and linux/fs.h
    names = (here, os.fsencode(first), here, os.fsencode(second))
    return bool(libc.renameat2(*names, both) == 0)


def rename(source: Path, target: Path) -> None:
    """Move a finished file to its final name, once its content is on the disk."""
    sync(source)
    os.replace(source, target)
    sync(target.parent)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder; nothing happens when it is gone already."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    from shutil import rmtree  # Not at the top: few programs remove anything.

    rmtree(path, onerror=_unless_missing)


def _unless_missing(_: object, path: str, failure: tuple[type, BaseException, object]) -> None:
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]


def make_folder(path: Path) -> None:
    """Make a folder and those above it, each one lasting."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync(path.parent)


def flush(file: int, start: int, count: int) -> None:
    """Have the system begin to write bytes of an open file to the disk, without waiting for it.

    So there is little left to wait for when it is synced. Nothing happens where that cannot be.
    """
    if sys.platform != "linux":
        return
    import ctypes  # Not at the top: whoever only reads does not pay for it.

    libc = ctypes.CDLL(None)
    if hasattr(libc, "sync_file_range"):
        begin = 2  # SYNC_FILE_RANGE_WRITE, from linux/fs.h
        libc.sync_file_range(file, ctypes.c_int64(start), ctypes.c_int64(count), begin)


def reserve(file: int, size: int) -> None:
    """Have the disk's room for an open file of so many bytes, where that costs no writing.

    Elsewhere the file only gets its length: `os.posix_fallocate` would write to every block of a
    file system that cannot reserve any.

    Raises:
        OSError: there is no room.
    """
    code = _fallocate(file, size)
    if code in _NO_FALLOCATE:
        os.ftruncate(file, size)
    elif code:
        raise OSError(code, os.strerror(code))


def _fallocate(file: int, size: int) -> int:
    """Have the kernel reserve the room; returns 0 or the error's number."""
    if sys.platform != "linux":
        return errno.ENOSYS
    import ctypes  # Not at the top: whoever only reads does not pay for it.

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "fallocate"):
        return errno.ENOSYS
    while libc.fallocate(file, 0, ctypes.c_int64(0), ctypes.c_int64(size)):
        if ctypes.get_errno() != errno.EINTR:
            return ctypes.get_errno()
    return 0


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
