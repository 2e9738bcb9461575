"""Searches of stand-ins of Docker Hub and the Hugging Face Hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dmr_tui.errors import InvalidRequestError, RegistryError
from dmr_tui.store.transfer.found import Found, Source
from dmr_tui.store.transfer.search import search
from tests.support.hub import HubStandIn, hub_stand_in
from tests.support.stand_in import Request, StandIn, redirect, serving, status

SIZES = {"smollm2": 270_000_000, "gemma3": 1 << 50}


class DockerHub(StandIn):
    """Two models, one on each page."""

    def obey(self, request: Request) -> None:
        parts = urlsplit(request.path)
        if "/tags/" in parts.path:
            name = parts.path.split("/")[4]
            body: dict[str, Any] = {"name": "latest", "full_size": SIZES[name]}
            request.answer(200, json.dumps(body).encode())
            return
        first = "page=2" not in parts.query
        name, pulls = ("smollm2", 5) if first else ("gemma3", 1_234_567)
        row = {
            "name": name,
            "description": f"about {name}",
            "pull_count": pulls,
            "star_count": 3,
            "last_updated": "2025-01-02T03:04:05Z",
        }
        url = f"http://{self.host}/v2/repositories/ai/?page=2"
        body = {"count": 2, "next": url if first else None, "results": [row]}
        request.answer(200, json.dumps(body).encode())


@pytest.fixture
def docker_hub() -> Iterator[DockerHub]:
    with serving(DockerHub()) as running:
        yield running


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with hub_stand_in() as running:
        running.found = [
            {
                "id": "Org/Tiny-GGUF",
                "downloads": 7,
                "likes": 2,
                "tags": ["gguf", "llama"],
                "pipeline_tag": "text-generation",
            },
            {"id": "Org/Other", "downloads": 9, "tags": ["safetensors", "gguf"]},
        ]
        yield running


def look(docker_hub: DockerHub, hub: HubStandIn, term: str = "", **options: Any) -> Found:
    environ = {"DMR_HUB_URL": f"http://{docker_hub.host}", "HF_ENDPOINT": f"http://{hub.host}/"}
    return search(term, environ=environ, **options)


def test_docker_hub_comes_first_and_then_the_most_downloaded(
    docker_hub: DockerHub, hub: HubStandIn
) -> None:
    found = look(docker_hub, hub)
    assert [hit.name for hit in found.hits] == [
        "ai/gemma3",
        "ai/smollm2",
        "hf.co/Org/Other",
        "hf.co/Org/Tiny-GGUF",
    ]
    assert found.warnings == []
    gemma, smollm, other, tiny = found.hits
    assert (gemma.size, gemma.fits, smollm.size, smollm.fits) == (1 << 50, False, 270_000_000, True)
    assert smollm.official
    assert (other.backend, tiny.backend) == ("llama.cpp, vllm", "llama.cpp")
    assert tiny.description == "text generation"
    assert tiny.size == 0


def test_the_size_is_that_of_what_would_be_pulled(docker_hub: DockerHub, hub: HubStandIn) -> None:
    hub.repository("Org/Tiny-GGUF", {"a-Q4_K_M.gguf": bytes(5000), "a-Q8_0.gguf": bytes(9000)})
    hub.repository("Org/Other", {"a.safetensors": bytes(3000), "x.bin": bytes(9000)})
    hub.fault("/api/models/Org/.*", *[_renamed(hub)] * 2)
    found = look(docker_hub, hub, source="huggingface")
    assert [hit.size for hit in found.hits] == [3000, 5000]


def _renamed(hub: HubStandIn) -> Any:
    """The trees of the stand-in are those of its commit; a search asks for `main`."""

    def answer(request: Request) -> None:
        request.path = request.path.replace("/tree/main", f"/tree/{'0123456789abcdef' * 2}01234567")
        hub.obey(request)

    return answer


def test_a_term_and_a_limit_are_obeyed(docker_hub: DockerHub, hub: HubStandIn) -> None:
    found = look(docker_hub, hub, "SMOL", limit=2)
    assert [hit.name for hit in found.hits] == ["ai/smollm2", "hf.co/Org/Other"]
    query = parse_qs(urlsplit(hub.asked("/api/models[?]")[0].path).query)
    assert query["search"] == ["SMOL"]
    assert query["limit"] == ["2"]
    with pytest.raises(InvalidRequestError, match="a limit of 0"):
        look(docker_hub, hub, limit=0)


@pytest.mark.parametrize(
    ("source", "names"),
    [("dockerhub", {"ai"}), ("huggingface", {"hf.co"}), ("all", {"ai", "hf.co"})],
)
def test_one_source_can_be_chosen(
    docker_hub: DockerHub, hub: HubStandIn, source: Source, names: set[str]
) -> None:
    found = look(docker_hub, hub, source=source)
    assert {hit.name.partition("/")[0] for hit in found.hits} == names


def test_a_source_that_fails_is_a_warning_and_all_are_an_error(
    docker_hub: DockerHub, hub: HubStandIn
) -> None:
    limited = status(429, Retry_After="0")
    docker_hub.fault("GET /v2/repositories/ai/", *[limited] * 2)
    found = look(docker_hub, hub)
    assert [hit.name for hit in found.hits] == ["hf.co/Org/Other", "hf.co/Org/Tiny-GGUF"]
    assert found.warnings == [
        "failed to search Docker Hub: rate limited by Docker Hub, please try again later"
    ]
    docker_hub.fault("GET /v2/repositories/ai/", lambda request: request.answer(200, b"<html>"))
    hub.fault("GET /api/models", *[limited] * 2)
    with pytest.raises(RegistryError, match=r"no list of models.*; .*rate limited by HuggingFace"):
        look(docker_hub, hub)


def test_a_list_that_goes_on_elsewhere_is_not_followed(
    docker_hub: DockerHub, hub: HubStandIn
) -> None:
    body = {"results": [], "next": "http://127.0.0.1:9/v2/"}
    docker_hub.fault("GET", lambda request: request.answer(200, json.dumps(body).encode()))
    assert "elsewhere" in look(docker_hub, hub).warnings[0]
    docker_hub.fault("GET", redirect("http://127.0.0.1:9/"))
    assert look(docker_hub, hub).warnings


def test_an_address_that_is_none_is_told(docker_hub: DockerHub, hub: HubStandIn) -> None:
    with pytest.raises(InvalidRequestError, match="DMR_HUB_URL"):
        search(environ={"DMR_HUB_URL": "nowhere"})
    with pytest.raises(InvalidRequestError, match="HF_ENDPOINT"):
        search(environ={"HF_ENDPOINT": "x"}, source="huggingface")
