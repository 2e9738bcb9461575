"""`RemoteRunner` and a server that speaks as Docker Model Runner does.

Plain text for failures, HTML-escaped progress lines, llama-server's own error objects, answers
without timings: what Docker's server sends and ours does not.
"""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from dmr_tui.engine.request import ChatRequest, Delta, Finished, Message, Started, Usage
from dmr_tui.errors import (
    ConflictError,
    ContextLengthError,
    DmrError,
    EngineError,
    InvalidRequestError,
    ModelNotFoundError,
    RegistryError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedModelError,
)
from dmr_tui.runner.remote import RemoteRunner

ASK = ChatRequest([Message("user", "hi")])
MODEL = {
    "id": "sha256:" + "ab" * 32,
    "tags": ["docker.io/ai/smollm2:latest"],
    "created": 1742816981,
    "config": {"format": "gguf", "parameters": "361.82M", "some_new_key": [1]},
}


class StandIn:
    """Answers each request with the bytes that a test has put there, then closes."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, bytes] = {}
        self.bodies: list[Any] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split("\r\n")[0].split(" ")
        length = [line for line in head.lower().split("\r\n") if line.startswith("content-length")]
        if length:
            body = await reader.readexactly(int(length[0].partition(":")[2]))
            self.bodies.append(json.loads(body) if body else None)
        writer.write(self.answers[f"{method} {target}"])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def put(self, route: str, body: str | bytes, status: str = "200 OK", kind: str = "") -> None:
        """Answer `route` ("GET /models") with a whole body."""
        raw = body.encode() if isinstance(body, str) else body
        kind = kind or ("application/json" if status == "200 OK" else "text/plain; charset=utf-8")
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(raw)}\r\n\r\n"
        self.answers[route] = head.encode() + raw

    def put_stream(self, route: str, lines: list[str]) -> None:
        """Answer `route` with lines until the connection closes."""
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
        self.answers[route] = (head + "".join(lines)).encode()


@pytest.fixture
async def docker() -> AsyncIterator[StandIn]:
    stand_in = StandIn()
    server = await asyncio.start_server(stand_in.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    stand_in.url = f"http://{host}:{port}"
    async with server:
        yield stand_in


@pytest.fixture
async def remote(docker: StandIn) -> AsyncIterator[RemoteRunner]:
    runner = RemoteRunner(docker.url)
    yield runner
    await runner.close()


def sse(*chunks: Any) -> list[str]:
    return [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]


CHAT = "POST /engines/v1/chat/completions"


async def test_models(docker: StandIn, remote: RemoteRunner) -> None:
    later = {**MODEL, "tags": ["docker.io/ai/zeta:latest"], "id": "sha256:" + "cd" * 32}
    docker.put("GET /models", json.dumps([later, MODEL, {"id": "sha256:x", "config": {}}]))
    docker.put("GET /models/ai/smollm2", json.dumps(MODEL))
    names = [model.tags[:1] for model in await remote.models()]
    assert names == [[], ["docker.io/ai/smollm2:latest"], ["docker.io/ai/zeta:latest"]]
    model = await remote.model("ai/smollm2")
    assert (model.created, model.config.parameters) == (1742816981, "361.82M")


async def test_manifests_are_not_shown(docker: StandIn, remote: RemoteRunner) -> None:
    docker.put("GET /models/smollm2/manifest", "404 page not found\n", "404 Not Found")
    docker.put("GET /models/smollm2", json.dumps(MODEL))
    with pytest.raises(UnavailableError, match="does not show manifests"):
        await remote.manifest("smollm2")


async def test_the_tag_is_sent_in_full(docker: StandIn, remote: RemoteRunner) -> None:
    # With a short one, Docker's server cuts the source's name out of it.
    route = "POST /models/ai/foo:v1/tag?repo=docker.io%2Fai%2Ffoo&tag=v10"
    docker.put(route, json.dumps({"message": "ok", "target": "docker.io/ai/foo:v10"}))
    assert await remote.tag("ai/foo:v1", "foo:v10") == "docker.io/ai/foo:v10"


async def test_a_chat(docker: StandIn, remote: RemoteRunner) -> None:
    docker.put_stream(
        CHAT,
        [
            ": keep-alive\n\n",
            *sse(
                {"choices": [{"delta": {"role": "assistant", "content": None}, "index": 0}]},
                {"choices": [{"delta": {"content": "Hé\u2028llo"}, "finish_reason": None}]},
                {"choices": [{"delta": {}, "finish_reason": "eos"}]},
                {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
            ),
        ],
    )
    events = [event async for event in remote.generate("smollm2", ASK)]
    assert events == [
        Started(prompt_tokens=0),
        Delta("Hé\u2028llo"),
        Finished("stop", Usage(prompt_tokens=5, completion_tokens=2)),
    ]
    (body,) = docker.bodies
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert body.keys() == {"model", "stream", "stream_options", "messages"}


async def test_a_chat_without_usage_and_with_raw_line_ends(
    docker: StandIn, remote: RemoteRunner
) -> None:
    text = json.dumps({"choices": [{"delta": {"content": "a\u2028b\x85c"}}]}, ensure_ascii=False)
    end = json.dumps({"choices": [{"delta": {"content": "d"}, "finish_reason": "length"}]})
    docker.put_stream(CHAT, [f"data: {text}\r\n\r\n", f"data:{end}"])
    events = [event async for event in remote.generate("smollm2", ASK)]
    assert events[1:] == [Delta("a\u2028b\x85c"), Delta("d"), Finished("length", Usage(0, 2))]


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        ("404 Not Found", "error while getting model: model not found\n", ModelNotFoundError),
        ("400 Bad Request", "model is required\n", InvalidRequestError),
        ("412 Precondition Failed", 'backend "x" is not installed\n', UnsupportedModelError),
        ("500 Internal Server Error", "unable to load runner: boom\n", EngineError),
        ("502 Bad Gateway", "", EngineError),
        ("503 Service Unavailable", "backend installer not started\n", UnavailableError),
    ],
)
async def test_plain_text_failures(
    docker: StandIn, remote: RemoteRunner, status: str, text: str, kind: type[DmrError]
) -> None:
    docker.put(CHAT, text, status)
    with pytest.raises(kind) as raised:
        _ = [event async for event in remote.generate("smollm2", ASK)]
    assert type(raised.value) is kind
    assert raised.value.message == (text.strip() or f"the runner answered 502 to {CHAT[5:]}")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 400, "type": "exceed_context_size_error", "message": "m"}, ContextLengthError),
        ({"code": 400, "type": "invalid_request_error", "message": "m"}, InvalidRequestError),
        ({"code": None, "type": "server_error", "message": "m"}, InvalidRequestError),
    ],
)
async def test_llama_servers_error_objects(
    docker: StandIn, remote: RemoteRunner, error: dict[str, Any], kind: type[DmrError]
) -> None:
    docker.put(CHAT, json.dumps({"error": error}), "400 Bad Request")
    with pytest.raises(kind, match=r"^m$") as raised:
        _ = [event async for event in remote.generate("smollm2", ASK)]
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("last", "kind", "says"),
    [
        ('data: {"error":{"message":"slot gone","code":500}}\n\n', EngineError, "slot gone"),
        ('data: {"error":"slot gone"}\n\n', EngineError, "slot gone"),
        ('error: {"code":500,"message":"slot gone"}\n\n', EngineError, "slot gone"),
        ("data: {broken\n\n", UnavailableError, "chunk"),
        ("", UnavailableError, "broke off"),
    ],
)
async def test_failures_in_the_middle(
    docker: StandIn, remote: RemoteRunner, last: str, kind: type[DmrError], says: str
) -> None:
    docker.put_stream(CHAT, [sse({"choices": [{"delta": {"content": "a"}}]})[0], last])
    work = remote.generate("smollm2", ASK)
    seen = [await anext(work), await anext(work)]
    with pytest.raises(kind, match=says):
        await anext(work)
    assert seen == [Started(prompt_tokens=0), Delta("a")]


async def test_a_connection_that_breaks(docker: StandIn, remote: RemoteRunner) -> None:
    docker.answers[CHAT] = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\ndata: "
    with pytest.raises(UnavailableError, match="broke off"):
        _ = [event async for event in remote.generate("smollm2", ASK)]
    docker.answers["GET /models"] = b"SSH-2.0-x\r\n"
    with pytest.raises(UnavailableError, match="broke off"):
        await remote.models()
    docker.put("GET /models", "<html>a router</html>")
    with pytest.raises(UnavailableError, match="no Docker Model Runner"):
        await remote.models()


LINES: list[dict[str, Any]] = [
    {
        "type": "progress",
        "message": "Downloaded: 1.00 MB",
        "total": 2,
        "layer": {"id": "sha256:x", "size": 2, "current": 1},
        "mode": "pull",
    },
    {"type": "warning", "message": "slow", "layer": None},
    {"type": "success", "message": 'Model pulled "successfully" & <well>'},
]


@pytest.mark.parametrize("escape", [html.escape, str], ids=["escaped", "raw"])
async def test_a_pull(docker: StandIn, remote: RemoteRunner, escape: Callable[[str], str]) -> None:
    lines = ["Installing llama.cpp backend...\n", *(escape(json.dumps(x)) + "\n" for x in LINES)]
    docker.put_stream("POST /models/create", lines)
    got = [line async for line in remote.pull("smollm2")]
    assert [(line.type, line.message) for line in got] == [
        (line["type"], line["message"]) for line in LINES
    ]
    assert (got[0].total, got[0].layer.current, got[0].mode) == (2, 1, "pull")
    assert docker.bodies == [{"from": "smollm2"}]


async def test_a_pull_that_fails_in_the_middle(docker: StandIn, remote: RemoteRunner) -> None:
    failed = json.dumps({"type": "error", "message": "no space"})
    docker.put_stream("POST /models/create", [failed + "\n", "no space\n"])
    with pytest.raises(RegistryError, match="no space"):
        _ = [line async for line in remote.pull("smollm2")]
    docker.put_stream("POST /models/create", [json.dumps(LINES[0]) + "\n"])
    with pytest.raises(RegistryError, match="before it was finished"):
        _ = [line async for line in remote.pull("smollm2")]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("401 Unauthorized", UnauthorizedError),
        ("404 Not Found", ModelNotFoundError),
        ("422 Unprocessable Entity", UnsupportedModelError),
        ("502 Bad Gateway", RegistryError),
    ],
)
async def test_a_pull_that_cannot_begin(
    docker: StandIn, remote: RemoteRunner, status: str, kind: type[DmrError]
) -> None:
    docker.put("POST /models/create", "Some text\n", status)
    with pytest.raises(kind, match=r"^Some text$"):
        _ = [line async for line in remote.pull("smollm2")]


async def test_removal_conflicts(docker: StandIn, remote: RemoteRunner) -> None:
    text = "unable to delete (must be forced)\n"
    docker.put("DELETE /models/abc?force=false", text, "409 Conflict")
    with pytest.raises(ConflictError, match="must be forced"):
        await remote.remove("abc")


async def test_what_runs(docker: StandIn, remote: RemoteRunner) -> None:
    row = {"backend_name": "llama.cpp", "model_name": "ai/smollm2", "mode": "completion"}
    rows = [
        {**row, "last_used": "2026-07-22T10:00:00.123456789Z", "keep_alive": "5m0s"},
        {**row, "last_used": "0001-01-01T00:00:00Z", "in_use": True, "keep_alive": "-1"},
        {**row, "last_used": "2026-07-22T12:00:00+02:00", "loading": True},
    ]
    docker.put("GET /engines/ps", json.dumps(rows))
    idle, busy, loading = await remote.running()
    assert (idle.state, idle.in_use, idle.keep_alive) == ("ready", 0, 300.0)
    assert idle.last_used == pytest.approx(1784714400.123456)
    assert (busy.in_use, busy.keep_alive, busy.last_used) == (1, -1.0, None)
    assert (loading.state, loading.keep_alive) == ("loading", 300.0)
    assert loading.last_used == 1784714400.0


async def test_status(docker: StandIn, remote: RemoteRunner) -> None:
    docker.put("GET /version", '{"version":"1.2.3"}')
    docker.put("GET /engines/status", '{"llama.cpp":"Running: x","vllm":"Not Installed"}')
    status = await remote.status()
    assert (status.version, status.backends["vllm"]) == ("1.2.3", "Not Installed")


async def test_it_knows_neither_what_fits_nor_what_was_measured(
    docker: StandIn, remote: RemoteRunner
) -> None:
    docker.put("POST /engines/fits", "404 page not found\n", "404 Not Found")
    docker.put("GET /engines/measured", "404 page not found\n", "404 Not Found")
    assert await remote.fits([str(MODEL["id"])]) == [None]
    assert await remote.measured() == {}
