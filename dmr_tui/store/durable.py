"""Writing to disk so that a crash leaves the old file or the new one, never half of one.

A final name appears only by renaming a file whose content has reached the disk; then the folder
that holds the name is synced too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dmr_tui.errors import StoreError


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


def rename(source: Path, target: Path) -> None:
    """Move a finished file to its final name, once its content is on the disk."""
    sync(source)
    os.replace(source, target)
    sync(target.parent)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, each one lasting."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
