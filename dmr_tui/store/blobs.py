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
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

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


# A file system without hard links, another device, too many links to one file, or a file of another
# user (`fs.protected_hardlinks`).
_NO_HARD_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}

Keep = Callable[[Collection[str]], None]
OnBytes = Callable[[int], None]
Adoption = Literal["already there", "reflink", "hard link", "symbolic link", "copy"]


def ignore(_: object) -> None:
    """Take no notice."""


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

    def put_file(self, path: Path, *, keep: Keep = ignore, on_bytes: OnBytes = ignore) -> Blob:
        """Store a copy of a file; one that shares its extents where the file system can.

        Args:
            path: the file.
            keep: is given the digest before the blob gets its name, to protect it from removal.
            on_bytes: is told how many bytes are done.

        Raises:
            InvalidRequestError: the file cannot be read.
            StoreError: the disk is full or refuses.
        """
        try:
            source = path.open("rb")
        except OSError as error:
            raise InvalidRequestError(f"cannot read {path}: {error.strerror}") from error
        with (
            source,
            durable.reporting(f"copy {path} to {self._root}"),
            self._temporary() as (target, name),
        ):
            if _clone(source, target):
                blob = _digest(target, ignore, on_bytes)
            else:
                self.require_space(os.fstat(source.fileno()).st_size, f"copy {path}")
                blob = _digest(source, target.write, on_bytes)
            self._publish(target, name, blob, keep)
        return blob

    def put_stream(
        self, source: BinaryIO, wanted: str, size: int, *, keep: Keep, on_bytes: OnBytes = ignore
    ) -> None:
        """Store a blob whose bytes come from somewhere, and are held against its digest.

        Args:
            source: is read to its end.
            wanted: the digest that the bytes must have.
            size: bytes that are due.
            keep: is given the digest before the blob gets its name, to protect it from removal.
            on_bytes: is told how many bytes are done.

        Raises:
            InvalidRequestError: the digest is malformed, or the bytes are others.
            StoreError: the disk is full or refuses.
        """
        self.path(wanted)
        with durable.reporting(f"write {wanted}"), self._temporary() as (target, name):
            self.require_space(size, f"write {wanted[:19]}")
            blob = _digest(source, target.write, on_bytes, wanted.partition(":")[0])
            if blob != (wanted, size):
                raise InvalidRequestError(
                    f"what claims to be {wanted} has {blob.size} bytes of digest {blob.digest}"
                )
            self._publish(target, name, blob, keep)

    def put_link(self, path: Path, digest: str, *, symbolic: bool = True) -> Adoption | None:
        """Have a finished file as a blob, sharing its bytes instead of copying them.

        Args:
            path: the file; nobody may write to it any more, as other programs' stores promise.
            digest: of its bytes, known or trusted by the caller, who has protected it.
            symbolic: whether a symbolic link will do, which is void once its target is removed.

        Returns:
            How: the first that works of a copy that shares extents, a hard link, a symbolic link;
            None when none of them does.

        Raises:
            StoreError: the file cannot be read or the store cannot be written.
        """
        source = path.resolve()
        target = self.path(digest)
        with durable.reporting(f"link {path} to {target}"):
            durable.make_folder(target.parent)
            if self._share(source, digest):
                return "reflink"
            temporary = target.with_name(f"{target.name}.tmp-{os.urandom(5).hex()}")
            how = link(source, temporary, symbolic=symbolic)
            if how is not None:
                os.replace(temporary, target)
                temporary.unlink(missing_ok=True)  # renaming onto the same file does nothing
                durable.sync(target.parent)
        return how

    def _share(self, source: Path, digest: str) -> bool:
        with source.open("rb") as file, self._temporary() as (target, name):
            if not _clone(file, target):
                return False
            target.flush()
            self.publish(name, digest)
        return True

    @contextmanager
    def _temporary(self) -> Iterator[tuple[BufferedRandom, Path]]:
        """A file for a blob that is being built; locked, so that nobody takes it for garbage."""
        path = self.partial("sha256:" + os.urandom(32).hex())
        try:
            with path.open("x+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file, path
        finally:
            path.unlink(missing_ok=True)

    def _publish(self, file: BufferedRandom, path: Path, blob: Blob, keep: Keep) -> None:
        keep([blob.digest])
        if not self.has(*blob):
            file.flush()
            self.publish(path, blob.digest)

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
                f"not enough space to {doing}: need {_decimal(need)}, have {_decimal(have)}",
                "remove a model with dmr rm, or choose another disk with MODELS_PATH",
            )


def _parts(digest: str) -> tuple[str, str]:
    if not is_digest(digest):
        raise InvalidRequestError(f"{digest!r} is no digest")
    algorithm, _, hexadecimal = digest.partition(":")
    return algorithm, hexadecimal


def link(
    source: Path, target: Path, *, symbolic: bool = True
) -> Literal["hard link", "symbolic link"] | None:
    """Have a file under another name: one inode where possible, else a symbolic link.

    Returns:
        How, or None when neither can be, or a symbolic link was not wanted.

    Raises:
        OSError: the folder cannot be written.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINK:
            raise
    else:
        return "hard link"
    if not symbolic:
        return None
    target.symlink_to(source.resolve())
    return "symbolic link"


def digest_file(path: Path, algorithm: str = "sha256", on_bytes: OnBytes = ignore) -> Blob:
    """Digest and size of a file; raises `OSError` when it cannot be read."""
    with path.open("rb") as file:
        return _digest(file, ignore, on_bytes, algorithm)


def _clone(source: BufferedReader, target: BufferedRandom) -> bool:
    """Share the source's extents; False where that cannot be done."""
    try:
        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except OSError as error:
        if error.errno in _NO_REFLINK:
            return False
        raise
    return True


def _digest(
    source: BinaryIO,
    write: Callable[[bytes], object],
    on_bytes: OnBytes,
    algorithm: str = "sha256",
) -> Blob:
    hasher, size = hashlib.new(algorithm), 0
    while chunk := source.read(_CHUNK):
        hasher.update(chunk)
        write(chunk)
        size += len(chunk)
        on_bytes(size)
    return Blob(f"{algorithm}:{hasher.hexdigest()}", size)


def _decimal(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
