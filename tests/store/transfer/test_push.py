"""Pushes to a registry that fails on the way."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from dmr_tui.errors import (
    InvalidRequestError,
    ModelNotFoundError,
    RegistryError,
    StoppedError,
    StoreError,
    UnsupportedModelError,
)
from dmr_tui.store.package import package_gguf
from dmr_tui.store.parts import Extras
from dmr_tui.store.reference import parse_reference
from tests.store.conftest import give_foreign_tag
from tests.store.transfer.conftest import Transfers
from tests.support.stand_in import Fault, Request, StandIn, digest_of, status

pytestmark = pytest.mark.usefixtures("quick_retries")

UPLOAD = "PUT .*/blobs/uploads/"


@pytest.fixture
def origin(server: StandIn, transfers: Transfers, tiny_gguf: Path) -> Transfers:
    """A store that holds the model which is to be pushed."""
    package_gguf(transfers.store, tiny_gguf, parse_reference(server.name))
    return transfers


def is_complete(server: StandIn, origin: Transfers) -> bool:
    model = origin.store.find(server.name)
    data = server.manifests["latest"]
    blobs = [*model.manifest.layers, model.manifest.config]
    return data == origin.store.manifest_bytes(model.id) and all(
        len(server.blobs[blob.digest]) == blob.size for blob in blobs
    )


def test_blobs_come_first_and_the_manifest_last(server: StandIn, origin: Transfers) -> None:
    origin.push(server.name)
    assert is_complete(server, origin)
    puts = [request for request in server.seen if request.method == "PUT"]
    assert "/manifests/latest" in puts[-1].path
    assert puts[-1].headers["content-type"] == json.loads(puts[-1].body)["mediaType"]
    assert [digest_of(put.body) for put in puts[:-1]] == origin.store.find(
        server.name
    ).manifest.digests
    assert "transfer-encoding" not in puts[0].headers


def test_a_push_by_digest_is_refused_and_overwrites_no_tag(
    server: StandIn, origin: Transfers
) -> None:
    model_id, name = origin.store.find(server.name).id, server.name.removesuffix(":latest")
    with pytest.raises(InvalidRequestError, match="names a digest; a push needs a tag"):
        origin.push(f"{name}@{model_id}")
    assert server.manifests == {}
    origin.push(f"{name}:v1@{model_id}")
    assert list(server.manifests) == ["v1"]


def test_what_the_registry_has_is_not_sent_again(server: StandIn, origin: Transfers) -> None:
    origin.push(server.name)
    server.seen.clear()
    origin.lines.clear()
    origin.push(server.name)
    assert server.asked("POST") == server.asked(UPLOAD) == []
    assert [line.layer.current for line in origin.lines if line.type == "progress"] == [
        layer.size for layer in origin.store.find(server.name).manifest.layers
    ]


def test_an_upload_that_fails_is_begun_again(server: StandIn, origin: Transfers) -> None:
    server.fault(UPLOAD, status(503), lambda request: request.hang_up(), status(500))
    server.fault("POST", status(502))
    server.fault("PUT .*/manifests/", status(504))
    origin.push(server.name)
    assert is_complete(server, origin)
    assert len(origin.warnings) == 5


def test_an_upload_that_is_refused_is_told(server: StandIn, origin: Transfers) -> None:
    body = b'{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}'
    server.fault(UPLOAD, lambda request: request.answer(400, body))
    with pytest.raises(RegistryError, match="answered 400 Bad Request: DIGEST_INVALID"):
        origin.push(server.name)
    assert len(server.asked(UPLOAD)) == 1
    assert server.manifests == {}


def test_an_upload_without_a_session_is_refused(server: StandIn, origin: Transfers) -> None:
    server.fault("POST", status(202))
    with pytest.raises(RegistryError, match=r"answered 202 Accepted \(for an upload\)"):
        origin.push(server.name)


def test_a_registry_that_stores_something_else_is_told(server: StandIn, origin: Transfers) -> None:
    def other(request: Request) -> None:
        request.answer(201, Docker_Content_Digest=digest_of(b"other"))

    server.fault("PUT .*/manifests/", other)
    with pytest.raises(RegistryError, match="not what was sent"):
        origin.push(server.name)


def test_a_cancelled_push_stops(server: StandIn, origin: Transfers) -> None:
    def stop(request: Request) -> None:
        origin.cancelled.set()
        server.obey(request)

    server.fault("POST", stop)
    with pytest.raises(StoppedError):
        origin.push(server.name)
    assert server.manifests == {}


def test_a_damaged_blob_is_not_pushed(server: StandIn, origin: Transfers) -> None:
    digest = origin.store.find(server.name).manifest.layers[0].digest
    os.truncate(origin.store.blobs.path(digest), 10)
    with pytest.raises(StoreError, match=f"{digest} is missing or damaged"):
        origin.push(server.name)
    assert server.asked("blobs|manifests") == []


def test_what_is_not_in_the_store_cannot_be_pushed(server: StandIn, transfers: Transfers) -> None:
    with pytest.raises(ModelNotFoundError):
        transfers.push(server.name)
    assert server.seen == []


def test_hugging_face_is_refused_clearly(transfers: Transfers) -> None:
    with pytest.raises(UnsupportedModelError, match="cannot be pushed"):
        transfers.push("hf.co/Org/Model:Q4_K_M")


@pytest.fixture
def large(server: StandIn, transfers: Transfers, tiny_gguf: Path, tmp_path: Path) -> Transfers:
    """A store with a model that does not go in one request."""
    file = tmp_path / "large.gguf"
    file.write_bytes(tiny_gguf.read_bytes() + random.Random(6).randbytes(6 << 20))
    package_gguf(transfers.store, file, parse_reference(server.name))
    return transfers


def arriving(server: StandIn, count: int) -> Fault:
    """Take so many bytes of a request's body, then break the connection."""

    def fault(request: Request) -> None:
        server.upload += request.body[:count]
        request.hang_up()

    return fault


def test_a_large_blob_goes_on_where_its_connection_broke(server: StandIn, large: Transfers) -> None:
    server.fault("PATCH", arriving(server, 2_000_000), arriving(server, 1_000_000))
    large.push(server.name)
    assert is_complete(server, large)
    assert [r.headers["content-range"].partition("-")[0] for r in server.asked("PATCH")] == [
        "0",
        "2000000",
        "3000000",
    ]


def test_an_upload_that_the_registry_lost_is_begun_anew(server: StandIn, large: Transfers) -> None:
    server.fault("PATCH", arriving(server, 2_000_000))
    server.fault("GET .*/uploads/", status(404))
    large.push(server.name)
    assert is_complete(server, large)
    assert len(server.asked("PATCH")) == 2


def test_a_blob_of_another_repository_is_mounted(
    server: StandIn, origin: Transfers, tiny_gguf: Path
) -> None:
    origin.store.tag(server.name, f"{server.host}/team/other")
    give_foreign_tag(origin.store, "docker.io/org/my-_model:v1")
    server.elsewhere[digest_of(tiny_gguf.read_bytes())] = tiny_gguf.read_bytes()
    origin.push(server.name)
    assert is_complete(server, origin)
    posts = [request.path for request in server.asked("POST")]
    assert posts[0].endswith(f"?mount={digest_of(tiny_gguf.read_bytes())}&from=team/other")
    assert len(server.asked(UPLOAD)) == 1  # the config


def test_the_first_layer_that_is_refused_ends_the_others(
    server: StandIn, transfers: Transfers, tiny_gguf: Path, tmp_path: Path
) -> None:
    licences = []
    for number in range(6):
        licences.append(tmp_path / f"license-{number}")
        licences[-1].write_text(f"licence {number}")
    package_gguf(
        transfers.store,
        tiny_gguf,
        parse_reference(server.name),
        extras=Extras(licenses=licences),
    )
    server.fault("POST", status(418))
    with pytest.raises(RegistryError, match="answered 418"):
        transfers.push(server.name)
    assert server.manifests == {}
    transfers.push(server.name)
    assert is_complete(server, transfers)
