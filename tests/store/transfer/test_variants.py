"""Variants of models, and looks at them, at stand-ins and at a real registry."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dmr_tui.errors import (
    InvalidRequestError,
    ModelNotFoundError,
    RegistryError,
    UnauthorizedError,
    UnsupportedModelError,
)
from dmr_tui.store.gguf import Array, read_beginning, read_header
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from dmr_tui.store.transfer.labels import parameters_in, quantization_in
from dmr_tui.store.transfer.look import Remote, look
from dmr_tui.store.transfer.push import push
from dmr_tui.store.transfer.variants import variants
from tests.support.hub import HubStandIn, hub_stand_in
from tests.support.registry import LiveRegistry
from tests.support.stand_in import Request, StandIn, serving, stand_in, status

TAGS = [
    {"name": "latest", "full_size": 2_500_000_000, "digest": "sha256:a", "last_updated": "2025"},
    {"name": "4B-Q4_K_M", "full_size": 2_500_000_000, "digest": "sha256:a"},
    {"name": "4B", "full_size": 2_500_000_000, "digest": "sha256:a"},
    {"name": "1B-Q8_0", "full_size": 1_070_000_000, "digest": "sha256:b"},
    {"name": "27B-Q4_K_M", "full_size": None, "digest": None, "last_updated": None},
]


class DockerHub(StandIn):
    """The tags of one repository, two on a page."""

    def obey(self, request: Request) -> None:
        path, _, query = request.path.partition("?")
        if path != "/v2/repositories/ai/gemma3/tags":
            request.answer(404, b'{"message":"object not found"}')
            return
        page = int(dict(pair.split("=") for pair in query.split("&")).get("page", "1"))
        more = f"http://{self.host}{path}?page={page + 1}" if page * 2 < len(TAGS) else None
        rows = TAGS[page * 2 - 2 : page * 2]
        request.answer(200, json.dumps({"count": 5, "next": more, "results": rows}).encode())


@pytest.fixture
def docker_hub() -> Iterator[DockerHub]:
    with serving(DockerHub()) as running:
        yield running


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with hub_stand_in() as running:
        yield running


def at(server: StandIn) -> dict[str, str]:
    return {"DMR_HUB_URL": f"http://{server.host}", "HF_ENDPOINT": f"http://{server.host}"}


def test_tags_of_docker_hub_come_with_their_sizes_and_equal_ones_are_one(
    docker_hub: DockerHub,
) -> None:
    found = variants("gemma3", environ=at(docker_hub))
    assert [each.name for each in found] == [
        "gemma3:27B-Q4_K_M",
        "gemma3:1B-Q8_0",
        "gemma3:4B-Q4_K_M",
    ]
    unknown, small, middle = found
    assert (unknown.size, unknown.parameters) == (0, 27_000_000_000)
    assert (small.size, small.quantization, small.preferred) == (1_070_000_000, "Q8_0", False)
    assert (middle.tag, middle.preferred) == ("4B-Q4_K_M", True)
    assert sorted(middle.aliases) == ["4B", "latest"]


def test_a_repository_that_is_not_there_is_told(docker_hub: DockerHub) -> None:
    with pytest.raises(ModelNotFoundError, match="Docker Hub has no ai/nothing"):
        variants("nothing", environ=at(docker_hub))
    with pytest.raises(InvalidRequestError):
        variants("no name", environ=at(docker_hub))


def test_a_list_that_goes_on_elsewhere_is_not_followed(docker_hub: DockerHub) -> None:
    body = json.dumps({"results": [], "next": "http://127.0.0.1:9/v2/"}).encode()
    docker_hub.fault("GET", lambda request: request.answer(200, body))
    with pytest.raises(RegistryError, match="elsewhere"):
        variants("gemma3", environ=at(docker_hub))
    docker_hub.fault("GET", lambda request: request.answer(200, b"<html>"))
    with pytest.raises(RegistryError, match="no list"):
        variants("gemma3", environ=at(docker_hub))


def test_variants_of_hugging_face_are_its_quantizations(hub: HubStandIn) -> None:
    hub.page = 3
    hub.repository(
        "Org/Tiny-7B-GGUF",
        {
            "Tiny-7B-Q8_0.gguf": bytes(9000),
            "Tiny-7B-Q4_K_M.gguf": bytes(5000),
            "big/Tiny-7B-F16-00001-of-00002.gguf": bytes(8000),
            "big/Tiny-7B-F16-00002-of-00002.gguf": bytes(8001),
            "half/Tiny-7B-Q2_K-00001-of-00002.gguf": bytes(2000),
            "mmproj-F16.gguf": bytes(1100),
        },
    )
    found = variants("hf.co/Org/Tiny-7B-GGUF:Q8_0", environ=at(hub))
    assert [(each.tag, each.size, each.weights) for each in found] == [
        ("Q4_K_M", 6100, 5000),
        ("Q8_0", 10100, 9000),
        ("F16", 17101, 16001),
    ]
    assert found[0].name == "hf.co/Org/Tiny-7B-GGUF:Q4_K_M"
    assert [each.preferred for each in found] == [True, False, False]
    assert {each.parameters for each in found} == {7_000_000_000}


def test_variants_with_one_name_are_told_apart_by_their_files(hub: HubStandIn) -> None:
    files = {"a/One-Q4_0.gguf": bytes(2000), "b/Two-Q4_0.gguf": bytes(3000)}
    hub.repository("Org/Two", files)
    found = variants("hf.co/Org/Two", environ=at(hub))
    assert [each.name for each in found] == [
        "hf.co/Org/Two:a/One-Q4_0.gguf",
        "hf.co/Org/Two:b/Two-Q4_0.gguf",
    ]


def test_a_repository_of_safetensors_is_one_variant(hub: HubStandIn) -> None:
    hub.repository("Org/Plain", {"model.safetensors": bytes(3000), "config.json": b"{}"})
    (only,) = variants("hf.co/Org/Plain", environ=at(hub))
    assert (only.name, only.tag, only.size) == ("hf.co/Org/Plain", "safetensors", 3002)
    hub.repository("Org/Empty", {"README.md": b"# nothing"})
    with pytest.raises(UnsupportedModelError, match="neither GGUF nor safetensors"):
        variants("hf.co/Org/Empty", environ=at(hub))


def test_a_gated_repository_says_so(hub: HubStandIn) -> None:
    hub.repository("Org/Secret", {"a-Q4_0.gguf": bytes(2000)})
    hub.token, hub.gated = "hf_right", True
    with pytest.raises(UnauthorizedError, match="gated"):
        variants("hf.co/Org/Secret", environ=at(hub))
    assert variants("hf.co/Org/Secret", environ={**at(hub), "HF_TOKEN": "hf_right"})


def test_a_look_reads_the_beginning_of_a_file_only(hub: HubStandIn, tiny_gguf: Path) -> None:
    data = tiny_gguf.read_bytes()
    hub.repository("Org/Tiny", {"Tiny-Q8_0.gguf": data, "chat_template.jinja": b"{{ x }}"})
    found = look("hf.co/Org/Tiny", environ=at(hub))
    header = read_header(tiny_gguf)
    assert (found.size, found.weights) == (len(data) + 7, len(data))
    config = found.config.config
    assert (config.architecture, config.quantization) == ("llama", "Q8_0")
    assert config.gguf["llama.block_count"] == str(header.metadata["llama.block_count"])
    tokens = header.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, Array)
    assert found.vocabulary == tokens.count
    assert all(request.stop == min(len(data), 64 << 10) for request in hub.content.seen)
    with pytest.raises(ModelNotFoundError, match="has no Q2_K"):
        look("hf.co/Org/Tiny:Q2_K", environ=at(hub))


def test_a_look_at_a_bad_file_says_which(hub: HubStandIn) -> None:
    hub.repository("Org/Bad", {"Bad-Q4_0.gguf": b"no model at all" * 100})
    with pytest.raises(RegistryError, match=r"hf.co/Org/Bad is bad: .*does not begin with GGUF"):
        look("hf.co/Org/Bad", environ=at(hub))


def test_a_look_at_a_repository_of_safetensors(hub: HubStandIn) -> None:
    hub.repository("Org/Plain", {"model.safetensors": bytes(3000)})
    found = look("hf.co/Org/Plain", environ=at(hub))
    assert (found.config.config.format, found.size, found.weights) == ("safetensors", 3000, 0)


@pytest.fixture
def published(registry: LiveRegistry, tiny_gguf: Path, tmp_path: Path) -> str:
    """A repository with two tags of one model, at a real registry."""
    store = Store(tmp_path / "models", default_registry=registry.address)
    name = f"{registry.address}/variants/tiny"
    for tag in ("latest", "1M-Q8_0"):
        reference = parse_reference(f"{name}:{tag}")
        package_gguf(store, tiny_gguf, reference)
        push(store, reference, on_progress=lambda _: None, cancelled=threading.Event())
    return name


def test_a_real_registry_lists_its_tags(published: str, tiny_gguf: Path) -> None:
    found = variants(published)
    assert {tag for each in found for tag in (each.tag, *each.aliases)} == {"latest", "1M-Q8_0"}
    named = next(each for each in found if each.tag == "1M-Q8_0")
    assert named.name == f"{published}:1M-Q8_0"
    assert named.weights == tiny_gguf.stat().st_size < named.size
    assert (named.parameters, named.quantization) == (1_000_000, "Q8_0")
    with pytest.raises(ModelNotFoundError):
        variants(published + "-not")


def test_a_look_at_a_real_registry_reads_the_config(published: str, tiny_gguf: Path) -> None:
    found = look(published)
    assert isinstance(found, Remote)
    assert found.id.startswith("sha256:")
    assert found.weights == tiny_gguf.stat().st_size
    assert found.config.config.architecture == "llama"
    assert found.config.created > 0
    with pytest.raises(ModelNotFoundError, match="has no model"):
        look(f"{published}:none")


def test_pages_of_tags_are_followed_and_what_is_no_model_is_left_out() -> None:
    with stand_in() as server:
        server.model(bytes(2000), tag="8B-Q4_0")
        server.manifests["image"] = b'{"schemaVersion": 2}'

        def first(request: Request) -> None:
            link = '</v2/ai/tiny/tags/list?last=x>; rel="next"'
            request.answer(200, b'{"tags": ["image"]}', Link=link)

        def second(request: Request) -> None:
            request.answer(200, b'{"tags": ["8B-Q4_0", "gone"]}')

        server.fault("tags/list[?]n=", first)
        server.fault("tags/list[?]last=x", second)
        (only,) = variants(f"{server.host}/ai/tiny")
        assert (only.tag, only.weights) == ("8B-Q4_0", 2000)


def test_a_config_with_other_bytes_is_refused() -> None:
    with stand_in() as server:
        manifest = server.model(bytes(2000))
        server.blobs[manifest["config"]["digest"]] = b"{" + b" " * 400
        with pytest.raises(RegistryError, match="not those"):
            look(server.name)
        server.fault("tags/list", status(503), status(503))
        with pytest.raises(RegistryError):
            variants(server.name)


@pytest.mark.parametrize(
    ("text", "count", "quantization"),
    [
        ("4B-Q4_K_M", 4_000_000_000, "Q4_K_M"),
        ("360M-Q4_K_M", 360_000_000, "Q4_K_M"),
        ("Qwen3-30B-A3B-UD-Q4_K_XL", 30_000_000_000, "UD-Q4_K_XL"),
        ("Mixtral-8x7B", 56_000_000_000, ""),
        ("1.5b-instruct-f16", 1_500_000_000, "f16"),
        ("latest", 0, ""),
        ("phi3.5B2", 0, ""),
    ],
)
def test_names_tell_sizes_and_quantizations(text: str, count: int, quantization: str) -> None:
    assert parameters_in(text) == count
    assert quantization_in(text) == quantization


def test_the_beginning_of_a_file_tells_what_is_there(tiny_gguf: Path) -> None:
    data, header = tiny_gguf.read_bytes(), read_header(tiny_gguf)
    whole = read_beginning(data, "x")
    assert whole == header.metadata
    cut = data.index(b"tokenizer.ggml.tokens") + 60
    part: dict[str, Any] = read_beginning(data[:cut], "x")
    assert list(part) == list(header.metadata)[: len(part)]
    assert part["tokenizer.ggml.tokens"].count == whole["tokenizer.ggml.tokens"].count  # type: ignore[union-attr]  # an array
    assert part["tokenizer.ggml.tokens"].values is None
    for bad in (b"", b"GGUX" + data[4:], data[:6], b"GGUF\x09" + data[5:]):
        with pytest.raises(InvalidRequestError):
            read_beginning(bad, "x")
