"""Pulls from a stand-in of the Hub over real sockets."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmr_tui.errors import (
    InvalidRequestError,
    ModelNotFoundError,
    RegistryError,
    UnauthorizedError,
)
from dmr_tui.store.manifest import FILE_METADATA, FILE_PATH
from dmr_tui.store.store import Store
from dmr_tui.store.transfer.hub.client import find_token
from dmr_tui.store.transfer.hub.name import parse_source
from dmr_tui.store.transfer.pieces import CELL
from tests.store.transfer.conftest import Transfers
from tests.support.hub import HubStandIn, hub_stand_in
from tests.support.stand_in import cut, digest_of, status

pytestmark = pytest.mark.usefixtures("quick_retries")

NAME = "hf.co/Org/Tiny-GGUF"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with hub_stand_in() as running:
        monkeypatch.setenv("HF_ENDPOINT", f"http://{running.host}")
        yield running


@pytest.fixture
def gguf(tiny_gguf: Path) -> bytes:
    return tiny_gguf.read_bytes()


def test_a_model_comes_with_its_projector_and_template(
    hub: HubStandIn, transfers: Transfers, gguf: bytes
) -> None:
    files = {
        "Tiny-Q8_0.gguf": gguf,
        "Tiny-Q4_K_M.gguf": gguf[:-1],
        "mmproj-F16.gguf": gguf + b"\0" * 32,
        "chat_template.jinja": b"{{ messages }}",
        "README.md": b"# Tiny",
    }
    hub.repository("Org/Tiny-GGUF", files)
    model = transfers.pull(f"{NAME}:q8_0")
    assert model.tags == ("huggingface.co/org/tiny-gguf:q8_0",)
    assert model.config.format == "gguf"
    layers = model.manifest.layers
    assert [layer.media_type.rpartition("ai.")[2] for layer in layers] == [
        "gguf.v3",
        "mmproj",
        "chat.template.jinja",
    ]
    assert [layer.digest for layer in layers] == [
        digest_of(files[name])
        for name in ("Tiny-Q8_0.gguf", "mmproj-F16.gguf", "chat_template.jinja")
    ]
    notes = [layer.annotations or {} for layer in layers]
    assert notes[0][FILE_PATH] == "Tiny-Q8_0.gguf"
    assert json.loads(notes[0][FILE_METADATA])["mtime"] == "2025-03-04T05:06:07Z"
    assert transfers.lines[-1].message == "Model pulled successfully"
    bundle = transfers.store.bundle(model)
    assert bundle.gguf.read_bytes() == gguf
    assert bundle.mmproj is not None
    assert bundle.chat_template is not None


def test_the_same_commit_gives_the_same_id_everywhere(
    hub: HubStandIn, transfers: Transfers, gguf: bytes, tmp_path: Path
) -> None:
    hub.repository("Org/Tiny-GGUF", {"Tiny-Q8_0.gguf": gguf})
    elsewhere = Transfers(Store(tmp_path / "elsewhere"))
    assert transfers.pull(NAME).id == elsewhere.pull(NAME).id


def test_what_is_there_is_not_fetched_again(
    hub: HubStandIn, transfers: Transfers, gguf: bytes
) -> None:
    hub.repository("Org/Tiny-GGUF", {"Tiny-Q8_0.gguf": gguf})
    transfers.pull(NAME)
    hub.content.seen.clear()
    transfers.pull(f"{NAME}:Q8_0@main")
    assert hub.content.seen == []
    assert transfers.lines[-1].message.startswith("Using cached model: ")
    assert len(transfers.store.models()[0].tags) == 2


def test_shards_become_layers_in_order(hub: HubStandIn, transfers: Transfers, gguf: bytes) -> None:
    shards = {f"Q8_0/m-{n:05d}-of-00002.gguf": gguf + bytes(32 * n) for n in (1, 2)}
    hub.repository("Org/Tiny-GGUF", shards)
    hub.page = 1
    model = transfers.pull(f"{NAME}:Q8_0")
    assert [layer.digest for layer in model.manifest.layers] == [
        digest_of(shards[path]) for path in sorted(shards)
    ]
    assert transfers.store.bundle(model).gguf.name == "model-00001-of-00002.gguf"


def test_the_case_of_a_repository_is_kept(
    hub: HubStandIn, transfers: Transfers, gguf: bytes
) -> None:
    hub.repository("Org/Tiny-GGUF", {"a.gguf": gguf})
    transfers.pull("huggingface.co/Org/Tiny-GGUF")
    assert transfers.store.find("hf.co/ORG/tiny-gguf").tags == (
        "huggingface.co/org/tiny-gguf:latest",
    )


def test_the_token_goes_to_the_hub_alone(
    hub: HubStandIn, transfers: Transfers, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repository("Org/Tiny-GGUF", {"a.gguf": gguf, "chat_template.jinja": b"x"})
    hub.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    transfers.pull(NAME)
    assert {request.headers.get("authorization") for request in hub.seen} == {"Bearer hf_secret"}
    assert hub.content.seen
    assert all("authorization" not in request.headers for request in hub.content.seen)


def test_a_token_that_is_given_stands_in_for_the_environments(
    hub: HubStandIn, transfers: Transfers, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repository("Org/Tiny-GGUF", {"a.gguf": gguf})
    hub.token = transfers.token = "hf_given"
    monkeypatch.setenv("HF_TOKEN", "hf_server")
    transfers.pull(NAME)
    assert {request.headers.get("authorization") for request in hub.seen} == {"Bearer hf_given"}
    transfers.token = "hf_\u201cquoted\u201d"
    with pytest.raises(InvalidRequestError, match="bearer-token") as caught:
        transfers.pull(NAME)
    assert "quoted" not in str(caught.value)


def test_a_signed_address_that_runs_out_is_renewed(
    hub: HubStandIn, transfers: Transfers, gguf: bytes
) -> None:
    hub.repository("Org/Tiny-GGUF", {"a.gguf": gguf})
    hub.content.uses = 1
    hub.content.fault("GET", *[cut(hub.content, 100_000)] * 3)
    hub.content.blobs |= {
        f"{digest_of(gguf)}?X-Amz-Signature=s{n}": gguf for n in range(9)
    }  # `cut` looks the whole path up
    transfers.pull(NAME)
    assert transfers.store.blobs.path(digest_of(gguf)).read_bytes() == gguf


def test_lanes_share_one_signed_address(hub: HubStandIn, transfers: Transfers, gguf: bytes) -> None:
    large = gguf + random.Random(5).randbytes(6 * CELL)
    hub.repository("Org/Tiny-GGUF", {"a.gguf": large})
    transfers.pull(NAME)
    assert len(hub.asked("/resolve/")) == 1
    assert len(hub.content.seen) >= 4
    assert sum(request.sent for request in hub.content.seen) == len(large)


def test_a_gated_repository_says_what_to_do(
    hub: HubStandIn, transfers: Transfers, gguf: bytes
) -> None:
    hub.repository("Org/Tiny-GGUF", {"a.gguf": gguf})
    hub.token, hub.gated = "hf_other", True
    with pytest.raises(UnauthorizedError, match="Org/Tiny-GGUF is gated") as caught:
        transfers.pull(NAME)
    assert "HF_TOKEN" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf.co/Org/None", "no repository Org/None, or none that you may see"),
        (f"{NAME}@nowhere", "has no such revision"),
        (f"{NAME}:Q2_K", "has no Q2_K"),
    ],
)
def test_what_is_not_there_is_said_plainly(
    hub: HubStandIn, transfers: Transfers, gguf: bytes, name: str, message: str
) -> None:
    hub.repository("Org/Tiny-GGUF", {"a-Q8_0.gguf": gguf})
    with pytest.raises(ModelNotFoundError, match=message):
        transfers.pull(name)
    assert hub.content.seen == []


def test_a_limit_is_said_plainly(hub: HubStandIn, transfers: Transfers, gguf: bytes) -> None:
    hub.repository("Org/Tiny-GGUF", {"a.gguf": gguf})
    hub.fault("/revision/", status(429, RateLimit='"api";r=0;t=155'))
    with pytest.raises(RegistryError, match=r"limits how often .* wait for 155 s"):
        transfers.pull(NAME)


def test_wrong_bytes_are_refused(hub: HubStandIn, transfers: Transfers, gguf: bytes) -> None:
    hub.repository("Org/Tiny-GGUF", {"a.gguf": gguf, "chat_template.jinja": b"right"})
    hub.content.blobs[digest_of(gguf)] = bytes(len(gguf))
    with pytest.raises(RegistryError, match="are not those"):
        transfers.pull(NAME)
    hub.content.blobs[digest_of(gguf)] = gguf
    hub.fault("/resolve/.*jinja", lambda request: request.answer(200, b"wrong"))
    with pytest.raises(RegistryError, match="are not those of the commit"):
        transfers.pull(NAME)


def test_a_file_that_is_no_gguf_is_told(hub: HubStandIn, transfers: Transfers) -> None:
    hub.repository("Org/Tiny-GGUF", {"a.gguf": b"not a model" * 1000})
    with pytest.raises(RegistryError, match="the repository's files are bad"):
        transfers.pull(NAME)
    assert transfers.store.models() == []


def test_safetensors_become_an_artifact_of_files(hub: HubStandIn, transfers: Transfers) -> None:
    head = json.dumps({"w": {"dtype": "F16", "shape": [600], "data_offsets": [0, 1200]}}).encode()
    weights = struct.pack("<Q", len(head)) + head + bytes(1200)
    config = json.dumps({"model_type": "llama", "max_position_embeddings": 2048}).encode()
    files = {"model.safetensors": weights, "config.json": config, "tok/x.json": b"{}"}
    hub.repository("Org/Safe", files)
    model = transfers.pull("hf.co/Org/Safe")
    assert model.config.format == "safetensors"
    assert model.config.context_size == 2048
    assert [(layer.annotations or {})[FILE_PATH] for layer in model.manifest.layers] == [
        "config.json",
        "model.safetensors",
    ]
    assert model.manifest.config.media_type.endswith("v0.2+json")
    assert [path.name for path in (transfers.store.root / ".dmr").glob("hub-*")] == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf.co/Org/Repo", ("Org/Repo", "", "main", "huggingface.co/org/repo:latest")),
        ("HF.co/O/R:Q8_0", ("O/R", "Q8_0", "main", "huggingface.co/o/r:Q8_0")),
        ("hf.co/O/R:sub/F.gguf@v1", ("O/R", "sub/F.gguf", "v1", "huggingface.co/o/r:F.gguf")),
        (
            "huggingface.co/O/R:latest@refs/pr/1",
            ("O/R", "", "refs/pr/1", "huggingface.co/o/r:latest"),
        ),
    ],
)
def test_names_of_the_hub(text: str, parts: tuple[str, ...]) -> None:
    name = parse_source(text, default_registry="docker.io")
    assert not isinstance(name, str)
    assert (name.repository, name.wanted, name.revision, str(name.reference)) == parts  # type: ignore[union-attr]  # a HubName


@pytest.mark.parametrize(
    "text", ["hf.co/O/R@", "hf.co/O/R@../x", "hf.co/", "hf.co/a/b/c", "hf.co/O/R:a b"]
)
def test_what_is_no_name_of_the_hub(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        parse_source(text, default_registry="docker.io")


def test_the_token_is_where_the_hubs_own_programs_keep_it(home: Path, tmp_path: Path) -> None:
    assert find_token({}) == ""
    (home / ".cache" / "huggingface").mkdir(parents=True)
    (home / ".cache" / "huggingface" / "token").write_text("one\n")
    assert find_token({}) == "one"
    (tmp_path / "token").write_text("two")
    assert find_token({"HF_HOME": str(tmp_path)}) == "two"
    assert find_token({"HF_TOKEN_PATH": str(tmp_path / "token")}) == "two"
    assert find_token({"HF_TOKEN": " three ", "HF_HOME": str(tmp_path)}) == "three"


@pytest.mark.parametrize("name", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
@pytest.mark.parametrize("token", ["“hf_abc”", "hf_abc\nhf_def"])
def test_what_can_be_no_token_is_refused_before_anything_is_sent(
    hub: HubStandIn,
    transfers: Transfers,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    token: str,
) -> None:
    monkeypatch.setenv(name, token)
    with pytest.raises(InvalidRequestError, match=f"{name} holds characters that no token has"):
        transfers.pull(NAME)
    assert hub.seen == []
    (tmp_path / "token").write_text(token)
    assert find_token({"HF_HOME": str(tmp_path)}) == ""
