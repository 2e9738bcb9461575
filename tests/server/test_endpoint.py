"""The life of an endpoint: where it listens, how it is found, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from dmr_tui.errors import InvalidRequestError, StoreError, UnavailableError
from dmr_tui.paths import Paths
from dmr_tui.server import endpoint as module
from dmr_tui.server.endpoint import Endpoint
from dmr_tui.settings import Settings
from tests.server.sse import events
from tests.support.fake_runner import FakeRunner

PATIENCE = 20.0
CHAT = {"model": "llama3.2:1B-Q8_0", "messages": [{"role": "user", "content": "hi"}]}

Open = Callable[..., Any]


@pytest.fixture
async def opened(paths: Paths) -> AsyncIterator[Open]:
    """Start endpoints; all of them are stopped at the end."""
    started: list[Endpoint] = []

    async def start(runner: FakeRunner | None = None, **choices: Any) -> Endpoint:
        choices = {"port": 0, "paths": paths, **choices}
        endpoint = Endpoint(runner or FakeRunner(), Settings(), **choices)
        await endpoint.start()
        started.append(endpoint)
        return endpoint

    yield start
    for endpoint in started:
        await endpoint.stop(grace=0)


async def get(url: str, path: str = "/") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url + path)


async def test_it_says_where_it_is_while_it_is_there(opened: Open, paths: Paths) -> None:
    endpoint = await opened()
    said = json.loads(paths.endpoint.read_text())
    assert said["url"] == endpoint.url
    assert said["pid"] == os.getpid()
    assert said["models"] == str(paths.models.resolve())
    assert said["instance"] == (await get(endpoint.url, "/version")).json()["instance"]
    assert stat.S_IMODE(paths.endpoint.stat().st_mode) == 0o600
    url = endpoint.url
    await endpoint.stop()
    assert not paths.endpoint.exists()
    assert endpoint.url == ""
    with pytest.raises(httpx.ConnectError):
        await get(url)


async def test_it_takes_back_only_its_own_announcement(opened: Open, paths: Paths) -> None:
    first = await opened()
    second = await opened()
    await first.stop()
    assert json.loads(paths.endpoint.read_text())["url"] == second.url


async def test_a_busy_port_is_an_error_with_a_way_out(opened: Open, paths: Paths) -> None:
    first = await opened()
    port = int(first.url.rpartition(":")[2])
    announced = paths.endpoint.read_bytes()
    with pytest.raises(UnavailableError, match=f"port {port}.* in use") as raised:
        await opened(port=port)
    assert raised.value.hint is not None
    assert "--port" in raised.value.hint
    assert paths.endpoint.read_bytes() == announced
    await first.stop()
    again = await opened(port=port)
    assert (await get(again.url)).status_code == 200


async def test_an_address_of_another_machine_is_an_error(opened: Open) -> None:
    with pytest.raises(UnavailableError, match="cannot listen"):
        await opened(host="192.0.2.1")
    with pytest.raises(InvalidRequestError, match="cannot listen"):
        await opened(host="no..host")


async def test_localhost_means_ipv4(opened: Open) -> None:
    endpoint = await opened(host="localhost")
    answer = await get(endpoint.url.replace("localhost", "127.0.0.1"))
    assert answer.status_code == 200


async def test_a_socket_that_cannot_be_made_is_an_error(opened: Open, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file / "s.sock", tmp_path / ("x" * 200)):
        with pytest.raises(UnavailableError, match="cannot listen on socket"):
            await opened(socket=path)


async def test_one_that_cannot_say_where_it_is_does_not_listen(
    opened: Open, tmp_path: Path, unused_tcp_port: int
) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StoreError, match="endpoint"):
        await opened(port=unused_tcp_port, paths=Paths(file, file, file))
    with pytest.raises(httpx.ConnectError):
        await get(f"http://127.0.0.1:{unused_tcp_port}")


async def over_unix(path: Path) -> httpx.Response:
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with httpx.AsyncClient(transport=transport) as client:
        return await client.get("http://whatever/")


async def test_a_unix_socket(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "run" / "dmr.sock"
    endpoint = await opened(socket=path)
    assert endpoint.url == f"unix://{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (await over_unix(path)).text == "Docker Model Runner is running"
    with pytest.raises(UnavailableError, match="in use"):
        await opened(socket=path)
    assert (await over_unix(path)).status_code == 200
    await endpoint.stop()
    assert not path.exists()


async def test_a_socket_left_by_a_dead_process_is_replaced(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "dmr.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    await opened(socket=path)
    assert (await over_unix(path)).status_code == 200


async def test_a_file_in_the_sockets_place_is_kept(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(UnavailableError):
        await opened(socket=path)
    assert path.read_text() == "mine"


async def test_stopping_ends_open_requests_with_an_error(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    before = asyncio.all_tasks()
    runner = FakeRunner(endless=True)
    endpoint = await opened(runner)
    async with httpx.AsyncClient(base_url=endpoint.url, trust_env=False) as client:
        stream = {**CHAT, "stream": True}
        asking = [
            asyncio.create_task(client.post(path, json=body))
            for path, body in (
                ("/v1/chat/completions", stream),
                ("/v1/chat/completions", CHAT),
                ("/models/create", {"from": "x"}),
            )
        ]
        while runner.open_streams < 3:
            await asyncio.wait_for(runner.waiting.wait(), PATIENCE)
            runner.waiting.clear()
        await endpoint.stop(grace=0)
        streamed, whole, pull = await asyncio.gather(*asking)
    assert events(streamed.text)[-1]["error"]["code"] == "unavailable"
    assert whole.status_code == 503
    assert whole.json()["error"]["code"] == "unavailable"
    assert "shutting down" in pull.text.splitlines()[-1]
    assert runner.open_streams == 0
    assert asyncio.all_tasks() == before
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


async def test_stopping_lets_short_requests_finish(opened: Open) -> None:
    runner = FakeRunner(words=["a"] * 20000)
    endpoint = await opened(runner)
    async with httpx.AsyncClient(base_url=endpoint.url, trust_env=False) as client:
        body = {**CHAT, "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            stopping = asyncio.create_task(endpoint.stop(grace=PATIENCE))
            text = "".join([part async for part in answer.aiter_text()])
        await stopping
    assert events(text)[-1] == "[DONE]"
    assert runner.open_streams == 0


async def test_stopping_does_not_wait_for_a_client_that_reads_nothing(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAST_WORDS", 0.2)
    runner = FakeRunner(words=["x" * 1024**2] * 64)
    endpoint = await opened(runner)
    async with httpx.AsyncClient(base_url=endpoint.url, trust_env=False) as client:
        body = {**CHAT, "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body):
            await asyncio.wait_for(endpoint.stop(grace=0), PATIENCE)
    assert runner.open_streams == 0


async def test_waiting_ends_with_the_endpoint(opened: Open) -> None:
    endpoint = await opened()
    waiting = asyncio.create_task(endpoint.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    await endpoint.stop()
    await asyncio.wait_for(waiting, PATIENCE)
    await endpoint.wait()
    await endpoint.stop()
