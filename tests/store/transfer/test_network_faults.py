"""Pulls over a network that breaks, misleads, or is not the one that was expected."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import ssl
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from dmr_tui.errors import DmrError, ModelNotFoundError, RegistryError, StoppedError
from dmr_tui.store.fsck import fsck
from dmr_tui.store.manifest import FILE_PATH
from dmr_tui.store.transfer.origins import is_private, not_inward
from dmr_tui.store.transfer.pieces import CELL
from tests.store.transfer.conftest import Transfers, over_tls
from tests.support.stand_in import (
    LICENSE,
    Fault,
    Request,
    StandIn,
    descriptor,
    digest_of,
    redirect,
    status,
)

pytestmark = pytest.mark.usefixtures("quick_retries")

WEIGHTS = random.Random(12).randbytes(5 * CELL + 99)
DIGEST = digest_of(WEIGHTS)
BLOB = f"GET .*/blobs/{DIGEST}"


def has_weights(transfers: Transfers) -> bool:
    return transfers.store.blobs.path(DIGEST).read_bytes() == WEIGHTS


def reset(server: StandIn, after: int) -> Fault:
    """Break a connection so that the other side is told at once (RST), not at the stream's end."""

    def fault(request: Request) -> None:
        request.write(request.begin(WEIGHTS)[:after])
        linger = struct.pack("ii", 1, 0)
        connection: socket.socket = request.handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        socket.socket.close(connection)
        request.handler.rfile.close()
        request.hang_up()

    return fault


def test_a_connection_that_is_reset_is_made_anew(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)
    server.fault(BLOB, *[reset(server, 300_000)] * 5)
    transfers.pull(server.name)
    assert has_weights(transfers)


def test_a_stream_over_tls_that_is_cut_is_no_end(
    transfers: Transfers, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without TLS's own farewell, and in the middle of a record."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))

    def cut_off(request: Request) -> None:
        request.write(request.begin(WEIGHTS)[:1_000_000])
        connection = request.handler.connection
        assert isinstance(connection, ssl.SSLSocket)
        socket.socket.send(connection, b"\x17\x03\x03\x40\x00half")
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
        request.hang_up()

    with over_tls(authority) as server:
        server.model(WEIGHTS)
        server.fault(BLOB, *[cut_off] * 4)
        transfers.pull(server.name)
    assert has_weights(transfers)


def test_a_tag_that_moves_during_a_pull_does_not_mix_two_models(
    server: StandIn, transfers: Transfers
) -> None:
    first = server.model(WEIGHTS, b"licence")

    def moved(request: Request) -> None:
        server.model(b"other weights", b"other licence")
        server.obey(request)

    server.fault(BLOB, moved)
    model = transfers.pull(server.name)
    assert [layer.digest for layer in model.manifest.layers] == [
        layer["digest"] for layer in first["layers"]
    ]
    assert fsck(transfers.store, full=True).clean


def test_a_blob_that_is_removed_during_a_pull_is_told_and_the_rest_kept(
    server: StandIn, transfers: Transfers
) -> None:
    server.model(WEIGHTS, b"licence")
    server.fault(f"GET .*/blobs/{digest_of(b'licence')}", *[status(404)] * 9)
    with pytest.raises(RegistryError, match="answered 404"):
        transfers.pull(server.name)
    blobs = transfers.store.blobs
    assert blobs.has(DIGEST) or blobs.partial(DIGEST).exists()
    with pytest.raises(ModelNotFoundError):
        transfers.store.find(server.name)
    server.faults.clear()
    transfers.pull(server.name)
    assert has_weights(transfers)


def test_a_redirect_from_tls_to_plain_http_leaves_the_secret_behind(
    server: StandIn,
    transfers: Transfers,
    authority: Path,
    monkeypatch: pytest.MonkeyPatch,
    log_in: Any,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    server.model(WEIGHTS)
    with over_tls(authority) as safe:
        safe.model(WEIGHTS)
        log_in(json.dumps({"auths": {safe.host: {"username": "alice", "password": "secret"}}}))
        safe.fault(
            "GET .*/manifests/",
            lambda request: request.answer(401, b"{}", WWW_Authenticate='Basic realm="here"'),
        )
        safe.fault(BLOB, *[redirect(f"http://{server.host}/v2/cdn/blobs/{DIGEST}")] * 40)
        transfers.pull(safe.name)
        assert "authorization" in safe.asked(BLOB)[0].headers
    assert has_weights(transfers)
    assert server.seen
    assert all("authorization" not in request.headers for request in server.seen)


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("[::1]", True),
        ("10.1.2.3", True),
        ("192.168.0.1", True),
        ("169.254.169.254", True),
        ("0.0.0.0", True),
        ("[fe80::1]", True),
        ("93.184.215.14", False),
        ("cdn.example.com", False),
    ],
)
def test_redirects_from_outside_to_private_addresses_are_refused(host: str, private: bool) -> None:
    assert is_private(host) is private
    target = f"http://{host}/secret"
    assert not_inward(target, "127.0.0.1") == target
    if private:
        with pytest.raises(RegistryError, match="a private address: refused"):
            not_inward(target, "93.184.215.14")
    else:
        assert not_inward(target, "93.184.215.14") == target


def test_a_registry_outside_cannot_point_inward(
    server: StandIn, transfers: Transfers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is known to the proxy alone, as in a company's network."""
    server.model(WEIGHTS)
    monkeypatch.setenv("HTTP_PROXY", f"http://{server.host}")
    monkeypatch.setenv("HTTPS_PROXY", f"http://{server.host}")
    transfers.insecure = True
    server.fault(BLOB, redirect("http://169.254.169.254/latest/meta-data"))
    with pytest.raises(RegistryError, match=r"redirects to 169\.254\.169\.254"):
        transfers.pull("registry.invalid/ai/tiny")
    bearer = 'Bearer realm="https://10.0.0.1/token",service="s"'
    server.fault("GET .*manifests", lambda r: r.answer(401, b"{}", WWW_Authenticate=bearer))
    with pytest.raises(RegistryError, match="that is not safe"):
        transfers.pull("registry.invalid/ai/tiny")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> str:
    """A name that this machine answers to, and that is not one of loopback's."""
    real = socket.getaddrinfo
    name = "registry.test"

    def look_up(host: Any, *arguments: Any, **named: Any) -> Any:
        known = host in (name, name.encode())
        return real("127.0.0.1" if known else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return name


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Names are looked up until the test is over; set when that has begun."""
    asked, over = Event(), Event()

    def look_up(*arguments: Any, **named: Any) -> Any:
        asked.set()
        over.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield asked
    over.set()


def test_a_lookup_without_an_end_is_not_waited_for_when_nobody_wants_it(
    transfers: Transfers, silence: Event
) -> None:
    with ThreadPoolExecutor(1) as pool:
        pulled = pool.submit(transfers.pull, "registry.invalid/ai/tiny")
        assert silence.wait(10)
        transfers.cancelled.set()
        with pytest.raises(StoppedError):
            pulled.result(10)


@pytest.mark.usefixtures("silence")
def test_a_lookup_without_an_end_is_an_error(
    transfers: Transfers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmr_tui.store.transfer.connect._LONGEST", 0.2)
    with pytest.raises(RegistryError, match=r"cannot reach registry\.invalid: no connection in"):
        transfers.pull("registry.invalid/ai/tiny")


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [("registry.test", True), (".test", True), ("*", True), ("other.test", False), ("", False)],
)
def test_no_proxy_is_obeyed_for_every_request(
    server: StandIn,
    other_server: StandIn,
    transfers: Transfers,
    monkeypatch: pytest.MonkeyPatch,
    here: str,
    no_proxy: str,
    direct: bool,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{other_server.host}")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    port = server.host.rpartition(":")[2]
    for each in (server, other_server):
        each.model(WEIGHTS)
    monkeypatch.setattr(
        "dmr_tui.store.transfer.locate.addresses",
        lambda registry, insecure: (f"http://{registry}",),
    )
    transfers.pull(f"{here}:{port}/ai/tiny")
    assert has_weights(transfers)
    asked, idle = (server, other_server) if direct else (other_server, server)
    assert len(asked.asked(BLOB)) >= 4
    assert idle.seen == []


def test_ten_thousand_layers_are_borne(server: StandIn, transfers: Transfers) -> None:
    layers = [descriptor(LICENSE, b"licence", annotations={"n": str(n)}) for n in range(10_000)]
    manifest = server.model(WEIGHTS, b"licence")
    server.model(WEIGHTS, b"licence", layers=[manifest["layers"][0], *layers])
    transfers.pull(server.name)
    assert len(server.asked("GET .*/blobs/")) < 30


def test_digests_of_sha512_are_kept_and_checked(server: StandIn, transfers: Transfers) -> None:
    manifest = server.model(WEIGHTS, b"licence")
    digest = "sha512:" + hashlib.sha512(b"licence").hexdigest()
    manifest["layers"][1]["digest"] = digest
    server.manifests["latest"] = json.dumps(manifest).encode()
    server.blobs[digest] = b"License"
    with pytest.raises(RegistryError, match="are not those"):
        transfers.pull(server.name)
    server.blobs[digest] = b"licence"
    model = transfers.pull(server.name)
    assert transfers.store.blobs.path(model.manifest.layers[1].digest).read_bytes() == b"licence"
    assert fsck(transfers.store, full=True).clean


@pytest.mark.parametrize(
    "paths",
    [["../../../../evil.gguf"], ["/evil.gguf"], ["a\0b.gguf"], ["a/../../x.gguf"], ["x", "x"]],
    ids=["up", "absolute", "nul", "through", "twice"],
)
def test_paths_of_a_registry_stay_inside(
    server: StandIn, transfers: Transfers, tiny_gguf: Path, tmp_path: Path, paths: list[str]
) -> None:
    """Such a model may be kept; what it says of its files must not lead out of its folder."""
    weights = tiny_gguf.read_bytes()
    manifest = server.model(weights, *[b"%d" % n for n in range(1, len(paths))])
    for layer, path in zip(manifest["layers"], paths, strict=True):
        layer["annotations"] = {FILE_PATH: path}
    manifest["config"]["mediaType"] = "application/vnd.docker.ai.model.config.v0.2+json"
    server.manifests["latest"] = json.dumps(manifest).encode()
    root = transfers.store.root
    root.mkdir()

    def outside() -> set[Path]:
        return {path for path in tmp_path.rglob("*") if root not in path.parents}

    before = outside()
    with suppress(DmrError):
        transfers.store.bundle(transfers.pull(server.name))
    assert outside() == before
    for found in root.rglob("*"):
        assert not found.is_symlink() or root in found.resolve().parents


def test_a_server_that_answers_late_is_waited_for(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)
    go_on = Event()

    def late(request: Request) -> None:
        go_on.wait(0.5)
        server.obey(request)

    server.fault(BLOB, *[late] * 4)
    transfers.pull(server.name)
    assert has_weights(transfers)
    assert transfers.warnings == []
