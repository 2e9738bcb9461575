"""Which variants of a model there are: the tags of a repository, with their sizes.

Docker Hub lists tags with sizes in an API of its own; asking it does not count as a pull. Any other
registry lists names only, so each manifest is looked at. On the Hugging Face Hub a variant is a
GGUF file, or a set of shards.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import quote

import msgspec
from msgspec import Struct

from dmr_tui.errors import DmrError, ModelNotFoundError, RegistryError
from dmr_tui.store.artifact import role_of
from dmr_tui.store.manifest import parse_manifest
from dmr_tui.store.reference import DEFAULT_TAG, DOCKER_HUB, Reference
from dmr_tui.store.transfer.docker_hub import get_json, hub_address
from dmr_tui.store.transfer.found import Variant
from dmr_tui.store.transfer.hub import choice
from dmr_tui.store.transfer.hub.client import Commit, Hub
from dmr_tui.store.transfer.hub.name import HubName, hub_name, parse_source
from dmr_tui.store.transfer.labels import parameters_in, quantization_in
from dmr_tui.store.transfer.locate import open_repository
from dmr_tui.store.transfer.origins import addresses, reach
from dmr_tui.store.transfer.registry import Repository, origin
from dmr_tui.store.transfer.retry import Persistence
from dmr_tui.store.transfer.wire import Wire, split_url
from dmr_tui.system.memory import read_memory

_ATTEMPTS = 2
_WORKERS = 4
_PAGE = 100
_MOST_PAGES = 5
_MOST_MANIFESTS = 64
"""Tags of a plain registry that are looked at: each is a request."""


class _HubTag(Struct, frozen=True):
    name: str
    full_size: int | None = 0
    last_updated: str | None = ""
    digest: str | None = ""


class _HubTags(Struct, frozen=True):
    results: list[_HubTag]
    following: str | None = msgspec.field(default=None, name="next")


def variants(
    name: str,
    *,
    default_registry: str = DOCKER_HUB,
    insecure: bool = False,
    cancelled: threading.Event | None = None,
    environ: Mapping[str, str] = os.environ,
) -> list[Variant]:
    """All variants of a model, the smallest first. Blocks: for a thread.

    Args:
        name: of the model, as `pull` takes it; its tag does not matter.
        default_registry: of names that have none.
        insecure: any registry but Docker Hub may speak plain HTTP.
        cancelled: set it to stop the look-up.
        environ: may name other addresses (`DMR_HUB_URL`, `HF_ENDPOINT`) and a token (`HF_TOKEN`).

    Raises:
        InvalidRequestError: the text is no name.
        ModelNotFoundError: there is no such repository.
        UnauthorizedError: it is not for this person.
        RegistryError: whoever was asked fails.
        StoppedError: the look-up was cancelled.
    """
    reference = parse_source(name, default_registry=default_registry)
    persistence = Persistence(cancelled or threading.Event(), attempts=_ATTEMPTS)
    with Wire(persistence) as wire:
        if isinstance(reference, HubName) or reference.is_huggingface:
            wanted = reference if isinstance(reference, HubName) else hub_name(reference)
            found = _of_hugging_face(Hub(wire, environ), wanted)
        elif reference.registry == DOCKER_HUB:
            found = _of_docker_hub(wire, reference, hub_address(environ))
        else:

            def at(base: str) -> tuple[Repository, list[str]]:
                repository = open_repository(
                    wire, base, reference, default_registry=default_registry
                )
                return repository, repository.tags()

            bases = addresses(reference.registry, insecure=insecure)
            found = _of_registry(*reach(bases, at), reference, persistence)
    return sorted(found, key=lambda variant: (variant.size, variant.tag))


def _of_docker_hub(wire: Wire, reference: Reference, base: str) -> list[Variant]:
    url = f"{base}/v2/repositories/{quote(reference.repository)}/tags?page_size={_PAGE}"
    tags: list[_HubTag] = []
    for _ in range(_MOST_PAGES):
        try:
            page = get_json(wire, url, _HubTags)
        except ModelNotFoundError:
            raise ModelNotFoundError(
                f"Docker Hub has no {reference.repository}", "check the name, or search for it"
            ) from None
        tags += page.results
        if not page.following:
            break
        url = split_url(page.following, url).geturl()
        if origin(url) != origin(base):
            raise RegistryError(f"Docker Hub continues its list elsewhere: {url}")
    return _folded(
        [
            _variant(
                reference,
                tag.name,
                size=tag.full_size or 0,
                updated_at=tag.last_updated or "",
                digest=tag.digest or "",
            )
            for tag in tags
        ]
    )


def _of_registry(
    repository: Repository, tags: list[str], reference: Reference, persistence: Persistence
) -> list[Variant]:
    def look(tag: str) -> Variant | None:
        try:
            remote = repository.manifest(tag)
            manifest = parse_manifest(remote.data)
        except DmrError:
            persistence.check()
            return None  # no model, or one that has just gone
        weights = sum(layer.size for layer in manifest.layers if role_of(layer) == "gguf")
        return _variant(reference, tag, size=manifest.size, weights=weights, digest=remote.digest)

    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="variants") as pool:
        return _folded(
            [found for found in pool.map(look, tags[:_MOST_MANIFESTS]) if found is not None]
        )


def _of_hugging_face(hub: Hub, name: HubName) -> list[Variant]:
    files = hub.files(name.repository, Commit(name.revision))
    revision = "" if name.revision == "main" else f"@{name.revision}"
    found = choice.variants(files)
    if not found:
        size = sum(file.size for file in choice.safetensors(files, name.repository))
        shown = f"{name.shown}{revision}"
        count = parameters_in(name.repository)
        return [Variant(shown, "safetensors", size, parameters=count, preferred=True)]
    beside = [file for file in (choice.projector(files), choice.template(files)) if file]
    extra = sum(file.size for file in beside)
    names = [variant.name for variant in found]
    best = choice.choose(found, "", repository=name.repository, memory=read_memory().total)
    return [
        Variant(
            name=f"{name.shown}:{_wish(variant, names)}{revision}",
            tag=_wish(variant, names),
            size=variant.size + extra,
            weights=variant.size,
            quantization=quantization_in(variant.name),
            parameters=parameters_in(variant.files[0].path) or parameters_in(name.repository),
            preferred=variant is best,
        )
        for variant in found
    ]


def _wish(variant: choice.Variant, names: Sequence[str]) -> str:
    """The quantization where that means one variant, else the first file's path."""
    return variant.name if names.count(variant.name) == 1 else variant.files[0].path


def _variant(
    reference: Reference,
    tag: str,
    *,
    size: int,
    weights: int = 0,
    updated_at: str = "",
    digest: str = "",
) -> Variant:
    return Variant(
        name=replace(reference, tag=tag, digest=None).familiar(),
        tag=tag,
        size=size,
        weights=weights,
        updated_at=updated_at,
        quantization=quantization_in(tag),
        parameters=parameters_in(tag) or parameters_in(reference.repository),
        preferred=tag == DEFAULT_TAG,
        digest=digest,
    )


def _folded(found: Sequence[Variant]) -> list[Variant]:
    """Tags of the same bytes as one variant, under the name that tells the most."""
    groups: dict[str, list[Variant]] = {}
    for variant in found:
        groups.setdefault(variant.digest or variant.tag, []).append(variant)
    return [_as_one(group) for group in groups.values()]


def _as_one(group: Sequence[Variant]) -> Variant:
    first, *others = sorted(group, key=_telling, reverse=True)
    return msgspec.structs.replace(
        first,
        aliases=[other.tag for other in others],
        preferred=any(variant.preferred for variant in group),
    )


def _telling(variant: Variant) -> tuple[bool, bool, int]:
    return bool(variant.quantization), bool(variant.parameters), len(variant.tag)
