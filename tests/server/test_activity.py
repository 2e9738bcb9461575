"""Requests, events and logs over HTTP: Docker Model Runner's routes, and ours beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from dmr_tui.engine.questions import Tokens
from dmr_tui.errors import BusyError, ContextLengthError, EngineError, UnavailableError
from dmr_tui.runner.activity.records import Activity, LogLine, RequestRecord
from dmr_tui.runner.remote import RemoteRunner
from dmr_tui.server import activity
from dmr_tui.server.endpoint import Endpoint
from tests.support import fake_runner
from tests.support.fake_runner import MODEL, FakeRunner

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "ai/llama3.2:1B-Q8_0"
CHAT = {"model": NAME, "messages": [{"role": "user", "content": "hi"}]}
PATIENCE = 20.0


@pytest_asyncio.fixture(loop_scope="module")
async def remote(endpoint: Endpoint, runner: FakeRunner) -> AsyncIterator[RemoteRunner]:
    opened = RemoteRunner(endpoint.url, client="tui")
    yield opened
    await opened.close()


async def ended(runner: FakeRunner) -> RequestRecord:
    """The one request, when its end has been written down."""
    async with asyncio.timeout(PATIENCE):
        while not (found := runner.journal.requests()) or found[-1].running:
            await asyncio.sleep(0.01)
    return found[-1]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_is_recorded(
    client: httpx.AsyncClient, runner: FakeRunner, stream: bool
) -> None:
    headers = {"User-Agent": "OpenAI/Python 2.8.0", "Authorization": "Bearer sk-secret"}
    answer = await client.post(
        "/v1/chat/completions?key=sk-secret", json={**CHAT, "stream": stream}, headers=headers
    )
    assert answer.status_code == 200
    record = await ended(runner)
    assert (record.client, record.method) == ("OpenAI/Python 2.8.0", "POST")
    assert (record.path, record.protocol) == ("/v1/chat/completions", "chat")
    assert (record.model, record.stream, record.status) == (NAME, stream, 200)
    assert (record.prompt_tokens, record.completion_tokens, record.cached_tokens) == (11, 3, 4)
    assert record.reason == "stop"
    assert record.seconds is not None
    assert record.first_token_seconds is not None
    texts = runner.journal.bodies(record.id)
    assert texts is not None
    assert msgspec.json.decode(texts.request)["messages"] == CHAT["messages"]
    message = msgspec.json.decode(texts.response)["choices"][0]["message"]
    assert message["content"] == "Hello wörld\u2028!"
    assert b"sk-secret" not in msgspec.json.encode([record, texts])


async def test_a_refusal_that_is_waited_out_is_no_failure(
    client: httpx.AsyncClient, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, refusals = runner._events, [BusyError("the line is full"), None]

    async def events(*asked: Any) -> AsyncIterator[Any]:
        if (refusal := refusals.pop() if refusals else None) is not None:
            raise refusal
        async with aclosing(answer(*asked)) as found:
            async for event in found:
                yield event

    monkeypatch.setattr(runner, "_events", events)
    answered = await client.post("/v1/chat/completions", json={**CHAT, "n": 2, "stream": True})
    assert answered.status_code == 200
    record = await ended(runner)
    assert (record.status, record.error, record.completion_tokens) == (200, None, 6)
    texts = runner.journal.bodies(record.id)
    assert texts is not None
    assert len(msgspec.json.decode(texts.response)["choices"]) == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "model"),
    [
        ("/v1/chat/completions", {**CHAT, "temperature": "hot"}, 400, "invalid_request", NAME),
        ("/v1/chat/completions", {**CHAT, "model": "nope"}, 404, "model_not_found", "nope"),
        ("/v1/audio/speech", {"model": NAME}, 404, "not_found", NAME),
    ],
)
async def test_what_is_refused_is_recorded_with_the_reason(  # one row of the table
    client: httpx.AsyncClient,
    runner: FakeRunner,
    path: str,
    body: Any,
    status: int,
    code: str,
    model: str,
) -> None:
    assert (await client.post(path, json=body)).status_code == status
    record = await ended(runner)
    assert (record.status, record.path) == (status, path)
    assert record.error is not None
    assert record.error.code == code
    if record.protocol:
        assert record.model == model


@pytest.mark.parametrize("fields", [{}, {"temperature": "hot"}])
async def test_little_is_kept_of_a_name_that_no_model_has(
    client: httpx.AsyncClient, runner: FakeRunner, fields: dict[str, Any]
) -> None:
    body = {**CHAT, "model": "x" * 100_000, **fields}
    assert (await client.post("/v1/chat/completions", json=body)).status_code in (400, 404)
    assert (await client.get("/v1/" + "x" * 50_000)).status_code == 404
    await client.post("/engines/requests/_configure", json={"bodies": False})
    first, second = runner.journal.requests()
    assert first.model == "x" * 255 + "…"
    assert second.path.endswith("x…")
    assert len(msgspec.json.encode(first)) + len(msgspec.json.encode(second)) < 15_000


@pytest.mark.parametrize(
    "body",
    [b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"model":"\xff\xfe"}', b'{"model":', b"\x00"],
    ids=["deep", "not UTF-8", "cut", "no JSON"],
)
async def test_a_body_that_cannot_be_read_ends_its_request(
    client: httpx.AsyncClient, runner: FakeRunner, body: bytes
) -> None:
    assert (await client.post("/v1/chat/completions", content=body)).status_code == 400
    record = await ended(runner)
    assert (record.status, record.model) == (400, "")
    assert runner.journal.bodies(record.id) is not None


async def test_a_foreign_page_is_recorded_as_refused(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    await client.get("/v1/models", headers={"Origin": "https://evil.example"})
    record = await ended(runner)
    assert (record.status, record.method, record.path) == (403, "GET", "/v1/models")


async def test_looking_around_is_no_request(client: httpx.AsyncClient, runner: FakeRunner) -> None:
    for path in ("/models", "/engines/ps", "/v1/models", "/models/nope", "/engines/requests"):
        await client.get(path)
    assert runner.journal.requests() == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_hangs_up_is_499(
    client: httpx.AsyncClient, runner: FakeRunner, stream: bool
) -> None:
    runner.endless = True
    asking = asyncio.create_task(
        client.post("/v1/chat/completions", json={**CHAT, "stream": stream})
    )
    await asyncio.wait_for(runner.waiting.wait(), PATIENCE)
    (record,) = runner.journal.requests()
    assert record.running
    texts = runner.journal.bodies(record.id)
    assert texts is not None
    assert msgspec.json.decode(texts.request)["messages"] == CHAT["messages"]
    asking.cancel()
    await asyncio.wait({asking})
    record = await ended(runner)
    assert (record.status, record.completion_tokens, record.error) == (499, 3, None)


@pytest.mark.parametrize(
    ("error", "at", "status"),
    [(ContextLengthError("too long"), 0, 400), (EngineError("died"), 2, 500)],
)
async def test_a_stream_that_breaks_has_the_status_of_its_error(
    client: httpx.AsyncClient, runner: FakeRunner, error: Any, at: int, status: int
) -> None:
    runner.failure, runner.fails_at = error, at
    await client.post("/v1/chat/completions", json={**CHAT, "stream": True})
    record = await ended(runner)
    assert record.error is not None
    assert (record.status, record.error.message) == (status, error.message)


async def test_questions_are_recorded_too(client: httpx.AsyncClient, runner: FakeRunner) -> None:
    runner.replies = [Tokens([1], [b"x"])]
    await client.post("/tokenize", json={"model": NAME, "content": "x"})
    record = await ended(runner)
    assert (record.protocol, record.model, record.status) == ("tokenize", NAME, 200)


# Docker Model Runner's routes.


async def test_requests_as_dockers_recorder_has_them(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    assert (await client.get("/engines/requests")).json() == []
    await client.post("/v1/chat/completions", json={**CHAT, "stream": True})
    await client.post("/v1/chat/completions", json={**CHAT, "model": "nope"})
    (good, bad) = (await client.get("/engines/requests")).json()
    assert (good["count"], good["model"]) == (1, NAME)
    (record,) = good["records"]
    assert record["status_code"] == 200
    assert (record["model"], record["method"]) == (NAME, "POST")
    assert record["url"] == "/v1/chat/completions"
    assert record["user_agent"].startswith("python-httpx/")
    assert msgspec.json.decode(record["request"])["model"] == NAME
    assert msgspec.json.decode(record["response"])["object"] == "chat.completion"
    assert record["timestamp"].endswith("Z")
    (failed,) = bad["records"]
    assert failed["status_code"] == 404
    assert msgspec.json.decode(failed["error"])["error"]["code"] == "model_not_found"
    only = (await client.get("/engines/requests", params={"model": NAME})).json()
    assert [each["model"] for each in only] == [NAME]
    none = await client.get("/engines/requests", params={"model": "other"})
    assert (none.status_code, none.text) == (404, "no records found for model 'other'\n")


async def read_events(response: httpx.Response, count: int) -> list[tuple[str, Any]]:
    """The first events of a stream."""
    found, name = [], ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            found.append((name, msgspec.json.decode(value)))
            if len(found) == count:
                break
    return found


async def test_requests_as_a_stream(client: httpx.AsyncClient, runner: FakeRunner) -> None:
    await client.post("/v1/chat/completions", json=CHAT)
    headers = {"Accept": "text/event-stream"}
    path = "/engines/requests"
    async with client.stream(
        "GET", path, headers=headers, params={"include_existing": "true"}
    ) as stream:
        reading = asyncio.create_task(read_events(stream, 3))
        await asyncio.sleep(0.05)
        await client.post("/v1/chat/completions", json={**CHAT, "model": "nope"})
        events = await asyncio.wait_for(reading, PATIENCE)
    assert [name for name, _ in events] == ["existing_request", "connected", "new_request"]
    assert events[0][1][0]["records"][0]["status_code"] == 200
    assert events[1][1] == {"status": "connected"}
    assert events[2][1][0]["records"][0]["status_code"] == 404
    async with client.stream("GET", path, headers=headers, params={"model": NAME}) as stream:
        reading = asyncio.create_task(read_events(stream, 2))
        await asyncio.sleep(0.05)
        await client.post("/v1/chat/completions", json={**CHAT, "model": "nope"})
        await client.post("/v1/chat/completions", json=CHAT)
        events = await asyncio.wait_for(reading, PATIENCE)
    assert [name for name, _ in events] == ["connected", "new_request"]
    assert events[1][1][0]["model"] == NAME


@pytest.mark.parametrize("name", [MODEL.id, MODEL.tags[0], "pulled later"])
async def test_requests_to_a_model_by_any_of_its_names(
    client: httpx.AsyncClient, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    headers = {"Accept": "text/event-stream"}
    async with client.stream(
        "GET", "/engines/requests", headers=headers, params={"model": name}
    ) as stream:
        reading = asyncio.create_task(read_events(stream, 2))
        await asyncio.sleep(0.05)
        monkeypatch.setattr(fake_runner, "NAMES", (*fake_runner.NAMES, "pulled later"))
        for identity in ("sha256:other", MODEL.id):
            exchange = runner.journal.prepare(client="test", protocol="chat")
            exchange.model, exchange.model_id = NAME, identity
            runner.journal.open(exchange)
            runner.journal.close(exchange, 200)
        events = await asyncio.wait_for(reading, PATIENCE)
    assert [kind for kind, _ in events] == ["connected", "new_request"]
    assert events[1][1][0]["model"] == MODEL.id
    (whole,) = (await client.get("/engines/requests", params={"model": name})).json()
    assert whole["model"] == MODEL.id


async def test_logs_are_lines_of_text(client: httpx.AsyncClient, runner: FakeRunner) -> None:
    runner.lines = (
        LogLine(1_763_721_060.5, "loaded", "info", "load"),
        LogLine(1_763_721_061.0, "eval", "warn", "m", True),
    )
    answer = await client.get("/logs")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == (
        "[2025-11-21T10:31:00.500Z] info  load  loaded\n[2025-11-21T10:31:01.000Z] warn  m*  eval\n"
    )
    assert (await client.get("/logs", params={"no-engines": "1"})).text.count("\n") == 1
    wrong = await client.get("/logs", params={"follow": "perhaps"})
    assert wrong.status_code == 400
    assert "invalid follow parameter" in wrong.text


# The same through a runner somewhere else.


async def test_a_remote_runner_hears_it_all(
    client: httpx.AsyncClient,
    runner: FakeRunner,
    remote: RemoteRunner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(activity, "_PIECE", 1)
    await client.post("/v1/chat/completions", json=CHAT)
    await client.post("/v1/chat/completions", json=CHAT)
    runner.journal.tell("load", MODEL.tags[0], "loaded in 2.4 s")
    heard: list[Activity] = []
    async with aclosing(remote.activity()) as changes:
        heard = [await anext(changes), await anext(changes)]
        assert [change.requests[0] for change in heard] == runner.journal.requests()
        assert [event.text for event in heard[0].events] == ["loaded in 2.4 s"]
        await client.post("/v1/chat/completions", json={**CHAT, "model": "nope"})
        async for change in changes:
            if any(each.status == 404 for each in change.requests):
                break
        record = runner.journal.requests()[-1]
        assert record in change.requests
        texts = await remote.bodies(record.id)
        assert texts is not None
        assert texts == runner.journal.bodies(record.id)
        assert await remote.bodies("none") is None
        await remote.keep_bodies(False)
        assert not (await anext(changes)).bodies
        assert await remote.bodies(record.id) is None
        await remote.clear_requests()
        async for change in changes:
            if change.cleared:
                break
    assert runner.journal.requests() == []


async def test_a_remote_runner_reads_the_logs(runner: FakeRunner, remote: RemoteRunner) -> None:
    runner.lines = (
        LogLine(1_763_721_060.5, "loaded", "info", "load"),
        LogLine(1_763_721_061.0, "eval", "warn", "m", True),
    )
    assert [line async for batch in remote.logs() for line in batch] == list(runner.lines)
    batches = remote.logs(engines=False)
    assert [line async for batch in batches for line in batch] == [runner.lines[0]]
    async with aclosing(remote.logs(follow=True)) as batches:
        assert await anext(batches) == list(runner.lines)
    await asyncio.wait_for(runner.freed.wait(), PATIENCE)


async def test_what_this_program_asks_remotely_has_its_part_as_client(
    runner: FakeRunner, remote: RemoteRunner
) -> None:
    await remote.load(NAME)
    record = await ended(runner)
    assert record.client.endswith(" (tui)")


async def test_a_lost_connection_is_an_error(runner: FakeRunner) -> None:
    remote = RemoteRunner("http://127.0.0.1:9")
    with pytest.raises(UnavailableError):
        await anext(remote.activity())
    await remote.close()
