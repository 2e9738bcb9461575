"""A model as one tar stream, in Docker Model Runner's exchange format.

Members: the folders `blobs/` and `blobs/sha256/`, each blob as `blobs/<algorithm>/<hex>`, and last
`manifest.json`, the manifest's own bytes. The model's names travel in a PAX record of that last
member, which readers that do not know it skip. Nothing is ever unpacked by a member's name: a name
only says which digest the bytes must have.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from typing import BinaryIO, cast

from dmr_tui.errors import InvalidRequestError, StoreError
from dmr_tui.store import durable
from dmr_tui.store.leases import Hold
from dmr_tui.store.manifest import LARGEST_MANIFEST, Descriptor
from dmr_tui.store.reference import Reference, readable
from dmr_tui.store.store import Store, StoredModel

NAMES = "DMR.names"
"""The PAX record that holds a model's canonical references, one a line."""

_BLOB = re.compile(r"(?:\./)?blobs/(sha256/[0-9a-f]{64}|sha512/[0-9a-f]{128})")
_FOLDER = re.compile(r"(?:\./)?(?:blobs(?:/(?:sha256|sha512))?)?/?\.?")
_MANIFEST = re.compile(r"(?:\./)?manifest\.json")
_RECORD = 1 << 20
_MODE = 0o666

OnProgress = Callable[[int, int], None]
"""Told how many bytes are done, and how many there are; 0 where nobody knows."""


def save(
    store: Store, model: StoredModel, out: BinaryIO, on_progress: OnProgress = lambda *_: None
) -> None:
    """Write a model as a tar; the same model gives the same bytes.

    Args:
        store: where it is.
        model: which.
        out: needs only `write`.
        on_progress: told of the bytes of blobs.

    Raises:
        StoreError: a blob is missing or is not what its digest says; what was written is no
            whole archive then.
    """
    manifest = store.manifest_bytes(model.id)
    blobs = {blob.digest: blob for blob in (*model.manifest.layers, model.manifest.config)}
    total = sum(blob.size for blob in blobs.values())
    with tarfile.open(
        fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_RECORD
    ) as archive:
        for folder in ("blobs/", "blobs/sha256/"):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(member)
        done = 0
        for blob in blobs.values():
            _add_blob(archive, store, blob, _after(done, total, on_progress))
            done += blob.size
        last = _member("manifest.json", len(manifest))
        if model.tags:
            last.pax_headers = {NAMES: "\n".join(model.tags)}
        archive.addfile(last, BytesIO(manifest))


def load(
    store: Store,
    source: BinaryIO,
    *,
    reference: Reference | None = None,
    names: bool = True,
    on_progress: OnProgress = lambda *_: None,
) -> StoredModel:
    """Take a model from a tar, which may be compressed, into the store.

    Args:
        store: where it goes.
        source: needs only `read`.
        reference: the name it gets, instead of those in the archive.
        names: whether it gets the names in the archive that can be read.
        on_progress: told of the bytes read.

    Raises:
        InvalidRequestError: it is no such archive, is cut short, or a blob is not what its name
            says.
        StoreError: the disk is full or refuses.
    """
    manifest, tags = b"", ""
    done = 0
    with store.leases.holding("load an archive") as lease, _reading(source) as archive:
        for member in archive:
            blob = _BLOB.fullmatch(member.name)
            if member.isdir() and _FOLDER.fullmatch(member.name):
                continue
            content = archive.extractfile(member) if member.isreg() else None
            if content is None or not (blob or _MANIFEST.fullmatch(member.name)):
                raise InvalidRequestError(
                    f"this is no model's archive: it holds {member.name!r}",
                    "dmr save writes one, and Docker Model Runner's /models/NAME/export",
                )
            with content:
                stream = cast("BinaryIO", content)
                if blob:
                    report = _after(done, 0, on_progress)
                    _take_blob(store, stream, blob[1], member.size, lease, report)
                    done += member.size
                elif member.size > LARGEST_MANIFEST:
                    raise InvalidRequestError(f"the manifest has {member.size} bytes: too many")
                else:
                    manifest, tags = stream.read(), member.pax_headers.get(NAMES, "")
        if not manifest:
            raise InvalidRequestError("this is no model's archive: it has no manifest.json")
        return _enter(store, manifest, reference, tags if names else "")


def _enter(store: Store, manifest: bytes, reference: Reference | None, tags: str) -> StoredModel:
    wanted = [reference] if reference else readable(tags.split())
    try:
        model = store.add(manifest, wanted[0] if wanted else None)
        for each in wanted[1:]:
            model = store.add(manifest, each)
    except StoreError as error:
        raise StoreError(f"the archive is not whole: {error.message}", error.hint) from error
    return model


def _take_blob(
    store: Store,
    content: BinaryIO,
    path: str,
    size: int,
    lease: Hold,
    on_bytes: Callable[[int], None],
) -> None:
    digest = path.replace("/", ":")
    lease.protect([digest])
    if not store.blobs.has(digest, size):
        store.blobs.put_stream(content, digest, size, keep=lease.protect, on_bytes=on_bytes)


@contextmanager
def _reading(source: BinaryIO) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(fileobj=source, mode="r|*", bufsize=_RECORD) as archive:
            yield archive
    except (tarfile.TarError, EOFError, UnicodeDecodeError) as error:
        raise InvalidRequestError(
            f"this is no whole tar archive: {error}", "it may be cut short; copy it again"
        ) from error


def _add_blob(
    archive: tarfile.TarFile, store: Store, blob: Descriptor, on_bytes: Callable[[int], None]
) -> None:
    if not store.blobs.has(blob.digest, blob.size):
        raise StoreError(f"the blob {blob.digest} is missing or cut short", "pull the model again")
    path = store.blobs.path(blob.digest)
    algorithm, _, name = blob.digest.partition(":")
    with durable.reporting(f"read {path}"):
        file = path.open("rb")
    with file:
        source = _Hashing(file, algorithm, on_bytes)
        archive.addfile(_member(f"blobs/{algorithm}/{name}", blob.size), cast("BinaryIO", source))
    if source.digest != blob.digest:
        raise StoreError(f"the blob {blob.digest} is damaged", "check the store: dmr fsck --full")


class _Hashing:
    """A file that is hashed as it is read."""

    def __init__(
        self, file: BufferedReader, algorithm: str, on_bytes: Callable[[int], None]
    ) -> None:
        self._file = file
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self._count = 0
        self._on_bytes = on_bytes

    @property
    def digest(self) -> str:
        return f"{self._algorithm}:{self._hash.hexdigest()}"

    def read(self, size: int) -> bytes:
        chunk = self._file.read(size)
        self._hash.update(chunk)
        self._count += len(chunk)
        self._on_bytes(self._count)
        return chunk


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, _MODE
    return member


def _after(start: int, total: int, on_progress: OnProgress) -> Callable[[int], None]:
    return lambda count: on_progress(start + count, total)
