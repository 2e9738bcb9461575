"""Foreign web pages stay outside; those that a person allowed, and this machine's own, come in."""

from __future__ import annotations

from typing import cast

import httpx
import pytest

from dmr_tui.paths import Paths
from dmr_tui.runner.base import Runner
from dmr_tui.runner.contexts import open_runner
from dmr_tui.server.endpoint import Endpoint
from dmr_tui.server.security import is_loopback
from dmr_tui.settings import Settings, load_settings
from tests.support.fake_runner import FakeRunner

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOCAL = ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080", "http://0.0.0.0:1"]
ALLOWED = ["https://app.example", "https://APP.example", "http://lan.example:81"]
FOREIGN = [
    "https://evil.example",
    "null",
    "https://app.example.evil.example",
    "https://app.example:444",
    "http://app.example",
    "https://appxexample",
    "http://localhost.evil.example",
    "http://localhost:3000.evil.example",
    "file://",
]
PATHS = ["/", "/health", "/version", "/models", "/engines/ps", "/v1/models"]


@pytest.mark.parametrize("origin", LOCAL + ALLOWED)
async def test_an_allowed_origin_may_read(client: httpx.AsyncClient, origin: str) -> None:
    answer = await client.get("/v1/models", headers={"Origin": origin})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["vary"] == "Origin"
    failed = await client.get("/v1/models/nope", headers={"Origin": origin})
    assert failed.status_code == 404
    assert failed.headers["access-control-allow-origin"] == origin


async def test_a_key_is_asked_for_on_every_route_but_those_of_probes(runner: FakeRunner) -> None:
    endpoint = Endpoint(cast("Runner", runner), Settings(port=0), api_key="secret")
    await endpoint.start()
    try:
        async with httpx.AsyncClient(base_url=endpoint.url) as client:
            for path in PATHS[2:]:
                wrong: list[dict[str, str] | dict[bytes, bytes]] = [
                    {},
                    {"Authorization": "Bearer secre"},
                    {"Authorization": "Basic secret"},
                    {"Authorization": "secret"},
                    {b"X-API-Key": "gehe\u00efm".encode("latin-1")},
                ]
                for headers in wrong:
                    refused = await client.get(path, headers=headers)
                    assert refused.status_code == 401
                    assert refused.headers["www-authenticate"] == "Bearer"
                    assert "secret" not in refused.text
                for right in ({"Authorization": "bearer secret"}, {"X-API-Key": "secret"}):
                    assert (await client.get(path, headers=right)).status_code == 200
            error = (await client.get("/v1/models")).json()["error"]
            assert error["type"] == "authentication_error"
            for path in ("/", "/health", "/engines/llama.cpp/v1/health/"):
                assert (await client.get(path)).status_code == 200
                assert (await client.head(path)).status_code == 200
                assert (await client.post(path)).status_code == 401
            # What only ends like a probe's path tells of models.
            for path in ("/models/a/health", "/v1/models/health"):
                assert (await client.get(path)).status_code == 401
            preflight = {"Origin": LOCAL[0], "Access-Control-Request-Method": "POST"}
            assert (await client.options("/v1/models", headers=preflight)).status_code == 204
        async with httpx.AsyncClient(base_url=endpoint.url) as client:
            known = await client.get("/v1/models", headers={"Origin": LOCAL[0]})
            assert known.headers["access-control-allow-origin"] == LOCAL[0]
        # This user's own commands find the key where they find the endpoint.
        found = await open_runner(Settings(), Paths.default())
        try:
            assert (await found.status()).endpoint == endpoint.url
        finally:
            await found.close()
    finally:
        await endpoint.stop()


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_foreign_origin_is_refused_everywhere(
    client: httpx.AsyncClient, runner: FakeRunner, origin: str
) -> None:
    for path in PATHS:
        answer = await client.get(path, headers={"Origin": origin})
        assert answer.status_code == 403
        assert "Origin not allowed" in answer.text
        assert "access-control-allow-origin" not in answer.headers
    unload = await client.post("/engines/unload", json={"all": True}, headers={"Origin": origin})
    assert unload.status_code == 403
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert (await client.options("/models/create", headers=preflight)).status_code == 403
    assert runner.calls == []


async def test_a_preflight_allows_what_clients_send(client: httpx.AsyncClient) -> None:
    answer = await client.options(
        "/v1/chat/completions",
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
            "Access-Control-Request-Private-Network": "true",
        },
    )
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["access-control-allow-methods"] == "GET, POST, DELETE"
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert answer.headers["vary"] == "Origin"


async def test_without_an_origin_nothing_is_added(client: httpx.AsyncClient) -> None:
    answer = await client.get("/models")
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    assert (await client.options("/models")).status_code == 405


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:12434", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:12434", 200),
        ("host.docker.internal:12434", 200),
        ("model-runner.docker.internal", 200),
        ("evil.example", 403),
        ("evil.example:12434", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.7", 403),
        ("localhost@evil.example", 403),
    ],
)
async def test_a_name_that_was_pointed_at_loopback_is_refused(
    client: httpx.AsyncClient, host: str, status: int
) -> None:
    for path in PATHS:
        assert (await client.get(path, headers={"Host": host})).status_code == status


async def test_a_listener_for_the_network_answers_to_any_name(paths: Paths) -> None:
    open_one = Endpoint(FakeRunner(), Settings(), host="0.0.0.0", port=0, paths=paths)
    await open_one.start()
    try:
        assert open_one.url.startswith("http://127.0.0.1:")
        async with httpx.AsyncClient(base_url=open_one.url, trust_env=False) as client:
            answer = await client.get("/models", headers={"Host": "box.lan:12434"})
            foreign = await client.get("/models", headers={"Origin": "http://evil.example"})
        assert (answer.status_code, foreign.status_code) == (200, 403)
    finally:
        await open_one.stop(grace=0)


async def test_a_star_allows_every_origin(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMR_ORIGINS", "*")
    endpoint = Endpoint(FakeRunner(), load_settings(paths), port=0, paths=paths)
    await endpoint.start()
    try:
        async with httpx.AsyncClient(base_url=endpoint.url, trust_env=False) as client:
            for origin in (*FOREIGN, *LOCAL):
                answer = await client.get("/models", headers={"Origin": origin})
                assert answer.headers["access-control-allow-origin"] == origin
    finally:
        await endpoint.stop(grace=0)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.1.4", False),
        ("box.lan", False),
    ],
)
async def test_which_listeners_are_this_machines_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
