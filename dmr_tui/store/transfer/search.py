"""Search: which models Docker Hub and the Hugging Face Hub have.

Docker Hub's `ai/` organisation is small and has no search of its own: its list is filtered here.
Sizes come from one more look-up for each hit, several at once; one that fails is left open.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from dmr_tui.errors import DmrError, InvalidRequestError, RegistryError
from dmr_tui.store.transfer.docker_hub import get_json, hub_address
from dmr_tui.store.transfer.found import DEFAULT_LIMIT, Found, Hit, Source
from dmr_tui.store.transfer.hub.choice import choose, variants
from dmr_tui.store.transfer.hub.client import Commit, Hub
from dmr_tui.store.transfer.registry import origin
from dmr_tui.store.transfer.retry import Persistence, TransientError
from dmr_tui.store.transfer.wire import Wire, split_url
from dmr_tui.system.memory import read_memory

_NAMES = {"dockerhub": "Docker Hub", "huggingface": "HuggingFace"}
_PAGE = 100
_MOST_PAGES = 20
_MOST_HITS = 1000
_WORKERS = 4
_ATTEMPTS = 2
_BACKENDS = (("gguf", "llama.cpp"), ("safetensors", "vllm"), ("diffusers", "diffusers"))
_ROOM = 1.2  # times its size that a model takes in memory, roughly


class _HubRepository(Struct, frozen=True):
    name: str
    description: str | None = ""
    pull_count: int = 0
    star_count: int = 0
    last_updated: str | None = ""


class _HubPage(Struct, frozen=True):
    results: list[_HubRepository]
    following: str | None = msgspec.field(default=None, name="next")


class _HubTag(Struct, frozen=True):
    full_size: int = 0


class _FaceModel(Struct, frozen=True):
    id: str
    downloads: int = 0
    likes: int = 0
    modified: str = msgspec.field(default="", name="lastModified")
    pipeline: str = msgspec.field(default="", name="pipeline_tag")
    tags: list[str] = []


def search(
    term: str = "",
    *,
    limit: int = DEFAULT_LIMIT,
    source: Source = "all",
    sizes: bool = True,
    cancelled: threading.Event | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Found:
    """Look for models. Blocks: for a thread.

    Args:
        term: a part of the name or the description; empty finds what is popular.
        limit: most hits.
        source: where to look.
        sizes: also find out how large each hit is, which takes another request for each.
        cancelled: set it to stop the search.
        environ: may name other addresses (`DMR_HUB_URL`, `HF_ENDPOINT`) and a token (`HF_TOKEN`).

    Returns:
        Docker Hub's hits first, each source's by downloads; a source that fails is a warning.

    Raises:
        RegistryError: every source failed.
        InvalidRequestError: the limit or an address is none.
        StoppedError: the search was cancelled.
    """
    if not 0 < limit <= _MOST_HITS:
        raise InvalidRequestError(f"a limit of {limit} is not possible", f"1 to {_MOST_HITS}")
    searches: dict[str, Callable[[Wire, str, int, Mapping[str, str]], list[Hit]]] = {
        "dockerhub": _docker_hub,
        "huggingface": _hugging_face,
    }
    chosen = [name for name in searches if source in ("all", name)]
    hits: list[Hit] = []
    warnings: list[str] = []
    persistence = Persistence(cancelled or threading.Event(), attempts=_ATTEMPTS)
    with Wire(persistence) as wire:
        for name in chosen:
            try:
                found = searches[name](wire, term, limit, environ)
            except RegistryError as error:
                persistence.check()
                warnings.append(f"failed to search {_NAMES[name]}: {_reason(error, name)}")
            else:
                hits += sorted(found, key=lambda hit: -hit.downloads)
        if len(warnings) == len(chosen):
            raise RegistryError("; ".join(warnings), "check the network, and try again later")
        hits = hits[:limit]
        return Found(_measured(wire, hits, environ) if sizes else hits, warnings)


def _docker_hub(wire: Wire, term: str, limit: int, environ: Mapping[str, str]) -> list[Hit]:
    query = urlencode({"page_size": min(limit, _PAGE), "ordering": "pull_count"})
    base = hub_address(environ)
    url, hits = f"{base}/v2/repositories/ai/?{query}", list[Hit]()
    for _ in range(_MOST_PAGES):
        page = get_json(wire, url, _HubPage)
        for each in page.results:
            described = each.description or ""
            if term.lower() in f"ai/{each.name} {described}".lower():
                hits.append(
                    Hit(
                        name=f"ai/{each.name}",
                        description=described,
                        downloads=each.pull_count,
                        stars=each.star_count,
                        source=_NAMES["dockerhub"],
                        official=True,
                        updated_at=each.last_updated or "",
                        backend=_backend_of(each.name),
                    )
                )
        if len(hits) >= limit or not page.following:
            break
        url = split_url(page.following, url).geturl()
        if origin(url) != origin(base):
            raise RegistryError(f"Docker Hub continues its list elsewhere: {url}")
    return hits


def _hugging_face(wire: Wire, term: str, limit: int, environ: Mapping[str, str]) -> list[Hit]:
    query = {
        "apps": "vllm,llama.cpp",
        "sort": "downloads",
        "direction": "-1",
        "limit": str(limit),
        **({"search": term} if term else {}),
    }
    hub = Hub(wire, environ)
    found = hub.find(urlencode(query), list[_FaceModel])
    return [
        Hit(
            name=f"hf.co/{model.id}",
            description=model.pipeline.replace("-", " "),
            downloads=model.downloads,
            stars=model.likes,
            source=_NAMES["huggingface"],
            updated_at=model.modified,
            backend=_backend_by(model.tags),
        )
        for model in found
    ]


def _measured(wire: Wire, hits: Sequence[Hit], environ: Mapping[str, str]) -> list[Hit]:
    """The hits with their sizes, as far as those can be found out."""
    memory = read_memory().total
    hub, base = Hub(wire, environ), hub_address(environ)

    def measure(hit: Hit) -> Hit:
        try:
            if hit.name.startswith("hf.co/"):
                size = _default_size(hub, hit.name.removeprefix("hf.co/"), memory)
            else:
                url = f"{base}/v2/repositories/{quote(hit.name)}/tags/latest"
                size = get_json(wire, url, _HubTag).full_size
        except DmrError:
            wire.persistence.check()
            return hit
        fits = size * _ROOM <= memory if size else None
        return msgspec.structs.replace(hit, size=size, fits=fits)

    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="search") as pool:
        return list(pool.map(measure, hits))


def _default_size(hub: Hub, repository: str, memory: int) -> int:
    """Bytes of what a pull without a wish fetches; of all weights where it is no GGUF model."""
    files = hub.files(repository, Commit("main"))
    found = variants(files)
    if found:
        return choose(found, "", repository=repository, memory=memory).size
    return sum(file.size for file in files if file.path.endswith(".safetensors"))


def _reason(error: RegistryError, source: str) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, TransientError) else error
    if isinstance(cause, TransientError) and cause.status == 429:
        return f"rate limited by {_NAMES[source]}, please try again later"
    return error.message


def _backend_of(name: str) -> str:
    return "vllm" if name.endswith(("-vllm", "-safetensors")) else "llama.cpp"


def _backend_by(tags: Sequence[str]) -> str:
    known = [backend for tag, backend in _BACKENDS if tag in tags]
    return ", ".join(known) or "unknown"
