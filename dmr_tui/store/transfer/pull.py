"""Pull: have a registry's model, or one of the Hugging Face Hub, in the store."""

from __future__ import annotations

import threading

from dmr_tui.errors import (
    InvalidRequestError,
    ModelNotFoundError,
    RegistryError,
    StoreError,
    UnsupportedModelError,
)
from dmr_tui.store.manifest import (
    CNCF_WEIGHT_LAYERS,
    GGUF_LAYER,
    LARGEST_MANIFEST,
    Descriptor,
    Manifest,
    parse_config,
    parse_manifest,
)
from dmr_tui.store.reference import Reference
from dmr_tui.store.store import Store, StoredModel
from dmr_tui.store.transfer.hub.name import HubName, hub_name
from dmr_tui.store.transfer.hub.pull import pull_from_hub
from dmr_tui.store.transfer.layers import Wanted, fetch_layers
from dmr_tui.store.transfer.locate import locate
from dmr_tui.store.transfer.partial import occupied
from dmr_tui.store.transfer.progress import OnProgress, Reporter
from dmr_tui.store.transfer.registry import INDEX_TYPES, RemoteManifest
from dmr_tui.store.transfer.retry import Persistence
from dmr_tui.store.transfer.wire import Wire

_WEIGHTS = (
    GGUF_LAYER,
    *CNCF_WEIGHT_LAYERS,
    "application/vnd.docker.ai.safetensors",
    "application/vnd.docker.ai.dduf",
    "application/vnd.cncf.model.weight.v1.safetensors",
)


def pull(
    store: Store,
    reference: Reference | HubName,
    *,
    on_progress: OnProgress,
    cancelled: threading.Event,
    insecure: bool = False,
    mirrors: str = "",
    token: str = "",
) -> StoredModel:
    """Fetch a model, or what of it is missing, and enter it in the store.

    Blocks: for a thread. What a stopped or failed pull has fetched stays for the next one.

    Args:
        store: where the model goes.
        reference: the model's name, see `hub.name.parse_source`; by digest, it is stored without
            a tag.
        on_progress: told of each step; the last line is of type `success`.
        cancelled: set it to stop the pull.
        insecure: any registry but Docker Hub may speak plain HTTP.
        mirrors: base URLs with commas between them, to try before Docker Hub itself.
        token: for the Hugging Face Hub, of whoever asks; empty: the environment's.

    Raises:
        ModelNotFoundError: the registry has no such model.
        UnauthorizedError: it wants another login.
        UnsupportedModelError: what it has is no model this version can keep.
        RegistryError: it fails, or sends what does not match its digest.
        StoreError: the disk is full or refuses.
        StoppedError: the pull was cancelled.
    """
    if isinstance(reference, HubName) or reference.is_huggingface:
        name = reference if isinstance(reference, HubName) else hub_name(reference)
        return pull_from_hub(store, name, on_progress=on_progress, cancelled=cancelled, token=token)
    reporter = Reporter(on_progress, "pull")
    with (
        Wire(Persistence(cancelled, reporter.warning)) as wire,
        store.leases.holding(f"pull {reference.familiar()}") as lease,
    ):
        repository, remote = locate(
            wire,
            reference,
            default_registry=store.default_registry,
            insecure=insecure,
            mirror_setting=mirrors,
            warn=reporter.warning,
        )
        manifest = examine(remote, reference)
        layers = list({layer.digest: layer for layer in manifest.layers}.values())
        reporter.total = sum(layer.size for layer in layers)
        lease.protect(manifest.digests)
        if _is_whole(store, remote.digest, [manifest.config, *layers]):
            model = store.add(remote.data, reference)
            reporter.success(f"Using cached model: {model.config.size or _human(model.size)}")
            return model
        _require_space(store, layers, reference)
        config = Wanted(manifest.config.digest, manifest.config.size, lambda _: None)
        fetch_layers(repository.blobs, store.blobs, [config], wire.persistence)
        _examine_config(store, manifest, reference)
        wanted = [
            Wanted(layer.digest, layer.size, reporter.layer(layer.digest, layer.size))
            for layer in layers
        ]
        fetch_layers(repository.blobs, store.blobs, wanted, wire.persistence)
        model = store.add(remote.data, reference)
    reporter.success("Model pulled successfully")
    return model


def examine(remote: RemoteManifest, reference: Reference) -> Manifest:
    """Refuse what cannot be kept, before anything of it is fetched.

    Raises:
        UnsupportedModelError: it is no model that this version knows.
        RegistryError: it is malformed.
    """
    if remote.media_type in INDEX_TYPES:
        raise UnsupportedModelError(
            f"{reference.familiar()} is no model but an image for several platforms"
        )
    try:
        manifest = parse_manifest(remote.data)
    except InvalidRequestError as error:
        raise RegistryError(f"{reference.registry} sent a bad manifest: {error.message}") from error
    kinds = {layer.media_type for layer in manifest.layers}
    if kinds.isdisjoint(_WEIGHTS):
        raise UnsupportedModelError(
            f"{reference.familiar()} holds no weights that this version knows",
            f"its layers are of type {', '.join(map(repr, sorted(kinds)[:5])) or 'none'}",
        )
    if manifest.config.size > LARGEST_MANIFEST:
        raise RegistryError(f"{reference.registry} offers a config of {manifest.config.size} bytes")
    sizes: dict[str, int] = {}
    for blob in (manifest.config, *manifest.layers):
        if sizes.setdefault(blob.digest, blob.size) != blob.size:
            raise RegistryError(f"{reference.registry} sent a manifest with two sizes for one blob")
    return manifest


def _examine_config(store: Store, manifest: Manifest, reference: Reference) -> None:
    config = manifest.config
    try:
        parse_config(store.blobs.read(config.digest), config.media_type)
    except InvalidRequestError as error:
        raise RegistryError(f"{reference.registry} sent a bad config: {error.message}") from error


def _is_whole(store: Store, model_id: str, blobs: list[Descriptor]) -> bool:
    """Whether the store has the model and all that belongs to it."""
    try:
        store.find(model_id)
    except (ModelNotFoundError, StoreError):
        return False
    return all(store.blobs.has(blob.digest, blob.size) for blob in blobs)


def _require_space(store: Store, layers: list[Descriptor], reference: Reference) -> None:
    missing = 0
    for layer in layers:
        if not store.blobs.has(layer.digest, layer.size):
            missing += max(layer.size - occupied(store.blobs.partial(layer.digest)), 0)
    store.blobs.require_space(missing, f"pull {reference.familiar()}")


def _human(size: int) -> str:
    return f"{size / (1 << 20):.2f}MiB"
