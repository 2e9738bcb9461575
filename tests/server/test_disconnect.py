"""A client that leaves takes its request with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.fake_runner import FakeRunner

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE = 20.0
CHAT = {"model": "llama3.2:1B-Q8_0", "messages": [{"role": "user", "content": "hi"}]}


async def leave(client: httpx.AsyncClient, runner: FakeRunner, path: str, body: Any) -> None:
    """Ask, leave when the runner waits with the stream open, and expect it to be closed."""
    runner.endless = True
    asking = asyncio.create_task(client.post(path, json=body))
    await asyncio.wait_for(runner.waiting.wait(), PATIENCE)
    assert runner.open_streams == 1
    asking.cancel()
    await asyncio.wait({asking})
    await asyncio.wait_for(runner.freed.wait(), PATIENCE)
    assert runner.open_streams == 0


@pytest.fixture(autouse=True)
async def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    yield
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("words", [("a", "b"), ()])
async def test_leaving_frees_the_sequence(
    client: httpx.AsyncClient, runner: FakeRunner, stream: bool, words: tuple[str, ...]
) -> None:
    runner.words = words
    await leave(client, runner, "/v1/chat/completions", {**CHAT, "stream": stream})
    runner.endless = False
    answer = await client.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 200


async def test_leaving_while_the_connection_is_full_frees_the_sequence(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    runner.words = ["x" * 1024**2] * 64
    body = {**CHAT, "stream": True}
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        async for _ in answer.aiter_raw():
            break
        assert runner.open_streams == 1
    await asyncio.wait_for(runner.freed.wait(), PATIENCE)


async def test_leaving_stops_a_pull(client: httpx.AsyncClient, runner: FakeRunner) -> None:
    await leave(client, runner, "/models/create", {"from": "smollm2"})


async def test_leaving_in_the_middle_of_the_body_is_no_error(
    client: httpx.AsyncClient,
) -> None:
    host, port = client.base_url.host, client.base_url.port
    _, writer = await asyncio.open_connection(host, port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: 999\r\n\r\n"
    writer.write(head.encode() + b'{"model":')
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    answer = await client.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 200
