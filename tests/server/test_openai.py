"""What OpenAI clients send and get, field by field."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import (
    CompletionRequest,
    ImagePart,
    ImageURL,
    Limits,
    Sampling,
    TextPart,
)
from tests.server.sse import events
from tests.support.fake_runner import MODEL, FakeRunner

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "ai/llama3.2:1B-Q8_0"
HELLO = [{"role": "user", "content": "hi"}]
CHAT = {"model": NAME, "messages": HELLO}


async def ok(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Any:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def streamed(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[Any]:
    answer = await client.post(path, json={**body, "stream": True})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    found = events(answer.text)
    assert found.pop() == "[DONE]"
    return found


async def test_a_chat_answers_with_text_usage_and_timings(client: httpx.AsyncClient) -> None:
    answer = await ok(client, "/engines/v1/chat/completions", CHAT)
    assert answer["id"].startswith("chatcmpl-")
    assert answer["object"] == "chat.completion"
    assert answer["model"] == NAME
    assert answer["system_fingerprint"]
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello wörld\u2028!", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert answer["usage"] == {
        "prompt_tokens": 11,
        "completion_tokens": 3,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    assert answer["timings"] == {
        "cache_n": 4,
        "prompt_n": 7,
        "prompt_ms": 500.0,
        "prompt_per_second": 14.0,
        "predicted_n": 3,
        "predicted_ms": 2000.0,
        "predicted_per_second": 1.5,
    }


async def test_thoughts_are_kept_apart(client: httpx.AsyncClient, runner: FakeRunner) -> None:
    runner.thoughts = ["let me ", "see"]
    answer = await ok(client, "/v1/chat/completions", CHAT)
    assert answer["choices"][0]["message"]["reasoning_content"] == "let me see"
    chunks = await streamed(client, "/v1/chat/completions", CHAT)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert [delta.get("reasoning_content") for delta in deltas[1:3]] == ["let me ", "see"]
    assert deltas[3] == {"content": "Hel"}


async def test_a_stream_opens_with_the_role_and_closes_with_the_reason(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    runner.reason = "length"
    chunks = await streamed(client, "/v1/chat/completions", CHAT)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert [choice["delta"].get("content") for choice in choices[1:-1]] == list(runner.words)
    assert [choice["finish_reason"] for choice in choices] == [None] * 4 + ["length"]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[-1]["timings"]["predicted_n"] == 3
    assert not any("usage" in chunk for chunk in chunks)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_usage_comes_in_a_chunk_without_choices(client: httpx.AsyncClient, path: str) -> None:
    body = {**CHAT, "prompt": "once", "stream_options": {"include_usage": True}}
    chunks = await streamed(client, path, body)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 14
    assert chunks[-1]["timings"]["prompt_n"] == 7
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


async def test_no_line_of_a_stream_can_be_split_elsewhere(client: httpx.AsyncClient) -> None:
    # httpx.iter_lines and others split at U+2028, which is legal inside JSON text.
    answer = await client.post("/v1/chat/completions", json={**CHAT, "stream": True})
    assert [line for line in answer.text.splitlines() if line and line[:6] != "data: "] == []


@pytest.mark.parametrize(
    "prefix",
    [
        "/engines/v1",
        "/engines/llama.cpp/v1",
        "/v1",
        "/engines/llama.cpp",
        "//engines//v1",
        f"/engines/{NAME}/v1",
        "/engines/ai%2Fllama3.2:1B-Q8_0/v1",
    ],
)
async def test_every_prefix_has_every_route(
    client: httpx.AsyncClient, runner: FakeRunner, prefix: str
) -> None:
    base = f"{client.base_url}".rstrip("/") + prefix  # whole, so that httpx leaves `//` alone
    await ok(client, f"{base}/chat/completions", CHAT)
    await ok(client, f"{base}/completions", {"model": NAME, "prompt": "x"})
    assert [model for model, _, _ in runner.asked] == [NAME, NAME]
    listed = (await client.get(f"{base}/models/")).json()
    one = (await client.get(f"{base}/models/{NAME}")).json()
    assert listed == {"object": "list", "data": [one]}
    assert one["id"] == MODEL.tags[0]
    assert one["object"] == "model"
    assert one["owned_by"] == "docker"
    assert one["dmr"] == {
        "context_window": 4096,
        "architecture": "llama",
        "parameters": "135M",
        "quantization": "Q8_0",
        "size": "138MB",
    }


@pytest.mark.parametrize("said", [{}, {"model": "gpt-4o"}, {"model": None}])
async def test_a_model_in_the_path_needs_none_in_the_body(
    client: httpx.AsyncClient, runner: FakeRunner, said: dict[str, Any]
) -> None:
    body = {"messages": HELLO, **said}
    answer = await ok(client, f"/engines/{NAME}/v1/chat/completions", body)
    assert runner.asked[0][0] == NAME
    assert answer["model"] == NAME


async def test_a_backends_name_wins_over_a_models(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    await ok(client, "/engines/llama.cpp/v1/chat/completions", CHAT)
    assert runner.asked[0][0] == NAME


async def test_sampling_and_limits_reach_the_engine(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    sampling: dict[str, Any] = {
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 7,
        "min_p": 0.1,
        "typical_p": 0.9,
        "logit_bias": {15: -100, 16: 2.5},
        "xtc_probability": 0.5,
        "dry_multiplier": 0.8,
        "dry_sequence_breakers": ["\n"],
        "mirostat": 2,
        "repeat_penalty": 1.1,
        "repeat_last_n": 32,
        "presence_penalty": -0.5,
        "frequency_penalty": 0.25,
        "seed": 42,
    }
    profile = {"context_size": 512}
    body = {**CHAT, **sampling, "max_tokens": 5, "stop": ["a", "b"], "dmr_profile": profile}
    await ok(client, "/v1/chat/completions", body)
    assert runner.chat.sampling == Sampling(**sampling)
    assert runner.chat.limits == Limits(max_tokens=5, stop=["a", "b"])
    assert runner.asked[0][2] == Profile(context_size=512)


@pytest.mark.parametrize(
    ("given", "biases"),
    [
        ([], None),
        ([[15, -1.5], [16, False], [17, 2]], {15: -1.5, 16: -100, 17: 2}),
        ({"15": -1}, {15: -1}),
    ],
)
async def test_biases_in_their_many_forms(
    client: httpx.AsyncClient, runner: FakeRunner, given: Any, biases: dict[int, float] | None
) -> None:
    await ok(client, "/v1/chat/completions", {**CHAT, "logit_bias": given})
    assert runner.chat.sampling.logit_bias == biases


@pytest.mark.parametrize(
    ("fields", "limits"),
    [
        ({"stop": "END"}, Limits(stop=["END"])),
        ({"max_tokens": 9, "max_completion_tokens": 3}, Limits(max_tokens=3)),
        ({"max_tokens": -1}, Limits()),
        ({"n_predict": 2}, Limits(max_tokens=2)),
        ({"n_predict": 2, "max_tokens": 9}, Limits(max_tokens=9)),
        ({"n_predict": -1}, Limits()),
        ({"max_tokens": None, "stop": None, "seed": None, "n": 1, "logprobs": False}, Limits()),
        (
            {"tools": [], "response_format": {"type": "text"}, "user": "u", "new_field": {}},
            Limits(),
        ),
        ({"tools": None, "tool_choice": "none", "reasoning_budget": -1}, Limits()),
    ],
)
async def test_fields_in_their_many_forms(
    client: httpx.AsyncClient, runner: FakeRunner, fields: dict[str, Any], limits: Limits
) -> None:
    await ok(client, "/v1/chat/completions", {**CHAT, **fields})
    assert runner.chat.limits == limits


async def test_messages_in_their_many_forms(client: httpx.AsyncClient, runner: FakeRunner) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
        {"role": "assistant", "content": "42", "reasoning_content": "easy"},
    ]
    kwargs = {"enable_thinking": False}
    body = {"model": NAME, "messages": messages, "chat_template_kwargs": kwargs}
    await ok(client, "/v1/chat/completions", body)
    system, user, calling, result, answer = runner.chat.messages
    assert (system.role, system.content) == ("system", "be brief")
    image = ImagePart(ImageURL("data:image/png;base64,AA=="))
    assert user.content == [TextPart("look"), image]
    assert calling.tool_calls is not None
    assert calling.tool_calls[0].function.name == "f"
    assert (result.role, result.tool_call_id) == ("tool", "c1")
    assert answer.reasoning_content == "easy"
    assert runner.chat.template_options == kwargs


async def test_a_completion_answers(client: httpx.AsyncClient, runner: FakeRunner) -> None:
    answer = await ok(client, "/v1/completions", {"model": NAME, "prompt": "Once"})
    assert answer["id"].startswith("cmpl-")
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [
        {"index": 0, "text": "Hello wörld\u2028!", "logprobs": None, "finish_reason": "stop"}
    ]
    assert runner.asked[0][1] == CompletionRequest("Once")


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("a", ["a"]),
        (["a"], ["a"]),
        ([1, 2, 3], [[1, 2, 3]]),
        (["a", "b"], ["a", "b"]),
        ([[1], [2, 3]], [[1], [2, 3]]),
    ],
)
async def test_prompts_in_their_many_forms(
    client: httpx.AsyncClient, runner: FakeRunner, prompt: Any, asked: list[Any]
) -> None:
    answer = await ok(client, "/v1/completions", {"model": NAME, "prompt": prompt})
    got = [request.prompt for _, request, _ in runner.asked if hasattr(request, "prompt")]
    assert got == asked
    assert [choice["index"] for choice in answer["choices"]] == list(range(len(asked)))
    assert answer["usage"]["prompt_tokens"] == 11 * len(asked)


async def test_echo_puts_the_prompt_first(client: httpx.AsyncClient) -> None:
    body = {"model": NAME, "prompt": ["One, ", "Two, "], "echo": True}
    answer = await ok(client, "/v1/completions", body)
    assert [choice["text"][:8] for choice in answer["choices"]] == ["One, Hel", "Two, Hel"]
    chunks = await streamed(client, "/v1/completions", body)
    told = ["", ""]
    for chunk in chunks:
        choice = chunk["choices"][0]
        told[choice["index"]] += choice["text"]
    assert told == [choice["text"] for choice in answer["choices"]]


async def test_preloading_generates_nothing(client: httpx.AsyncClient, runner: FakeRunner) -> None:
    header = {"X-Preload-Only": "true"}
    for path in ("/v1/chat/completions", f"/engines/{NAME}/v1/completions"):
        answer = await client.post(path, json={"model": NAME}, headers=header)
        assert (answer.status_code, answer.content) == (200, b"")
    assert runner.calls == [("load", NAME, None)] * 2
    assert runner.asked == []
