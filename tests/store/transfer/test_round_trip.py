"""Push and pull against real registries, and against another client of theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import jsonschema
import oras.client
import oras.schemas
import pytest

from dmr_tui.errors import ModelNotFoundError, UnauthorizedError, UnsupportedModelError
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store, StoredModel
from tests.store.transfer.conftest import Transfers
from tests.support.registry import LiveRegistry
from tests.support.stand_in import CONFIG, GGUF


@pytest.fixture(params=["registry", "basic_registry", "token_registry"])
def any_registry(request: pytest.FixtureRequest, log_in: Callable[[str], None]) -> LiveRegistry:
    live: LiveRegistry = request.getfixturevalue(request.param)
    if live.username:
        log_in(live.docker_config())
    return live


@pytest.fixture
def origin(tmp_path: Path) -> Transfers:
    """A store to push from."""
    return Transfers(Store(tmp_path / "origin"))


def package(transfers: Transfers, gguf: Path, name: str) -> StoredModel:
    return package_gguf(transfers.store, gguf, parse_reference(name))


def test_a_pushed_model_comes_back_the_same(
    any_registry: LiveRegistry, origin: Transfers, transfers: Transfers, tiny_gguf: Path
) -> None:
    name = f"{any_registry.address}/team/tiny:q8"
    model = package(origin, tiny_gguf, name)
    size = sum(layer.size for layer in model.manifest.layers)

    origin.push(name)
    last = origin.lines[-1]
    assert (last.type, last.message) == ("success", "Model pushed successfully")
    assert {(line.total, line.mode) for line in origin.lines} == {(size, "push")}
    assert any(line.layer.current == line.layer.size > 0 for line in origin.lines)

    pulled = transfers.pull(name)
    last = transfers.lines[-1]
    assert (last.type, last.message) == ("success", "Model pulled successfully")
    assert {(line.total, line.mode) for line in transfers.lines} == {(size, "pull")}
    assert pulled == model
    assert transfers.store.manifest_bytes(model.id) == origin.store.manifest_bytes(model.id)
    assert transfers.store.bundle(pulled).gguf.read_bytes() == tiny_gguf.read_bytes()
    assert transfers.partials == []


def test_a_second_pull_fetches_nothing(
    registry: LiveRegistry, origin: Transfers, transfers: Transfers, tiny_gguf: Path
) -> None:
    name = f"{registry.address}/team/cached"
    model = package(origin, tiny_gguf, name)
    origin.push(name)
    transfers.pull(name)
    transfers.lines.clear()
    transfers.pull(name)
    assert [line.message for line in transfers.lines] == [
        f"Using cached model: {model.config.size}"
    ]


def test_a_pull_by_digest_gets_no_tag_of_its_own(
    registry: LiveRegistry, origin: Transfers, transfers: Transfers, tiny_gguf: Path
) -> None:
    name = f"{registry.address}/team/pinned"
    model = package(origin, tiny_gguf, name)
    origin.push(name)
    pulled = transfers.pull(f"{name}@{model.id}")
    assert pulled.id == model.id
    with pytest.raises(ModelNotFoundError):
        transfers.store.find(f"{name}:latest")


def test_an_unknown_model_is_not_found(any_registry: LiveRegistry, transfers: Transfers) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        transfers.pull(f"{any_registry.address}/team/nothing")
    assert caught.value.message == f"{any_registry.address} has no model team/nothing:latest"


@pytest.mark.parametrize("kind", ["basic_registry", "token_registry"])
def test_a_wrong_password_is_refused(
    kind: str,
    request: pytest.FixtureRequest,
    transfers: Transfers,
    log_in: Callable[[str], None],
) -> None:
    live: LiveRegistry = request.getfixturevalue(kind)
    log_in(live.docker_config(password="wrong"))
    with pytest.raises(UnauthorizedError, match="refused the login of alice") as caught:
        transfers.pull(f"{live.address}/team/tiny")
    assert f"dmr login {live.address}" in str(caught.value.hint)


def test_without_a_login_a_basic_registry_asks_for_one(
    basic_registry: LiveRegistry, transfers: Transfers
) -> None:
    with pytest.raises(UnauthorizedError, match="wants a login"):
        transfers.pull(f"{basic_registry.address}/team/tiny")


def test_anonymous_pull_but_no_push_with_tokens(
    token_registry: LiveRegistry,
    origin: Transfers,
    transfers: Transfers,
    tiny_gguf: Path,
    log_in: Callable[[str], None],
    home: Path,
) -> None:
    name = f"{token_registry.address}/team/public"
    package(origin, tiny_gguf, name)
    log_in(token_registry.docker_config())
    origin.push(name)
    (home / ".docker" / "config.json").unlink()
    transfers.pull(name)
    package(origin, tiny_gguf, f"{name}2")
    with pytest.raises(UnauthorizedError, match="wants a login for team/public2"):
        origin.push(f"{name}2")


def test_a_push_asks_for_one_token(
    token_registry: LiveRegistry,
    origin: Transfers,
    tiny_gguf: Path,
    log_in: Callable[[str], None],
) -> None:
    log_in(token_registry.docker_config())
    name = f"{token_registry.address}/team/once"
    package(origin, tiny_gguf, name)
    assert token_registry.tokens is not None
    token_registry.tokens.granted.clear()
    origin.push(name)
    assert token_registry.tokens.granted == [("alice", ("repository:team/once:pull,push",))]


def test_what_is_pushed_is_what_other_clients_read(
    registry: LiveRegistry, origin: Transfers, tiny_gguf: Path, tmp_path: Path
) -> None:
    name = f"{registry.address}/team/interop:v1"
    model = package(origin, tiny_gguf, name)
    origin.push(name)
    client = oras.client.OrasClient(insecure=True)
    manifest = client.get_manifest(name)
    jsonschema.validate(manifest, oras.schemas.manifest)
    assert manifest == json.loads(origin.store.manifest_bytes(model.id))
    blob = client.get_blob(name, manifest["layers"][0]["digest"])
    assert blob.content == tiny_gguf.read_bytes()


def test_what_other_clients_push_can_be_pulled(
    registry: LiveRegistry,
    transfers: Transfers,
    tiny_gguf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        '{"config":{"format":"gguf"},"descriptor":{"created":"2025-01-01T00:00:00Z"}}'
    )
    weights = tmp_path / "weights.gguf"
    weights.write_bytes(tiny_gguf.read_bytes())
    monkeypatch.chdir(tmp_path)
    name = f"{registry.address}/team/foreign:v1"
    client = oras.client.OrasClient(insecure=True)
    client.push(
        target=name, files=[f"weights.gguf:{GGUF}"], manifest_config=f"config.json:{CONFIG}"
    )
    model = transfers.pull(name)
    assert transfers.store.bundle(model).gguf.read_bytes() == tiny_gguf.read_bytes()


def test_a_container_image_is_no_model(registry: LiveRegistry, transfers: Transfers) -> None:
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests": [],
    }
    httpx.put(
        f"http://{registry.address}/v2/team/image/manifests/latest",
        json=manifest,
        headers={"Content-Type": str(manifest["mediaType"])},
    ).raise_for_status()
    with pytest.raises(UnsupportedModelError, match="is no model but an image"):
        transfers.pull(f"{registry.address}/team/image")
