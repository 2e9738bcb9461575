"""A look at a model where it is published: what it says of itself, without fetching its weights.

A registry's model has a config for that. A GGUF file on the Hugging Face Hub has a header, whose
first kilobytes tell what the model is.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dmr_tui.errors import InvalidRequestError, RegistryError
from dmr_tui.store.artifact import role_of
from dmr_tui.store.facts import human_size, metadata_texts
from dmr_tui.store.gguf import Array, GGUFHeader, read_beginning
from dmr_tui.store.manifest import ConfigFile, Dates, ModelConfig, parse_config
from dmr_tui.store.reference import DOCKER_HUB, Reference
from dmr_tui.store.transfer.grip import Grip
from dmr_tui.store.transfer.hub import choice
from dmr_tui.store.transfer.hub.client import Commit, Hub, HubFile
from dmr_tui.store.transfer.hub.name import HubName, hub_name, parse_source
from dmr_tui.store.transfer.lanes import BlobSource
from dmr_tui.store.transfer.locate import locate
from dmr_tui.store.transfer.pull import examine
from dmr_tui.store.transfer.registry import RemoteManifest, Repository
from dmr_tui.store.transfer.retry import Persistence
from dmr_tui.store.transfer.wire import Wire
from dmr_tui.system.memory import read_memory

_ATTEMPTS = 2
_BEGINNING = 64 << 10  # bytes of a GGUF file that hold what comes before its vocabulary


@dataclass(frozen=True)
class Remote:
    """A model that is published somewhere.

    Attributes:
        id: digest of its manifest; empty on the Hugging Face Hub, where it gets one by the pull.
        config: what it says of itself.
        size: bytes of what a pull fetches.
        weights: bytes of that which are GGUF files.
        vocabulary: tokens it knows; 0 where that is not told.
    """

    id: str
    config: ConfigFile
    size: int
    weights: int
    vocabulary: int = 0


def look(
    name: str,
    *,
    default_registry: str = DOCKER_HUB,
    insecure: bool = False,
    mirrors: str = "",
    cancelled: threading.Event | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Remote:
    """What a published model is. Blocks: for a thread.

    Args:
        name: as `pull` takes it.
        default_registry: of names that have none.
        insecure: any registry but Docker Hub may speak plain HTTP.
        mirrors: base URLs with commas between them, to try before Docker Hub itself.
        cancelled: set it to stop the look-up.
        environ: may name another Hub (`HF_ENDPOINT`) and a token (`HF_TOKEN`).

    Raises:
        InvalidRequestError: the text is no name.
        ModelNotFoundError: there is no such model.
        UnauthorizedError: it is not for this person.
        UnsupportedModelError: it is none that a pull could bring.
        RegistryError: whoever was asked fails.
        StoppedError: the look-up was cancelled.
    """
    reference = parse_source(name, default_registry=default_registry)
    persistence = Persistence(cancelled or threading.Event(), attempts=_ATTEMPTS)
    with Wire(persistence) as wire:
        if isinstance(reference, HubName) or reference.is_huggingface:
            wanted = reference if isinstance(reference, HubName) else hub_name(reference)
            return _at_hugging_face(Hub(wire, environ), wanted)
        repository, remote = locate(
            wire,
            reference,
            default_registry=default_registry,
            insecure=insecure,
            mirror_setting=mirrors,
            warn=_ignore,
        )
        return _at_registry(repository, remote, reference)


def _ignore(warning: str) -> None:
    """Of a mirror that is passed over."""


def _at_registry(repository: Repository, remote: RemoteManifest, reference: Reference) -> Remote:
    manifest = examine(remote, reference)
    data = _read(repository.blobs, manifest.config.digest, manifest.config.size)
    algorithm, _, wanted = manifest.config.digest.partition(":")
    if hashlib.new(algorithm, data).hexdigest() != wanted:
        raise RegistryError(f"the bytes received for {manifest.config.digest} are not those")
    try:
        file = parse_config(data, manifest.config.media_type)
    except InvalidRequestError as error:
        raise RegistryError(f"{reference.registry} sent a bad config: {error.message}") from error
    weights = sum(layer.size for layer in manifest.layers if role_of(layer) == "gguf")
    return Remote(remote.digest, file, manifest.size, weights)


def _at_hugging_face(hub: Hub, name: HubName) -> Remote:
    commit = hub.commit(name.repository, name.revision)
    files = hub.files(name.repository, commit)
    moment = Dates(created=commit.modified)
    found = choice.variants(files)
    if not found:
        size = sum(file.size for file in choice.safetensors(files, name.repository))
        config = ModelConfig(format="safetensors", size=human_size(size))
        return Remote("", ConfigFile(config, moment), size, 0)
    memory = read_memory().total
    variant = choice.choose(found, name.wanted, repository=name.repository, memory=memory)
    beside = [file for file in (choice.projector(files), choice.template(files)) if file]
    first = variant.files[0]
    header = _header(hub, name, commit, first)
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    config = ModelConfig(
        format="gguf",
        quantization=header.quantization or variant.name,
        architecture=header.architecture,
        size=human_size(variant.size),
        gguf=metadata_texts(header),
    )
    return Remote(
        "",
        ConfigFile(config, moment),
        variant.size + sum(file.size for file in beside),
        variant.size,
        tokens.count if isinstance(tokens, Array) else 0,
    )


def _header(hub: Hub, name: HubName, commit: Commit, file: HubFile) -> GGUFHeader:
    """What the beginning of a GGUF file tells; its tensors are not among that."""
    if file.digest:
        content = hub.content(name.repository, commit, [file])
        data = _read(content, file.digest, min(file.size, _BEGINNING))
    else:
        data = hub.read(name.repository, commit, file)
    try:
        metadata = read_beginning(data, file.path)
    except InvalidRequestError as error:
        raise RegistryError(f"the file of {name.shown} is bad: {error.message}") from error
    return GGUFHeader(Path(file.path), 0, metadata, (), 0)


def _read(source: BlobSource, digest: str, count: int) -> bytes:
    """The first bytes of a blob."""
    data = bytearray()
    with source.open(digest, 0, count, Grip()) as stream:
        for chunk in stream.chunks:
            data += chunk
            if len(data) >= count:
                break
    return bytes(data[:count])
