"""Packaging: files become a model of the store.

A GGUF file and what belongs to it give what Docker Model Runner's `package` builds: a config of
version 0.1 and one layer for each file. A folder of safetensors gives a config of version 0.2 and
one layer for each of its files, under its path. A model of the store can be packaged again with
other parts; what stays is not copied.

The same files give the same id: times in the package are the files' own times of change in whole
seconds, or `SOURCE_DATE_EPOCH` where that is set (https://reproducible-builds.org), and modes and
owners are fixed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from dmr_tui.errors import InvalidRequestError, UnsupportedModelError
from dmr_tui.store.artifact import Artifact, Format, file_layer, role_of_path, taken_apart
from dmr_tui.store.facts import model_config
from dmr_tui.store.gguf import read_header
from dmr_tui.store.leases import Hold
from dmr_tui.store.manifest import Descriptor, parse_config
from dmr_tui.store.parts import Extras, PartFile, find_shards, regular_files
from dmr_tui.store.reference import Reference
from dmr_tui.store.safetensors import safetensors_config
from dmr_tui.store.store import Store, StoredModel

OnProgress = Callable[[int, int], None]
"""Told how many bytes of files are done, and how many there are."""


def package_gguf(
    store: Store,
    gguf: Path,
    reference: Reference,
    *,
    extras: Extras | None = None,
    artifact_format: Format = "docker",
    on_progress: OnProgress = lambda *_: None,
) -> StoredModel:
    """Copy a GGUF file into the store as a model.

    Args:
        store: where to.
        gguf: the weights; the first shard brings all others beside it.
        reference: the tag that the model gets.
        extras: what else belongs to it.
        artifact_format: whose media types the artifact gets.
        on_progress: told of the copying.

    Raises:
        InvalidRequestError: a file is missing or is not what it should be, or a value is wrong.
        UnsupportedModelError: the format keeps the files' names, and two are in each other's way.
        StoreError: the disk is full or the store cannot be written.
    """
    extras = extras or Extras()
    _require_tag(reference)
    weights = find_shards(gguf)
    config = model_config([read_header(path) for path in weights], extras.context_size)
    files = [*(PartFile("gguf", path, path.name) for path in weights), *extras.files()]
    made = Artifact((), config, file_time(weights[0]), artifact_format)
    return _enter(store, made, files, reference, on_progress)


def package_safetensors(
    store: Store,
    folder: Path,
    reference: Reference,
    *,
    extras: Extras | None = None,
    artifact_format: Format = "docker",
    on_progress: OnProgress = lambda *_: None,
) -> StoredModel:
    """Copy a folder of safetensors and what is beside them into the store as a model.

    Hidden files and symbolic links are left out. For the rest see `package_gguf`.
    """
    extras = extras or Extras()
    _require_tag(reference)
    found = sorted(regular_files(folder))
    weights = [path for path in found if path.suffix == ".safetensors"]
    if not weights:
        raise InvalidRequestError(
            f"there are no safetensors files in {folder}",
            "symbolic links are not followed; name the folder that holds the files themselves",
        )
    config = safetensors_config(weights, folder, extras.context_size)
    names = {path: path.relative_to(folder).as_posix() for path in found}
    own = [PartFile(role_of_path(name), path, name) for path, name in names.items()]
    more = extras.files()
    replaced = {"template"} if extras.chat_template else set()
    files = [file for file in own if file.role not in replaced]
    taken = {file.name for file in files}
    files += [file for file in more if file.name not in taken]
    if artifact_format == "cncf" and extras.context_size is None:
        config = msgspec.structs.replace(config, context_size=None)
    made = Artifact((), config, max(map(file_time, weights)), artifact_format)
    return _enter(store, made, files, reference, on_progress)


def repackage(
    store: Store,
    source: StoredModel,
    reference: Reference,
    *,
    extras: Extras | None = None,
    artifact_format: Format | None = None,
    on_progress: OnProgress = lambda *_: None,
) -> StoredModel:
    """Make another model of a stored one's files, without copying them.

    Args:
        store: where both are.
        source: the model.
        reference: the tag that the new one gets.
        extras: a template or a projector replaces the one there is, licences and adapters are
            added; a context size that is not given stays.
        artifact_format: None for the source's own.
        on_progress: told of what is copied.

    Raises:
        InvalidRequestError: a file is not what it should be, or a value is wrong.
        UnsupportedModelError: the format keeps the files' names, and two are in each other's way.
        StoreError: a blob is missing, or the store cannot be written.
    """
    extras = extras or Extras()
    _require_tag(reference)
    raw = source.manifest.config
    made = taken_apart(source.manifest, parse_config(store.blobs.read(raw.digest), raw.media_type))
    files = extras.files()
    if extras.chat_template:
        made = made.without("template")
    if extras.mmproj:
        made = made.without("mmproj")
    if extras.context_size is not None:
        config = msgspec.structs.replace(made.config, context_size=extras.context_size)
        made = replace(made, config=config)
    made = replace(made, format=artifact_format or made.format)
    if made.format == "docker" and not made.config.format:
        raise UnsupportedModelError(f"{source.name} does not say of which format it is")
    return _enter(store, made, files, reference, on_progress)


def _enter(
    store: Store,
    made: Artifact,
    files: Sequence[PartFile],
    reference: Reference,
    on_progress: OnProgress,
) -> StoredModel:
    """Copy the files, and put the artifact with them into the store."""
    # Names are refused before the first file is copied.
    planned = tuple((file.role, describe_layer(file, 0, "")) for file in files)
    replace(made, layers=planned).require_paths()
    total, done = sum(file.path.stat().st_size for file in files), 0
    layers = list(made.layers)
    there = {(role, layer.digest) for role, layer in layers}
    with store.leases.holding(f"package {reference.familiar()}") as lease:
        lease.protect([layer.digest for _, layer in made.layers])
        for file in files:
            layer = _layer(store, file, lease, _from(done, total, on_progress))
            if (file.role, layer.digest) not in there:
                layers.append((file.role, layer))
            done += layer.size
        whole = replace(made, layers=tuple(layers))
        whole.require_paths()
        return whole.enter(store, reference)


def _layer(
    store: Store, file: PartFile, lease: Hold, on_bytes: Callable[[int], None]
) -> Descriptor:
    blob = store.blobs.put_file(file.path, keep=lease.protect, on_bytes=on_bytes)
    return describe_layer(file, blob.size, blob.digest)


def describe_layer(file: PartFile, size: int, digest: str) -> Descriptor:
    """The layer of a file; its media type is left to the artifact's format.

    Args:
        file: what it is and how it is called.
        size: bytes.
        digest: of its bytes.
    """
    return file_layer(file.name, size, digest, file_time(file.path))


def _from(start: int, total: int, on_progress: OnProgress) -> Callable[[int], None]:
    return lambda count: on_progress(start + count, total)


def file_time(path: Path) -> str:
    """When a file changed, in RFC 3339, unless the environment fixes the time."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "").strip()
    if fixed and not fixed.isdecimal():
        raise InvalidRequestError(f"SOURCE_DATE_EPOCH is {fixed!r}, not a number of seconds")
    seconds = int(fixed) if fixed else int(path.stat().st_mtime)
    return datetime.fromtimestamp(max(0, seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _require_tag(reference: Reference) -> None:
    if reference.digest:
        raise InvalidRequestError(f"{reference} names a digest; a package needs a tag")
