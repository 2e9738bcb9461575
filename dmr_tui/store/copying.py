"""A model from one store to another on this machine, sharing its bytes where the disk can."""

from __future__ import annotations

import os
from collections.abc import Callable

from dmr_tui.errors import InvalidRequestError, StoreError
from dmr_tui.store import durable
from dmr_tui.store.blobs import Adoption
from dmr_tui.store.reference import Reference, readable
from dmr_tui.store.store import Store, StoredModel

OnProgress = Callable[[int, int], None]
"""Told how many bytes are done, and how many there are."""


def copy_model(
    source: Store,
    model: StoredModel,
    target: Store,
    reference: Reference | None,
    on_progress: OnProgress = lambda *_: None,
) -> tuple[StoredModel, Adoption]:
    """Have a model in another store too.

    Args:
        source: where the model is.
        model: which.
        target: where it goes; may be a folder that does not exist yet.
        reference: the name it gets there; None for the names it has here, if they can be read.
        on_progress: told of the bytes of blobs.

    Returns:
        The model there, and how its bytes got there: by the dearest of the ways that were needed.

    Raises:
        InvalidRequestError: both are the same store.
        StoreError: a blob is missing or damaged, or the target cannot be written.
    """
    if target.root.exists() and os.path.samefile(source.root, target.root):
        raise InvalidRequestError("source and target are the same store", "name a model: dmr tag")
    manifest = source.manifest_bytes(model.id)
    blobs = {blob.digest: blob for blob in (*model.manifest.layers, model.manifest.config)}
    total, done = sum(blob.size for blob in blobs.values()), 0
    ways: set[Adoption] = set()
    with target.leases.holding(f"copy {model.name}") as lease:
        lease.protect(list(blobs))
        for digest, blob in blobs.items():
            if not source.blobs.has(digest, blob.size):
                raise StoreError(f"the blob {digest} is missing or cut short", "pull it again")
            if not target.blobs.has(digest, blob.size):
                ways.add(_share(source, target, digest, blob.size))
            done += blob.size
            on_progress(done, total)
        copied = target.add(manifest, reference)
        for name in () if reference else readable(model.tags):
            copied = target.add(manifest, name)
    order: tuple[Adoption, ...] = ("copy", "hard link", "reflink")
    return copied, next((way for way in order if way in ways), "already there")


def _share(source: Store, target: Store, digest: str, size: int) -> Adoption:
    """Never by a symbolic link: a store must not depend on another that may be purged."""
    path = source.blobs.path(digest)
    how = target.blobs.put_link(path, digest, symbolic=False)
    if how is not None:
        return how
    with durable.reporting(f"read {path}"):
        file = path.open("rb")
    with file:
        target.blobs.put_stream(file, digest, size, keep=lambda _: None)
    return "copy"
