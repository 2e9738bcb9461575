"""Addresses of registries and mirrors."""

from __future__ import annotations

import pytest

from dmr_tui import __version__
from dmr_tui.store.transfer.registry import address, mirrors
from tests.store.transfer.conftest import Transfers
from tests.support.stand_in import StandIn, status


@pytest.mark.parametrize(
    ("registry", "expected"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("registry.example.com:5000", "https://registry.example.com:5000"),
        ("localhost", "http://localhost"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("registry.local:5000", "http://registry.local:5000"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000"),
        ("local.example.com", "https://local.example.com"),
    ],
)
def test_plain_http_is_for_this_machine_and_its_neighbours(registry: str, expected: str) -> None:
    assert address(registry) == expected


def test_insecure_is_plain_http_but_never_for_docker_hub() -> None:
    assert address("ghcr.io", insecure=True) == "http://ghcr.io"
    assert address("docker.io", insecure=True) == "https://registry-1.docker.io"


def test_mirrors_are_for_docker_hub_alone() -> None:
    setting = " mirror.corp , http://127.0.0.1:5000/hub/ , https://m.example/v2/,,"
    assert mirrors("docker.io", setting) == [
        "https://mirror.corp",
        "http://127.0.0.1:5000/hub",
        "https://m.example",
    ]
    assert mirrors("ghcr.io", setting) == []
    assert mirrors("docker.io", "") == []


def test_the_first_mirror_that_has_the_model_serves_it(
    server: StandIn,
    other_server: StandIn,
    transfers: Transfers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other_server.model(b"weights")
    server.fault("GET", status(404))
    setting = f"http://{server.host},http://{other_server.host}/hub/v2/"
    monkeypatch.setenv("MODEL_RUNNER_REGISTRY_MIRRORS", setting)
    model = transfers.pull("ai/tiny")
    assert model.tags == ("docker.io/ai/tiny:latest",)
    assert transfers.warnings[0].startswith(f"mirror http://{server.host}:")
    paths = [request.path for request in other_server.seen]
    assert paths[0] == "/hub/v2/ai/tiny/manifests/latest"
    assert all(path.startswith("/hub/v2/ai/tiny/") for path in paths)


def test_a_dotted_namespace_is_part_of_the_path(server: StandIn, transfers: Transfers) -> None:
    server.model(b"weights")
    transfers.pull(f"{server.host}/my.team/group/tiny")
    assert server.seen[0].path == "/v2/my.team/group/tiny/manifests/latest"


def test_a_request_says_who_asks_and_wants_plain_bytes(
    server: StandIn, transfers: Transfers
) -> None:
    server.model(b"weights")
    transfers.pull(server.name)
    for request in server.seen:
        assert request.headers["user-agent"] == f"dmr/{__version__}"
        assert request.headers["accept-encoding"] == "identity"


def test_this_machine_is_not_reached_through_a_proxy(
    server: StandIn,
    other_server: StandIn,
    transfers: Transfers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{other_server.host}")
    server.model(b"weights")
    transfers.pull(server.name)
    assert other_server.seen == []


def test_others_are_reached_through_the_proxy(
    server: StandIn, transfers: Transfers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{server.host}")
    server.model(b"weights")
    transfers.pull("registry.local/ai/tiny")
    assert server.seen[0].path == "http://registry.local/v2/ai/tiny/manifests/latest"
