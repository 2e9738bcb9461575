"""Tools, forms and reasoning on OpenAI's wire, field by field."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from dmr_tui.engine.request import (
    AnswerFormat,
    CompletionRequest,
    ContentPart,
    Function,
    FunctionCall,
    GrammarAnswer,
    JSONAnswer,
    Message,
    NamedTool,
    Reasoning,
    TextPart,
    Tool,
    ToolCall,
    ToolCallDelta,
)
from tests.server.sse import events
from tests.support.fake_runner import FakeRunner

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "ai/llama3.2:1B-Q8_0"
CHAT = {"model": NAME, "messages": [{"role": "user", "content": "hi"}]}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "weather", "description": "Looks.", "parameters": SCHEMA, "strict": True}
TOOL = {"type": "function", "function": FUNCTION}
OFFERED = Tool(Function("weather", "Looks.", SCHEMA, True))
GRAMMAR = 'root ::= "x"'
CALLS = [
    ToolCallDelta(0, "call00001", "weather"),
    ToolCallDelta(0, arguments='{"city": '),
    ToolCallDelta(0, arguments='"Paris"}'),
    ToolCallDelta(1, "call00002", "weather", "{}"),
]


async def ask(client: httpx.AsyncClient, fields: dict[str, Any], path: str = "chat/") -> Any:
    body = CHAT if path else {"model": NAME, "prompt": "x"}
    answer = await client.post(f"/v1/{path}completions", json={**body, **fields})
    assert answer.status_code == 200, answer.text
    return answer


async def test_a_call_is_streamed_as_openai_streams_it(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    runner.words, runner.tool_calls, runner.reason = (), CALLS, "tool_calls"
    answer = await ask(client, {"tools": [TOOL], "stream": True})
    choices = [each["choices"][0] for each in events(answer.text)[:-1] if each["choices"]]
    deltas = [choice["delta"] for choice in choices if "tool_calls" in choice["delta"]]
    first = {"name": "weather", "arguments": ""}
    last = {"name": "weather", "arguments": "{}"}
    assert [call for delta in deltas for call in delta["tool_calls"]] == [
        {"index": 0, "id": "call00001", "type": "function", "function": first},
        {"index": 0, "function": {"arguments": '{"city": '}},
        {"index": 0, "function": {"arguments": '"Paris"}'}},
        {"index": 1, "id": "call00002", "type": "function", "function": last},
    ]
    assert choices[0]["delta"]["role"] == "assistant"
    assert choices[-1]["finish_reason"] == "tool_calls"


async def test_whole_calls_are_in_the_message(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    runner.words, runner.tool_calls, runner.reason = (), CALLS, "tool_calls"
    choice = (await ask(client, {"tools": [TOOL]})).json()["choices"][0]
    whole = {"name": "weather", "arguments": '{"city": "Paris"}'}
    other = {"name": "weather", "arguments": "{}"}
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call00001", "type": "function", "function": whole},
            {"id": "call00002", "type": "function", "function": other},
        ],
        "refusal": None,
    }
    assert choice["finish_reason"] == "tool_calls"
    runner.words = ("Look:",)
    choice = (await ask(client, {"tools": [TOOL]})).json()["choices"][0]
    assert choice["message"]["content"] == "Look:"


async def test_who_offers_functions_is_answered_in_their_words(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    runner.words, runner.tool_calls, runner.reason = (), CALLS, "tool_calls"
    choice = (await ask(client, {"functions": [FUNCTION]})).json()["choices"][0]
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "function_call": {"name": "weather", "arguments": '{"city": "Paris"}'},
        "refusal": None,
    }
    assert choice["finish_reason"] == "function_call"
    answer = await ask(client, {"functions": [FUNCTION], "stream": True})
    choices = [each["choices"][0] for each in events(answer.text)[:-1] if each["choices"]]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"function_call": {"name": "weather", "arguments": ""}},
        {"function_call": {"arguments": '{"city": '}},
        {"function_call": {"arguments": '"Paris"}'}},
        {},  # a second call has no place
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [*[None] * 5, "function_call"]
    runner.words, runner.tool_calls, runner.reason = ("Hi",), (), "stop"
    choice = (await ask(client, {"functions": [FUNCTION]})).json()["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "Hi", "refusal": None}
    assert choice["finish_reason"] == "stop"


async def test_functions_in_the_history_are_calls_of_tools(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    call = FunctionCall("weather", '{"city": "Paris"}')
    turns = [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "weather", "arguments": call.arguments},
        },
        {"role": "function", "name": "weather", "content": "rain"},
        {"role": "function", "name": "unasked", "content": "?"},
    ]
    await ask(client, {"messages": turns})
    assert runner.chat.messages == [
        Message("user", "hi"),
        Message("assistant", tool_calls=[ToolCall("call00001", call)]),
        Message("tool", "rain", name="weather", tool_call_id="call00001"),
        Message("tool", "?", name="unasked"),
    ]


async def test_calls_in_the_history_may_lack_what_other_servers_do_without(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "tool_calls": [
                {"function": {"name": "weather", "arguments": {"city": "Köln"}}},
                {"id": "mine", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                {"id": None, "function": {"name": "look", "arguments": None}},
            ],
        },
        {"role": "tool", "content": "rain"},
        {"role": "tool", "content": "a cat", "tool_call_id": "mine"},
        {"role": "tool", "content": "a dog", "tool_call_id": None},
        {"role": "tool", "content": "?"},
        {"role": "assistant", "function_call": {"name": "look", "arguments": None}},
    ]
    await ask(client, {"messages": turns})
    assert runner.chat.messages == [
        Message("user", "hi"),
        Message(
            "assistant",
            tool_calls=[
                ToolCall("call00001", FunctionCall("weather", '{"city":"Köln"}')),
                ToolCall("mine", FunctionCall("look", "{}")),
                ToolCall("call00002", FunctionCall("look", "{}")),
            ],
        ),
        Message("tool", "rain", tool_call_id="call00001", name="weather"),
        Message("tool", "a cat", tool_call_id="mine", name="look"),
        Message("tool", "a dog", tool_call_id="call00002", name="look"),
        Message("tool", "?"),
        Message("assistant", tool_calls=[ToolCall("call00003", FunctionCall("look", "{}"))]),
    ]


@pytest.mark.parametrize("depth", [900, 5000])
async def test_arguments_that_nest_deep_break_nothing(
    client: httpx.AsyncClient, depth: int
) -> None:
    call = '{"function":{"name":"f","arguments":{"x":' + "[" * depth + "]" * depth + "}}}"
    turn = '{"role":"assistant","tool_calls":[' + call + "]}"
    body = '{"model":"' + NAME + '","messages":[' + turn + "]}"
    answer = await client.post("/v1/chat/completions", content=body.encode())
    assert answer.status_code in (200, 400)


@pytest.mark.parametrize(
    ("part", "content", "thoughts"),
    [
        ({"type": "refusal", "refusal": "no"}, [TextPart("no"), TextPart("A")], None),
        ({"type": "thinking", "thinking": "hm", "signature": "x"}, [TextPart("A")], "hm"),
        ({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, [TextPart("A")], "hm"),
        ({"type": "reasoning", "text": "hm"}, [TextPart("A")], "hm"),
        ({"type": "redacted_thinking", "data": "x"}, [TextPart("A")], None),
    ],
)
async def test_parts_of_answers_in_the_history(
    client: httpx.AsyncClient,
    runner: FakeRunner,
    part: dict[str, Any],
    content: list[ContentPart],
    thoughts: str | None,
) -> None:
    turn = {"role": "assistant", "content": [part, {"type": "text", "text": "A"}]}
    await ask(client, {"messages": [turn, {"role": "user", "content": "hi"}]})
    assert runner.chat.messages[0] == Message(
        "assistant", content=content, reasoning_content=thoughts
    )


@pytest.mark.parametrize(
    ("fields", "choice", "parallel"),
    [
        ({"tools": [TOOL]}, "auto", True),
        ({"tools": [TOOL], "tool_choice": "required"}, "required", True),
        ({"tools": [TOOL], "tool_choice": "none", "parallel_tool_calls": False}, "none", False),
        (
            {
                "tools": [TOOL],
                "tool_choice": {"type": "function", "function": {"name": "weather"}},
            },
            NamedTool("weather"),
            True,
        ),
        ({"functions": [FUNCTION]}, "auto", False),
        ({"functions": [FUNCTION], "function_call": "none"}, "none", False),
        (
            {"functions": [FUNCTION], "function_call": {"name": "weather"}, "tools": []},
            NamedTool("weather"),
            False,
        ),
    ],
)
async def test_tools_in_their_many_forms(
    client: httpx.AsyncClient,
    runner: FakeRunner,
    fields: dict[str, Any],
    choice: Any,
    parallel: bool,
) -> None:
    await ask(client, fields)
    assert runner.chat.tools == [OFFERED]
    assert runner.chat.tool_choice == choice
    assert runner.chat.parallel_tool_calls is parallel


OTHER = {"type": "function", "function": {"name": "time"}}


def allowed(mode: str, *tools: dict[str, Any]) -> dict[str, Any]:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
    return {"tools": [OTHER, TOOL], "tool_choice": choice}


@pytest.mark.parametrize("mode", ["auto", "required"])
async def test_only_allowed_tools_are_offered(
    client: httpx.AsyncClient, runner: FakeRunner, mode: str
) -> None:
    await ask(client, allowed(mode, {"type": "function", "function": {"name": "weather"}}))
    assert runner.chat.tools == [OFFERED]
    assert runner.chat.tool_choice == mode


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({}, None),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, JSONAnswer()),
        ({"response_format": {"type": "json_object", "schema": SCHEMA}}, JSONAnswer(SCHEMA)),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
            JSONAnswer(SCHEMA),
        ),
        ({"json_schema": SCHEMA}, JSONAnswer(SCHEMA)),
        ({"grammar": GRAMMAR, "json_schema": None}, GrammarAnswer(GRAMMAR)),
    ],
)
async def test_forms_of_answers(
    client: httpx.AsyncClient, runner: FakeRunner, fields: dict[str, Any], form: AnswerFormat | None
) -> None:
    await ask(client, fields)
    assert runner.chat.format == form
    await ask(client, fields, path="")
    request = runner.asked[-1][1]
    assert isinstance(request, CompletionRequest)
    assert request.format == form


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({}, Reasoning()),
        ({"reasoning_effort": "low"}, Reasoning(effort="low")),
        ({"enable_thinking": False}, Reasoning(enabled=False)),
        ({"reasoning_budget": 0}, Reasoning(budget=0)),
        ({"reasoning_budget": -1}, Reasoning(budget=-1)),
        ({"thinking_budget_tokens": 7}, Reasoning(budget=7)),
    ],
)
async def test_reasoning_options(
    client: httpx.AsyncClient, runner: FakeRunner, fields: dict[str, Any], reasoning: Reasoning
) -> None:
    await ask(client, fields)
    assert runner.chat.reasoning == reasoning


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"tools": [{"type": "function"}]}, "tools[0]", "type 'function'"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]", "type 'function'"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "required"),
        ({"functions": [{"name": "no spaces"}]}, "tools", "no name"),
        ({"tools": [TOOL, TOOL]}, "tools", "same name"),
        ({"tools": [TOOL], "tool_choice": {"type": "custom"}}, "tool_choice", "type 'function'"),
        (
            {
                "tools": [TOOL],
                "tool_choice": {"type": "function", "function": {"name": "other"}},
            },
            "tool_choice",
            "'other' is not among",
        ),
        (
            allowed("auto", TOOL, {"type": "function", "function": {"name": "other"}}),
            "tool_choice",
            "'other' is not among",
        ),
        (allowed("some", TOOL), "tool_choice", "'some' is none of"),
        (
            allowed("auto", {"type": "mcp"}),
            "tool_choice.allowed_tools.tools[0]",
            "type 'function'",
        ),
        (
            {"functions": [FUNCTION], "function_call": {"name": "other"}},
            "function_call",
            "'other' is not among the functions",
        ),
        (
            {"functions": [FUNCTION], "function_call": "required"},
            "function_call",
            "none of auto, none and a function",
        ),
        ({"functions": [FUNCTION], "tools": [TOOL]}, "functions", "use `tools`"),
        (
            {"tools": [TOOL], "function_call": {"name": "weather"}},
            "function_call",
            "leave it out beside tools",
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "function_call": {"name": "f"},
                        "tool_calls": [{"id": "c", "function": {"name": "f"}}],
                    }
                ]
            },
            "messages[0].function_call",
            "beside tool_calls",
        ),
        (
            {
                "tools": [{"function": {"name": "f", "parameters": {"not": {}}}}],
                "tool_choice": "any",
            },
            "tools",
            "keyword 'not' at #",
        ),
        (
            {"tools": [{"function": {"name": "f", "strict": True, "parameters": {"not": {}}}}]},
            "tools",
            "keyword 'not' at #",
        ),
        (
            {"tools": [{"function": {"name": "f", "parameters": {"type": "string"}}}]},
            "tools",
            "'f' have to be an object",
        ),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema.schema",
            "required",
        ),
        ({"grammar": GRAMMAR, "json_schema": SCHEMA}, "json_schema", "only one"),
    ],
)
async def test_what_is_wrong_is_named(
    client: httpx.AsyncClient, fields: dict[str, Any], param: str, says: str
) -> None:
    answer = await client.post("/v1/chat/completions", json={**CHAT, **fields})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert says in error["message"]


async def test_a_schema_that_cannot_be_held_only_matters_when_a_call_is_forced(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    await ask(client, {"tools": [{"function": {"name": "f", "parameters": {"not": {}}}}]})
    assert runner.chat.tools[0].function.name == "f"
