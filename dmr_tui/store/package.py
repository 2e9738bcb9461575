"""Packaging: a GGUF file and what belongs to it become a model of the store.

The result is what Docker Model Runner's `package` builds: a config of version 0.1 and one layer
for each file, with the annotations of the CNCF ModelPack.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from dmr_tui.errors import InvalidRequestError
from dmr_tui.store import gojson
from dmr_tui.store.blobs import BlobStore
from dmr_tui.store.facts import model_config
from dmr_tui.store.gguf import read_header
from dmr_tui.store.manifest import (
    CHAT_TEMPLATE_LAYER,
    CONFIG_V01,
    FILE_METADATA,
    FILE_PATH,
    FILE_UNTESTED,
    GGUF_LAYER,
    LICENSE_LAYER,
    MMPROJ_LAYER,
    OCI_MANIFEST,
    ConfigFile,
    Dates,
    Descriptor,
    Manifest,
    RootFS,
)
from dmr_tui.store.reference import Reference
from dmr_tui.store.store import Store, StoredModel

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_LARGEST_CONTEXT = (1 << 31) - 1


class _FileMetadata(Struct, frozen=True):
    """What the annotation says of a layer's file; fields in Go's order."""

    name: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: str
    typeflag: int = 0
    """A regular file."""


def package_gguf(
    store: Store,
    gguf: Path,
    reference: Reference,
    *,
    licenses: Sequence[Path] = (),
    context_size: int | None = None,
    chat_template: Path | None = None,
    mmproj: Path | None = None,
) -> StoredModel:
    """Copy a GGUF file into the store as a model.

    The same files give the same id: times in the package are the files' own times of change in
    whole seconds, or `SOURCE_DATE_EPOCH` where that is set (https://reproducible-builds.org), and
    modes and owners are fixed.

    Args:
        store: where to.
        gguf: the weights; the first shard brings all others beside it.
        reference: the tag that the model gets.
        licenses: text files.
        context_size: tokens that the package asks its engine for; None writes nothing.
        chat_template: a Jinja file that replaces the GGUF's own template.
        mmproj: the multimodal projector, a GGUF file.

    Raises:
        InvalidRequestError: a file is missing or is not what it should be, or a value is wrong.
        StoreError: the disk is full or the store cannot be written.
    """
    if reference.digest:
        raise InvalidRequestError(f"{reference} names a digest; a package needs a tag")
    if context_size is not None and not 0 < context_size <= _LARGEST_CONTEXT:
        raise InvalidRequestError(f"a context of {context_size} tokens is not possible")
    weights = find_shards(gguf)
    headers = [read_header(path) for path in weights]
    files = [(path, GGUF_LAYER) for path in weights]
    files += [(path, LICENSE_LAYER) for path in licenses]
    if chat_template:
        _require_text(chat_template)
        files.append((chat_template, CHAT_TEMPLATE_LAYER))
    if mmproj:
        read_header(mmproj)
        files.append((mmproj, MMPROJ_LAYER))
    for path, _ in files:
        _require_file(path)
    layers = [_layer(store.blobs, path, media_type) for path, media_type in files]
    config = ConfigFile(
        model_config(headers, context_size),
        Dates(created=_time(weights[0])),
        RootFS(diff_ids=[layer.digest for layer in layers]),
    )
    blob = store.blobs.put(gojson.encode(config))
    manifest = Manifest(
        schema_version=2,
        media_type=OCI_MANIFEST,
        config=Descriptor(CONFIG_V01, blob.size, blob.digest),
        layers=layers,
    )
    return store.add(gojson.encode(manifest), reference)


def find_shards(path: Path) -> list[Path]:
    """All files of a model, given its only file or its first shard.

    Raises:
        InvalidRequestError: not the first shard, or one of the others is missing.
    """
    match = _SHARD.fullmatch(path.name)
    if match is None:
        return [path]
    count = int(match["count"])
    files = list(_names(path, match["stem"], count))
    if int(match["number"]) != 1:
        raise InvalidRequestError(
            f"{path.name} is not the first of {count} shards", f"name {files[0].name}"
        )
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise InvalidRequestError(f"the shard {missing[0]} is missing in {path.parent}")
    return files


def _names(path: Path, stem: str, count: int) -> Iterator[Path]:
    for number in range(1, count + 1):
        yield path.with_name(f"{stem}-{number:05d}-of-{count:05d}.gguf")


def _layer(blobs: BlobStore, path: Path, media_type: str) -> Descriptor:
    blob = blobs.put_file(path)
    metadata = _FileMetadata(path.name, 0o644, 0, 0, blob.size, _time(path))
    return Descriptor(
        media_type,
        blob.size,
        blob.digest,
        {
            FILE_PATH: path.name,
            FILE_METADATA: gojson.encode(metadata).decode(),
            FILE_UNTESTED: "false",
        },
    )


def _time(path: Path) -> str:
    """When a file changed, in RFC 3339, unless the environment fixes the time."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "").strip()
    if fixed and not fixed.isdecimal():
        raise InvalidRequestError(f"SOURCE_DATE_EPOCH is {fixed!r}, not a number of seconds")
    seconds = int(fixed) if fixed else int(path.stat().st_mtime)
    return datetime.fromtimestamp(max(0, seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise InvalidRequestError(f"cannot read {path}: no such file")


def _require_text(path: Path) -> None:
    try:
        path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{path} cannot be read as a template: {error}") from error
