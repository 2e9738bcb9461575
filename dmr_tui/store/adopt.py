"""Adopting a model that another program keeps, without copying it where the disk allows.

Each file becomes a blob by the first way that works: a copy that shares extents (independent of the
original from then on), a hard link (both programs may remove their name freely), a symbolic link
(void once the original is removed: the model is damaged then, and a pull repairs it), and at last
a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dmr_tui.errors import InvalidRequestError
from dmr_tui.store import durable
from dmr_tui.store.artifact import Artifact
from dmr_tui.store.blobs import Adoption, digest_file
from dmr_tui.store.facts import model_config
from dmr_tui.store.foreign import Foreign
from dmr_tui.store.gguf import read_header
from dmr_tui.store.leases import Hold
from dmr_tui.store.package import describe_layer, file_time
from dmr_tui.store.reference import Reference
from dmr_tui.store.store import Store, StoredModel

OnProgress = Callable[[int, int], None]
"""Told how many bytes are done, and how many there are."""

_DEAREST: tuple[Adoption, ...] = (
    "copy",
    "symbolic link",
    "hard link",
    "reflink",
    "already there",
)


def adopt(
    store: Store,
    model: Foreign,
    reference: Reference,
    *,
    verify: bool = False,
    on_progress: OnProgress = lambda *_: None,
) -> tuple[StoredModel, Adoption]:
    """Have another program's model in the store.

    Args:
        store: where it goes.
        model: what was found.
        reference: the name it gets.
        verify: read the files although their program names them by their digest.
        on_progress: told of the reading.

    Returns:
        The model, and how its files came: by the dearest of the ways that were needed.

    Raises:
        InvalidRequestError: a file is no whole GGUF file, or not what its digest says.
        StoreError: the store cannot be written.
    """
    headers = [read_header(file.path) for file in model.files if file.role in ("gguf", "mmproj")]
    weights = sum(file.role == "gguf" for file in model.files)
    layers, ways, done = [], set(), 0
    with store.leases.holding(f"import {model.name}") as lease:
        for file in model.files:
            size = file.path.stat().st_size
            report = _after(done, model.size, on_progress)
            digest = model.digests.get(file.path)
            if digest is None or verify:
                digest = _measured(file.path, digest, report)
            layers.append((file.role, describe_layer(file, size, digest)))
            ways.add(_take(store, file.path, digest, size, lease))
            done += size
            on_progress(done, model.size)
        made = Artifact(tuple(layers), model_config(headers[:weights]), file_time(model.path))
        stored = made.enter(store, reference)
    return stored, next(way for way in _DEAREST if way in ways)


def _take(store: Store, path: Path, digest: str, size: int, lease: Hold) -> Adoption:
    lease.protect([digest])
    if store.blobs.has(digest, size):
        return "already there"
    how = store.blobs.put_link(path, digest)
    if how is not None:
        return how
    with durable.reporting(f"read {path}"):
        source = path.open("rb")
    with source:
        store.blobs.put_stream(source, digest, size, keep=lease.protect)
    return "copy"


def _measured(path: Path, claimed: str | None, on_bytes: Callable[[int], None]) -> str:
    with durable.reporting(f"read {path}"):
        digest = digest_file(path, on_bytes=on_bytes).digest
    if claimed not in (None, digest):
        raise InvalidRequestError(
            f"{path} is damaged: it claims to be {claimed}, and is {digest}",
            "fetch it again with the program that it belongs to",
        )
    return digest


def _after(start: int, total: int, on_progress: OnProgress) -> Callable[[int], None]:
    return lambda count: on_progress(start + count, total)
