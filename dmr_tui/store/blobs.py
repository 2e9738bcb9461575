"""Blobs: files named by the digest of their bytes, in `blobs/<algorithm>/<hex>`.

Everything unfinished lives in `.dmr/partial/` on the same file system, so that publishing is one
rename. Docker Model Runner ignores that folder.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import NamedTuple

from dmr_tui.errors import InvalidRequestError, StoreError
from dmr_tui.store import durable
from dmr_tui.store.reference import is_digest

_CHUNK = 1 << 20
# From linux/fs.h: share the extents of one whole file with another (btrfs, xfs, bcachefs, zfs).
_FICLONE = 0x40049409
# What file systems, containers and macOS answer when they cannot do that.
_NO_REFLINK = {
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EPERM,
    errno.EBADF,
}


class Blob(NamedTuple):
    """A blob that the store holds."""

    digest: str
    size: int
    """Bytes."""


class BlobStore:
    """The blobs below one store's root; safe for many processes at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # Joined once: a list of thousands of models asks for thousands of paths.
        self._folders = {name: root / "blobs" / name for name in ("sha256", "sha512")}

    def path(self, digest: str) -> Path:
        """Where a blob is, or would be.

        Raises:
            InvalidRequestError: the digest is malformed.
        """
        algorithm, hexadecimal = _parts(digest)
        return self._folders[algorithm] / hexadecimal

    def has(self, digest: str, size: int | None = None) -> bool:
        """Whether the blob is there and, if a size in bytes is given, of that size."""
        path = self.path(digest)
        with durable.reporting(f"look at the blob {path}"):
            try:
                status = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return False
        return stat.S_ISREG(status.st_mode) and size in (None, status.st_size)

    def partial(self, digest: str) -> Path:
        """Where a blob may be built before it is published; the folder is made."""
        folder = self._root / ".dmr" / "partial"
        with durable.reporting(f"make {folder}"):
            durable.make_folder(folder)
        return folder / f"{_parts(digest)[1]}.part"

    def publish(self, partial: Path, digest: str) -> None:
        """Move a finished file to its place, lastingly; the caller has verified its digest."""
        target = self.path(digest)
        with durable.reporting(f"write {target}"):
            durable.make_folder(target.parent)
            durable.rename(partial, target)

    def read(self, digest: str) -> bytes:
        """The bytes of a small blob.

        Raises:
            StoreError: it is missing or cannot be read.
        """
        return durable.read(self.path(digest))

    def put(self, data: bytes) -> Blob:
        """Store a small blob."""
        blob = Blob("sha256:" + hashlib.sha256(data).hexdigest(), len(data))
        if not self.has(*blob):
            durable.write(self.path(blob.digest), data)
        return blob

    def put_file(self, path: Path) -> Blob:
        """Store a copy of a file; one that shares its extents where the file system can.

        Raises:
            InvalidRequestError: the file cannot be read.
            StoreError: the disk is full or refuses.
        """
        try:
            source = path.open("rb")
        except OSError as error:
            raise InvalidRequestError(f"cannot read {path}: {error.strerror}") from error
        with source:
            return self._copy(source, path)

    def _copy(self, source: BufferedReader, path: Path) -> Blob:
        temporary = self.partial("sha256:" + os.urandom(32).hex())
        with durable.reporting(f"copy {path} to {self._root}"):
            try:
                with temporary.open("w+b") as target:
                    blob = _clone(source, target) or self._copy_bytes(source, target, path)
                if not self.has(*blob):
                    self.publish(temporary, blob.digest)
            finally:
                temporary.unlink(missing_ok=True)
        return blob

    def _copy_bytes(self, source: BufferedReader, target: BufferedRandom, path: Path) -> Blob:
        self.require_space(os.fstat(source.fileno()).st_size, f"copy {path}")
        hasher, size = hashlib.sha256(), 0
        while chunk := source.read(_CHUNK):
            hasher.update(chunk)
            size += target.write(chunk)
        return Blob("sha256:" + hasher.hexdigest(), size)

    def require_space(self, need: int, doing: str) -> None:
        """Refuse early what the disk cannot hold.

        Args:
            need: bytes that are going to be written.
            doing: what for, e.g. `copy /tmp/model.gguf`.

        Raises:
            StoreError: fewer bytes are free.
        """
        disk = os.statvfs(self._root)
        have = disk.f_bavail * disk.f_frsize
        if need > have:
            raise StoreError(
                f"not enough space to {doing}: need {_gigabytes(need)}, have {_gigabytes(have)}",
                "remove a model with dmr rm, or choose another disk with MODELS_PATH",
            )


def _parts(digest: str) -> tuple[str, str]:
    if not is_digest(digest):
        raise InvalidRequestError(f"{digest!r} is no digest")
    algorithm, _, hexadecimal = digest.partition(":")
    return algorithm, hexadecimal


def _clone(source: BufferedReader, target: BufferedRandom) -> Blob | None:
    """Share the source's extents and hash the result; None where that cannot be done."""
    try:
        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except OSError as error:
        if error.errno in _NO_REFLINK:
            return None
        raise
    digest = hashlib.file_digest(target, "sha256").hexdigest()
    return Blob("sha256:" + digest, os.fstat(target.fileno()).st_size)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
