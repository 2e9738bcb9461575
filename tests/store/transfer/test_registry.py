"""Addresses of registries and mirrors."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmr_tui import __version__
from dmr_tui.store.transfer import origins
from dmr_tui.store.transfer.origins import addresses, mirrors
from dmr_tui.store.transfer.retry import UnreachableError
from tests.store.transfer.conftest import Transfers, over_tls
from tests.support.registry import LiveRegistry
from tests.support.stand_in import StandIn, status

HUB = "https://registry-1.docker.io"


@pytest.mark.parametrize(
    ("registry", "schemes"),
    [
        ("ghcr.io", ["https"]),
        ("registry.example.com:5000", ["https"]),
        ("localhost", ["http", "https"]),
        ("localhost:5000", ["http", "https"]),
        ("127.0.0.1:5000", ["http", "https"]),
        ("[::1]:5000", ["http", "https"]),
        ("registry.local:5000", ["https", "http"]),
        ("10.0.0.1:5000", ["https"]),
        ("local.example.com", ["https"]),
    ],
)
def test_plain_http_is_for_this_machine_and_its_neighbours(
    registry: str, schemes: list[str]
) -> None:
    assert addresses(registry) == tuple(f"{scheme}://{registry}" for scheme in schemes)


def test_insecure_allows_plain_http_but_never_to_docker_hub() -> None:
    assert addresses("ghcr.io", insecure=True) == ("https://ghcr.io", "http://ghcr.io")
    assert addresses("docker.io") == addresses("docker.io", insecure=True) == (HUB,)


def test_mirrors_are_for_docker_hub_alone() -> None:
    setting = " mirror.corp , http://127.0.0.1:5000/hub/ , https://m.example/v2/,,"
    assert mirrors("docker.io", setting) == [
        "https://mirror.corp",
        "http://127.0.0.1:5000/hub",
        "https://m.example",
    ]
    assert mirrors("ghcr.io", setting) == []
    assert mirrors("docker.io", "") == []


def test_a_registry_on_this_machine_may_speak_tls(
    transfers: Transfers, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with over_tls(authority) as server:
        server.model(b"weights")
        with pytest.raises(UnreachableError, match="certificate verify failed") as caught:
            transfers.pull(server.name)
        assert "SSL_CERT_FILE" in (caught.value.hint or "")
        assert server.seen == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        transfers.pull(server.name)
        transfers.store.tag(server.name, f"{server.host}/ai/other")
        transfers.push(f"{server.host}/ai/other")
        assert "other" not in server.manifests
        assert server.asked("PUT .*/ai/other/manifests/latest")


def test_another_registry_is_asked_over_tls_before_it_may_speak_plainly(
    registry: LiveRegistry, server: StandIn, transfers: Transfers, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.model(b"weights")
    transfers.pull(server.name)
    target = f"{registry.address}/origins/tiny"
    transfers.store.tag(server.name, target)
    monkeypatch.setattr(origins, "is_loopback", lambda host: False)
    with pytest.raises(UnreachableError, match=r"SSL|wrong version"):
        transfers.push(target)
    transfers.insecure = True
    transfers.push(target)
    transfers.store.remove(target)
    transfers.pull(target)


def test_what_speaks_tls_tells_so_to_who_asks_plainly(
    server: StandIn, transfers: Transfers
) -> None:
    told = b"Client sent an HTTP request to an HTTPS server."
    server.fault("GET", lambda request: request.answer(400, told))
    with pytest.raises(UnreachableError, match="it speaks HTTPS"):
        transfers.pull(server.name)


def test_the_first_mirror_that_has_the_model_serves_it(
    server: StandIn,
    other_server: StandIn,
    transfers: Transfers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other_server.model(b"weights")
    server.fault("GET", status(404))
    setting = f"http://{server.host},http://{other_server.host}/hub/v2/"
    transfers.mirrors = setting
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
    monkeypatch.setenv("HTTPS_PROXY", f"http://{server.host}")  # it will not tunnel
    monkeypatch.setenv("HTTP_PROXY", f"http://{server.host}")
    server.model(b"weights")
    transfers.pull("registry.local/ai/tiny")
    assert server.seen[0].path == "http://registry.local/v2/ai/tiny/manifests/latest"
