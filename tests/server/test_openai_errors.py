"""Failures as OpenAI clients see them: a status, and an object that says what and where."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from dmr_tui.errors import (
    BusyError,
    ContextLengthError,
    DmrError,
    EngineError,
    InvalidRequestError,
    UnavailableError,
)
from dmr_tui.server.openai_request import CompletionBody, to_completions
from tests.server.sse import events
from tests.support.fake_runner import FakeRunner

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "llama3.2:1B-Q8_0"
CHAT = {"model": NAME, "messages": [{"role": "user", "content": "hi"}]}


def problem(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and param, once the object's form has been checked."""
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert error.keys() >= {"message", "type", "param", "code"}
    kind = "server_error" if answer.status_code >= 500 else "invalid_request_error"
    assert error["type"] == kind
    return answer.status_code, error["code"], error["param"]


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (b"", None, "not valid JSON"),
        (b'{"model": ', None, "not valid JSON"),
        (b"\xff\xfe", None, "not valid JSON"),
        (b'{"model":"m","messages":[{"role":"user","content":"caf\xe9"}]}', None, "not UTF-8"),
        (b'{"model":"m","x":' + b"[" * 5000 + b"]" * 5000 + b"}", None, "nests too deep"),
        (b'{"model":"m","logit_bias":{"the":1}}', "logit_bias", "expected int, got str"),
        (b'{"model":"m","logit_bias":[["the",1]]}', "logit_bias[0][0]", "expected int, got str"),
        (b"[]", None, "the body: expected object, got array"),
        (b'{"messages":[]}', "model", "model is required"),
        (b'{"model":7}', "model", "model: expected str, got int"),
        (b'{"model":"m"}', "messages", "at least one"),
        (b'{"model":"m","messages":[]}', "messages", "at least one"),
        (b'{"model":"m","messages":"hi"}', "messages", "expected array, got str"),
        (b'{"model":"m","messages":[{"content":"hi"}]}', "messages[0].role", "required"),
        (b'{"model":"m","messages":[{"role":1}]}', "messages[0].role", "expected str"),
    ],
)
async def test_a_wrong_body_names_the_field(
    client: httpx.AsyncClient, body: bytes, param: str | None, says: str
) -> None:
    answer = await client.post("/v1/chat/completions", content=body)
    assert problem(answer) == (400, "invalid_request", param)
    assert says in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "hot"),
        ("temperature", -1),
        ("top_p", -0.1),
        ("stream", "yes"),
        ("stop", 5),
        ("stop", ["x"] * 65),
        ("max_tokens", -7),
        ("max_tokens", 1.5),
        ("max_completion_tokens", -7),
        ("n_predict", -7),
        ("seed", 2**63),
        ("seed", 10**30),
        ("max_tokens", 10**30),
        ("top_k", 10**30),
        ("temperature", 10**400),
        ("n", 17),
        ("n", 0),
        ("top_logprobs", 5),
        ("top_logprobs", 21),
        ("dry_sequence_breakers", ["x"] * 65),
        ("chat_template_kwargs", 5),
        ("logprobs", 7),
        ("response_format", {"type": "xml"}),
        ("response_format", {"type": "json_schema", "json_schema": {"schema": {"not": {}}}}),
        ("tool_choice", "maybe"),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}),
        ("parallel_tool_calls", "yes"),
        ("logit_bias", [[7, True]]),
        ("logit_bias", [[7, 101]]),
        ("reasoning_budget", -2),
    ],
)
async def test_a_wrong_or_unsupported_value_names_the_field(
    client: httpx.AsyncClient, field: str, value: Any
) -> None:
    answer = await client.post("/v1/chat/completions", json={**CHAT, field: value})
    assert problem(answer) == (400, "invalid_request", field)
    assert field.removesuffix("s") in answer.json()["error"]["message"]


async def test_a_whole_number_may_be_written_with_a_point(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    wire: dict[str, Any] = {"max_tokens": 5.0, "top_k": 4e1, "seed": -1.0, "temperature": 1.0}
    wire["logit_bias"] = {"7": 2.0, "8": 0.5}
    bounds = {"type": "number", "maximum": 1.7976931348623157e308}
    function = {"name": "f", "parameters": {"type": "object", "properties": {"x": bounds}}}
    wire["tools"] = [{"type": "function", "function": function}]
    answer = await client.post("/v1/chat/completions", json={**CHAT, **wire})
    assert answer.status_code == 200
    ((_, asked, _),) = runner.asked
    assert asked.limits.max_tokens == 5
    sampling = asked.sampling
    assert (sampling.top_k, sampling.seed, sampling.temperature) == (40, -1, 1.0)
    assert sampling.logit_bias == {7: 2.0, 8: 0.5}
    assert msgspec.msgpack.encode(asked)
    for wrong in (5.5, 1e300):
        body = {**CHAT, **wire, "max_tokens": wrong}
        answer = await client.post("/v1/chat/completions", json=body)
        assert problem(answer) == (400, "invalid_request", "max_tokens")


@pytest.mark.parametrize(
    ("last", "fields"),
    [
        ({"role": "assistant", "content": "A"}, {"add_generation_prompt": True}),
        ({"role": "user", "content": "A"}, {}),
        ({"role": "assistant", "content": ""}, {}),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}, {}),
    ],
)
async def test_what_cannot_be_continued_is_refused(
    client: httpx.AsyncClient, last: dict[str, Any], fields: dict[str, Any]
) -> None:
    messages = [{"role": "user", "content": "Hi"}, last]
    body = {**CHAT, "messages": messages, "continue_final_message": True, **fields}
    answer = await client.post("/v1/chat/completions", json=body)
    assert problem(answer) == (400, "invalid_request", "continue_final_message")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": [True]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [2**31]}, "prompt"),
        ({"prompt": ["a"] * 2049}, "prompt"),
        ({"prompt": [[1]] * 1025, "n": 4}, "prompt"),
        ({"prompt": "a", "logprobs": 21}, "logprobs"),
        ({"prompt": "a", "best_of": 3, "n": 2}, "best_of"),
    ],
)
async def test_a_wrong_completion_names_the_field(
    client: httpx.AsyncClient, fields: dict[str, Any], param: str
) -> None:
    answer = await client.post("/v1/completions", json={"model": NAME, **fields})
    assert problem(answer) == (400, "invalid_request", param)


async def test_so_many_prompts_are_taken() -> None:
    assert len(to_completions(CompletionBody(prompt=["a"] * 2048, n=2))) == 2048
    assert len(to_completions(CompletionBody(prompt=[1] * 5000))) == 1


async def test_an_unknown_content_part_is_named(client: httpx.AsyncClient) -> None:
    parts = [{"type": "text", "text": "x"}, {"type": "input_audio", "input_audio": {}}]
    body = {"model": NAME, "messages": [{"role": "user", "content": parts}]}
    answer = await client.post("/v1/chat/completions", json=body)
    assert problem(answer) == (400, "invalid_request", "messages[0].content[1]")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (ContextLengthError("the prompt has 9000 tokens, the context 4096"), 400),
        (InvalidRequestError("bad template", param="messages"), 400),
        (EngineError("tiny.gguf cannot be loaded", "see dmr logs"), 500),
        (UnavailableError("full"), 503),
        (DmrError("what"), 500),
    ],
)
async def test_a_failure_before_the_first_token_is_a_status(
    client: httpx.AsyncClient, runner: FakeRunner, failure: DmrError, status: int, stream: bool
) -> None:
    runner.failure = failure
    answer = await client.post("/v1/chat/completions", json={**CHAT, "stream": stream})
    assert problem(answer) == (status, failure.code, failure.param)
    message = answer.json()["error"]["message"]
    assert message == failure.message + (f" ({failure.hint})" if failure.hint else "")
    assert runner.open_streams == 0


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
async def test_a_defect_is_500_without_its_traceback(
    client: httpx.AsyncClient, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async def crash() -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(runner, "models", crash)
    origin = "http://localhost:3000"
    headers = {"Accept": "application/json", "Origin": origin}
    answer = await client.get(path, headers=headers)
    assert problem(answer) == (500, "internal_error", None)
    assert answer.headers["access-control-allow-origin"] == origin
    assert "secret" not in answer.text
    # Behind a defect the server hangs up, which it has to say: the client would ask on.
    assert answer.headers["connection"] == "close"
    assert (await client.get("/version")).status_code == 200


async def test_the_record_of_a_defect_has_a_reason(
    client: httpx.AsyncClient, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: Any) -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(runner, "ask", crash)
    await client.post("/tokenize", json={"model": NAME, "content": "x"})
    (record,) = runner.journal.requests()
    assert record.error is not None
    assert (record.status, record.error.message) == (500, "internal error")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_a_failure_in_the_middle_ends_the_stream_with_an_error(
    client: httpx.AsyncClient, runner: FakeRunner, path: str
) -> None:
    runner.failure, runner.fails_at = EngineError("the worker died"), 3
    body = {**CHAT, "prompt": "x", "stream": True}
    answer = await client.post(path, json=body)
    assert answer.status_code == 200
    *chunks, error = events(answer.text)
    assert error["error"]["message"] == "the worker died"
    assert error["error"]["code"] == "engine_error"
    assert "lo " in str(chunks[-1])
    whole = await client.post(path, json={**body, "stream": False})
    assert problem(whole) == (500, "engine_error", None)


@pytest.mark.parametrize("name", ["nope", "/etc/m.gguf", "~/m.gguf", "file:///m.gguf"])
async def test_an_unknown_model_is_404_with_a_hint(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.post("/v1/chat/completions", json={**CHAT, "model": name})
    assert problem(answer) == (404, "model_not_found", None)
    assert answer.json()["error"]["hint"] in answer.json()["error"]["message"]


async def test_unknown_models_and_paths_of_every_route(client: httpx.AsyncClient) -> None:
    for path in ("/v1/models/nope", "/engines/nope/v1/models", "/engines/v1/models/a/b/c:d"):
        assert problem(await client.get(path)) == (404, "model_not_found", None)
    answer = await client.post("/engines/nope/v1/chat/completions", json=CHAT)
    assert problem(answer) == (404, "model_not_found", None)
    assert problem(await client.post("/v1/nope", json={})) == (404, "not_found", None)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/engines/a/b/v1/completions"])
async def test_the_wrong_method_is_405_and_names_the_right_one(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)
    assert problem(answer) == (405, "method_not_allowed", None)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_413(
    client: httpx.AsyncClient, runner: FakeRunner, announced: bool
) -> None:
    async def chunks() -> Any:
        for _ in range(11):
            yield b" " * 1024**2

    content: Any = b" " * (11 * 1024**2) if announced else chunks()
    answer = await client.post("/v1/chat/completions", content=content)
    assert problem(answer) == (413, "request_too_large", None)
    largest = b" " * (10 * 1024**2 - 2) + b"{}"
    assert problem(await client.post("/v1/chat/completions", content=largest))[0] == 400


async def test_who_cannot_wait_is_told_when_to_come_back(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    runner.failure = BusyError("16 requests are being answered and 128 wait")
    for stream in (False, True):
        answer = await client.post("/v1/chat/completions", json={**CHAT, "stream": stream})
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "2"
        assert answer.json()["error"]["type"] == "rate_limit_error"
