"""Large blobs from content servers: over TLS, without the login, with faults on each lane."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from dmr_tui.errors import RegistryError
from dmr_tui.store.transfer.pieces import CELL
from tests.store.transfer.conftest import Transfers, over_tls
from tests.support.registry import PASSWORD, USERNAME
from tests.support.stand_in import (
    Fault,
    Request,
    StandIn,
    cut,
    digest_of,
    redirect,
    status,
)

pytestmark = pytest.mark.usefixtures("quick_retries")

WEIGHTS = random.Random(8).randbytes(6 * CELL)
BLOB = f"/blobs/{digest_of(WEIGHTS)}"


def has_weights(transfers: Transfers) -> bool:
    return transfers.store.blobs.path(digest_of(WEIGHTS)).read_bytes() == WEIGHTS


def served(server: StandIn) -> int:
    return sum(request.sent for request in server.asked(BLOB))


def test_lanes_go_over_tls_with_an_authority_of_ones_own(
    server: StandIn, transfers: Transfers, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.model(WEIGHTS)
    with over_tls(authority) as content:
        content.model(WEIGHTS)
        server.fault(f"GET .*{BLOB}", *[redirect(f"https://{content.host}/v2/cdn{BLOB}")] * 60)
        with pytest.raises(RegistryError) as caught:
            transfers.pull(server.name)
        assert "SSL_CERT_FILE" in (caught.value.hint or "")
        assert content.seen == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        transfers.pull(server.name)
        assert has_weights(transfers)
        assert len(content.asked(BLOB)) >= 4
        assert served(content) == len(WEIGHTS)


def test_no_lane_brings_the_login_to_the_content_server(
    server: StandIn, other_server: StandIn, transfers: Transfers, log_in: Callable[[str], None]
) -> None:
    server.model(WEIGHTS)
    other_server.model(WEIGHTS)
    log_in(json.dumps({"auths": {server.host: {"username": USERNAME, "password": PASSWORD}}}))
    server.fault(
        "GET .*/manifests/",
        lambda request: request.answer(401, b"{}", WWW_Authenticate='Basic realm="here"'),
    )
    server.fault(f"GET .*{BLOB}", redirect(f"http://{other_server.host}/v2/cdn{BLOB}"))
    transfers.pull(server.name)
    assert has_weights(transfers)
    assert "authorization" in server.asked(BLOB)[0].headers
    assert len(other_server.seen) >= 4
    assert all("authorization" not in request.headers for request in other_server.seen)


def test_each_lane_bears_what_a_registry_does_to_it(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)

    def wrong_part(request: Request) -> None:
        request.answer(503, b"<html>")

    faults: list[Fault] = [
        *[cut(server, 500_000)] * 3,
        status(503, Retry_After="0"),
        status(500),
        wrong_part,
        lambda request: request.hang_up(),
    ]
    server.fault(f"GET .*{BLOB}", *faults)
    transfers.pull(server.name)
    assert has_weights(transfers)
    assert served(server) <= len(WEIGHTS) + 100


def test_an_expired_token_in_the_middle_is_answered(
    server: StandIn, transfers: Transfers, log_in: Callable[[str], None]
) -> None:
    server.model(WEIGHTS)
    log_in(json.dumps({"auths": {server.host: {"username": USERNAME, "password": PASSWORD}}}))

    def challenge(request: Request) -> None:
        request.answer(401, b"{}", WWW_Authenticate='Basic realm="here"')

    server.fault(f"GET .*{BLOB}", cut(server, 500_000), challenge, challenge)
    transfers.pull(server.name)
    assert has_weights(transfers)


def test_an_encoded_blob_is_no_blob(server: StandIn, transfers: Transfers) -> None:
    import gzip

    server.model(WEIGHTS)
    packed = gzip.compress(WEIGHTS, 1)
    server.fault(f"GET .*{BLOB}", *[lambda r: r.answer(200, packed, Content_Encoding="gzip")] * 40)
    with pytest.raises(RegistryError, match=r"offers .* bytes for a blob of"):
        transfers.pull(server.name)
    assert not transfers.store.blobs.has(digest_of(WEIGHTS))
