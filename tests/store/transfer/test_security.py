"""Where secrets may go, and what a hostile registry gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmr_tui.errors import (
    DmrError,
    RegistryError,
    StoreError,
    UnauthorizedError,
    UnsupportedModelError,
)
from tests.store.transfer.conftest import Transfers
from tests.support.registry import PASSWORD, USERNAME
from tests.support.stand_in import (
    CONFIG,
    Fault,
    Request,
    StandIn,
    descriptor,
    digest_of,
    redirect,
    stand_in,
)
from tests.support.token_server import TokenServer, serve_tokens

pytestmark = pytest.mark.usefixtures("quick_retries")

WEIGHTS = b"weights" * 1000
BLOB = f"/blobs/{digest_of(WEIGHTS)}"


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with serve_tokens(USERNAME, PASSWORD) as running:
        yield running


@pytest.fixture
def logged_in(server: StandIn, log_in: Callable[[str], None]) -> StandIn:
    """The server, with a model in it and a password for it in the person's config."""
    server.model(WEIGHTS)
    log_in(json.dumps({"auths": {server.host: {"username": USERNAME, "password": PASSWORD}}}))
    return server


def challenge(text: str) -> Fault:
    return lambda request: request.answer(401, b"{}", WWW_Authenticate=text)


def test_no_secret_is_sent_before_it_is_asked_for(logged_in: StandIn, transfers: Transfers) -> None:
    transfers.pull(logged_in.name)
    assert all("authorization" not in request.headers for request in logged_in.seen)


def test_after_a_challenge_every_request_carries_the_login(
    logged_in: StandIn, transfers: Transfers
) -> None:
    logged_in.fault("GET", challenge('Basic realm="here"'))
    transfers.pull(logged_in.name)
    first, *others = logged_in.seen
    assert "authorization" not in first.headers
    assert {r.headers.get("authorization") for r in others} == {"Basic YWxpY2U6c2VjcmV0"}


def test_a_redirect_leaves_the_secret_behind(
    logged_in: StandIn, other_server: StandIn, transfers: Transfers
) -> None:
    other_server.model(WEIGHTS)
    logged_in.fault("GET .*/manifests/", challenge('Basic realm="here"'))
    logged_in.fault(f"GET .*{BLOB}", redirect(f"http://{other_server.host}/v2/cdn{BLOB}"))
    transfers.pull(logged_in.name)
    assert "authorization" in logged_in.asked(BLOB)[0].headers
    assert len(other_server.seen) == 1
    assert "authorization" not in other_server.seen[0].headers


def test_another_name_of_the_same_machine_is_another_host(
    logged_in: StandIn, transfers: Transfers
) -> None:
    logged_in.fault("GET .*/manifests/", challenge('Basic realm="here"'))
    elsewhere = logged_in.host.replace("127.0.0.1", "localhost")
    logged_in.fault(f"GET .*{BLOB}", redirect(f"http://{elsewhere}/v2/cdn{BLOB}"))
    transfers.pull(logged_in.name)
    assert [r.headers.get("authorization") for r in logged_in.asked(BLOB)] == [
        "Basic YWxpY2U6c2VjcmV0",
        None,
    ]


def test_a_challenge_from_where_a_redirect_led_is_not_answered(
    logged_in: StandIn, other_server: StandIn, transfers: Transfers
) -> None:
    with stand_in() as thief:
        bearer = f'Bearer realm="http://{thief.host}/token",service="s",scope="x:y:pull"'
        logged_in.fault("GET .*/manifests/", challenge('Basic realm="here"'))
        target = f"http://{other_server.host}/v2/cdn{BLOB}"
        logged_in.fault(f"GET .*{BLOB}", *[redirect(target)] * 9)
        other_server.fault("GET", *[challenge(bearer), challenge('Basic realm="cdn"')] * 9)
        with pytest.raises(RegistryError, match="answered 401"):
            transfers.pull(logged_in.name)
        assert thief.seen == []
    assert all("authorization" not in request.headers for request in other_server.seen)


@pytest.mark.parametrize(
    "realm",
    [
        "http://token.example.invalid/token",
        "http://10.0.0.1/token",
        "ftp://127.0.0.1/token",
        "file:///etc/passwd",
        "http://127.0.0.1:port/token",
        "http://[::1/token",
        "/token",
        "",
    ],
)
def test_a_realm_that_is_not_safe_gets_nothing(
    logged_in: StandIn, transfers: Transfers, realm: str
) -> None:
    logged_in.fault("GET", challenge(f'Bearer realm="{realm}",service="s"'))
    with pytest.raises(RegistryError, match=r"that is not safe|is no address of the web"):
        transfers.pull(logged_in.name)


def test_a_token_is_asked_for_once_and_used_again(
    logged_in: StandIn, transfers: Transfers, tokens: TokenServer
) -> None:
    tokens.granted.clear()
    logged_in.fault(
        "GET", challenge(f'Bearer realm="{tokens.url}",service="s",scope="repository:ai/tiny:pull"')
    )
    transfers.pull(logged_in.name)
    assert tokens.granted == [(USERNAME, ("repository:ai/tiny:pull",))]
    assert len({r.headers.get("authorization") for r in logged_in.seen[1:]}) == 1


def test_a_token_that_ran_out_is_renewed_once(
    logged_in: StandIn, transfers: Transfers, tokens: TokenServer
) -> None:
    tokens.granted.clear()
    bearer = challenge(f'Bearer realm="{tokens.url}",service="s",error="invalid_token"')
    logged_in.fault("GET .*/manifests/", bearer)
    logged_in.fault(f"GET .*{BLOB}", bearer)
    transfers.pull(logged_in.name)
    assert len(tokens.granted) == 2
    first, second = logged_in.asked(BLOB)
    assert first.headers["authorization"] != second.headers["authorization"]

    tokens.granted.clear()
    logged_in.fault("GET .*/manifests/", *[bearer] * 9)
    with pytest.raises(UnauthorizedError, match="refused the login of alice for ai/tiny"):
        transfers.pull(logged_in.name)
    assert len(tokens.granted) == 1


def test_a_password_that_was_refused_is_not_sent_again(
    logged_in: StandIn, transfers: Transfers
) -> None:
    logged_in.fault("GET .*/manifests/", challenge('Basic realm="here"'))
    logged_in.fault(f"GET .*{BLOB}", challenge('Basic realm="here"'))
    with pytest.raises(UnauthorizedError, match="refused the login of alice for ai/tiny"):
        transfers.pull(logged_in.name)
    assert len(logged_in.asked(BLOB)) == 1


def test_a_token_past_its_time_is_renewed_before_it_is_refused(
    logged_in: StandIn, transfers: Transfers
) -> None:
    with serve_tokens(USERNAME, PASSWORD) as short_lived:
        short_lived.lifetime = 0
        logged_in.fault("GET", challenge(f'Bearer realm="{short_lived.url}",service="s"'))
        transfers.pull(logged_in.name)
        sent = [r.headers.get("authorization") for r in logged_in.seen[1:]]
        assert len(set(sent)) == len(sent) == 3


def test_an_identity_token_is_posted(
    server: StandIn, transfers: Transfers, tokens: TokenServer, log_in: Callable[[str], None]
) -> None:
    server.model(WEIGHTS)
    log_in(json.dumps({"auths": {server.host: {"identitytoken": "refresh-me"}}}))
    tokens.granted.clear()
    server.fault("GET", challenge(f'Bearer realm="{tokens.url}",service="s"'))
    transfers.pull(server.name)
    assert tokens.granted == [(USERNAME, ("repository:ai/tiny:pull",))]


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b"no json",
        b"[]",
        b"x" * (2 << 20),
        b'{"token":"a\\r\\nHost: evil"}',
        b'{"token":"\xc3\xa9"}',
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["empty", "text", "list", "endless", "header", "letters", "deep"],
)
def test_a_token_server_that_gives_no_token(
    logged_in: StandIn, other_server: StandIn, transfers: Transfers, answer: bytes
) -> None:
    logged_in.fault("GET", challenge(f'Bearer realm="http://{other_server.host}/t",service="s"'))
    other_server.fault("GET", lambda request: request.answer(200, answer))
    with pytest.raises(RegistryError):
        transfers.pull(logged_in.name)


def test_a_trouble_with_the_login_is_told_with_the_refusal(
    server: StandIn, transfers: Transfers, log_in: Callable[[str], None], home: Path
) -> None:
    log_in("{ not json")
    server.model(WEIGHTS)
    transfers.pull(server.name)
    server.fault("GET", challenge('Basic realm="here"'))
    with pytest.raises(UnauthorizedError, match=r"wants a login .*config\.json cannot be read"):
        transfers.pull(server.name)


HEX = "0" * 64


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"digest": "sha256:../../../../tmp/pwned"}, RegistryError),
        ({"digest": f"sha256:{'A' * 64}"}, RegistryError),
        ({"digest": "md5:d41d8cd98f00b204e9800998ecf8427e"}, RegistryError),
        ({"digest": f"sha256:{HEX}/../x"}, RegistryError),
        ({"digest": ""}, RegistryError),
        ({"size": -1}, RegistryError),
        ({"size": 1.5}, RegistryError),
        ({"size": 1 << 70}, StoreError),
        ({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"}, UnsupportedModelError),
    ],
    ids=lambda value: str(value)[:40],
)
def test_hostile_layers_are_refused_before_anything_is_fetched(
    server: StandIn, transfers: Transfers, change: dict[str, Any], kind: type[DmrError]
) -> None:
    manifest = server.model(WEIGHTS)
    manifest["layers"][0] |= change
    server.manifests["latest"] = json.dumps(manifest).encode()
    with pytest.raises(kind):
        transfers.pull(server.name)
    assert server.asked(f"/blobs/(?!{manifest['config']['digest']})") == []


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"layers": []}, UnsupportedModelError),
        ({"schemaVersion": 1}, UnsupportedModelError),
        ({"config": descriptor("application/vnd.oci.image.config.v1+json", b"{}")},
         UnsupportedModelError),
        ({"config": None}, RegistryError),
        ({"config": {**descriptor(CONFIG, b"{}"), "size": 1 << 40}}, RegistryError),
        ({"layers": 7}, RegistryError),
        ({"annotations": {"padding": "x" * (9 << 20)}}, RegistryError),
    ],
    ids=["no layers", "schema", "container", "no config", "large config", "no list", "huge"],
)  # fmt: skip
def test_hostile_manifests_are_refused(
    server: StandIn, transfers: Transfers, changes: dict[str, Any], kind: type[DmrError]
) -> None:
    server.model(WEIGHTS, **changes)
    with pytest.raises(kind):
        transfers.pull(server.name)
    assert server.asked("/blobs/") == []


def test_a_manifest_without_end_is_not_read_to_it(server: StandIn, transfers: Transfers) -> None:
    def endless(request: Request) -> None:
        request.head(200, 1 << 40)
        for _ in range(100):
            request.write(b" " * (1 << 20))
        request.hang_up()

    server.fault("GET .*/manifests/", endless)
    with pytest.raises(RegistryError, match="sent more than 8388608 bytes"):
        transfers.pull(server.name)


def test_a_manifest_that_nests_without_end_is_refused(
    server: StandIn, transfers: Transfers
) -> None:
    server.manifests["latest"] = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(RegistryError, match="sent a bad manifest"):
        transfers.pull(server.name)


def test_one_blob_of_two_sizes_is_refused(server: StandIn, transfers: Transfers) -> None:
    manifest = server.model(WEIGHTS, WEIGHTS)
    manifest["layers"][1]["size"] = 5
    server.manifests["latest"] = json.dumps(manifest).encode()
    with pytest.raises(RegistryError, match="two sizes for one blob"):
        transfers.pull(server.name)


def test_a_manifest_must_be_the_one_announced(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)

    def other(request: Request) -> None:
        request.answer(200, server.manifests["latest"], Docker_Content_Digest=f"sha256:{HEX}")

    server.fault("GET .*/manifests/", other)
    with pytest.raises(RegistryError, match=f"not sha256:{HEX}"):
        transfers.pull(server.name)


def test_a_manifest_must_be_the_one_asked_for(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)
    server.manifests[f"sha256:{HEX}"] = server.manifests["latest"]
    with pytest.raises(RegistryError, match=f"not sha256:{HEX}"):
        transfers.pull(f"{server.host}/ai/tiny@sha256:{HEX}")


def test_a_config_must_be_the_one_of_the_manifest(server: StandIn, transfers: Transfers) -> None:
    manifest = server.model(WEIGHTS)
    digest = manifest["config"]["digest"]
    server.blobs[digest] = b"{" + b" " * (manifest["config"]["size"] - 2) + b"}"
    with pytest.raises(RegistryError, match=f"received for {digest} are not those"):
        transfers.pull(server.name)
    assert server.asked(BLOB) == []


def test_a_config_that_is_none_is_refused(server: StandIn, transfers: Transfers) -> None:
    server.model(WEIGHTS)
    bad = b"[1, 2]"
    server.blobs[digest_of(bad)] = bad
    manifest = json.loads(server.manifests["latest"])
    manifest["config"] = descriptor(manifest["config"]["mediaType"], bad)
    server.manifests["latest"] = json.dumps(manifest).encode()
    with pytest.raises(RegistryError, match="sent a bad config"):
        transfers.pull(server.name)
    assert server.asked(BLOB) == []
    assert transfers.store.models() == []
