"""Push: have a model of the store in a registry."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from dmr_tui.errors import StoreError, UnsupportedModelError
from dmr_tui.store import durable
from dmr_tui.store.blobs import BlobStore
from dmr_tui.store.manifest import OCI_MANIFEST, Descriptor
from dmr_tui.store.reference import Reference
from dmr_tui.store.store import Store
from dmr_tui.store.transfer.credentials import find_credentials
from dmr_tui.store.transfer.progress import OnProgress, Reporter
from dmr_tui.store.transfer.registry import Repository, address
from dmr_tui.store.transfer.retry import Persistence, TransientError
from dmr_tui.store.transfer.wire import Wire

_CHUNK = 1 << 20  # bytes read at once


def push(
    store: Store,
    reference: Reference,
    *,
    on_progress: OnProgress,
    cancelled: threading.Event,
    insecure: bool = False,
) -> None:
    """Upload what the registry does not have of a model, then its manifest.

    Blocks: for a thread.

    Args:
        store: where the model is.
        reference: its name there, and where it goes.
        on_progress: told of each step; the last line is of type `success`.
        cancelled: set it to stop the push.
        insecure: speak plain HTTP to any registry but Docker Hub.

    Raises:
        ModelNotFoundError: the store has no such model.
        UnauthorizedError: the registry wants another login.
        RegistryError: it fails, or refuses.
        StoreError: the model's files are damaged.
        StoppedError: the push was cancelled.
    """
    if reference.is_huggingface:
        raise UnsupportedModelError(
            f"models cannot be pushed to Hugging Face yet: {reference.familiar()}"
        )
    model = store.find(str(reference))
    data = store.manifest_bytes(model.id)
    layers = list({layer.digest: layer for layer in model.manifest.layers}.values())
    reporter = Reporter(on_progress, "push", sum(layer.size for layer in layers))
    with Wire(Persistence(cancelled, reporter.warning)) as wire:
        repository = Repository(
            wire,
            address(reference.registry, insecure=insecure),
            reference,
            push=True,
            credentials=lambda registry: find_credentials(
                registry, default_registry=store.default_registry
            ),
        )
        for layer in layers:
            tell = reporter.layer(layer.digest, layer.size)
            _upload(repository, store.blobs, layer, tell, wire.persistence)
        _upload(repository, store.blobs, model.manifest.config, lambda _: None, wire.persistence)
        repository.put_manifest(data, model.manifest.media_type or OCI_MANIFEST)
    reporter.success("Model pushed successfully")


def _upload(
    repository: Repository,
    blobs: BlobStore,
    blob: Descriptor,
    on_bytes: Callable[[int], None],
    persistence: Persistence,
) -> None:
    """Have one blob in the registry; an upload that breaks off is begun again."""
    if not blobs.has(blob.digest, blob.size):
        raise StoreError(f"the blob {blob.digest} is missing or damaged", "pull the model again")

    def body() -> Iterator[bytes]:
        sent = 0
        with durable.reporting(f"read {blobs.path(blob.digest)}"):
            file = blobs.path(blob.digest).open("rb", buffering=0)
        with file:
            while chunk := file.read(_CHUNK):
                yield chunk
                sent += len(chunk)
                on_bytes(sent)

    attempts = persistence.begin()
    while not repository.has(blob.digest):
        try:
            repository.upload(blob.digest, blob.size, body)
        except TransientError as error:
            attempts.failed(error)
        else:
            return
    on_bytes(blob.size)
