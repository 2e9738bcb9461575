"""Answers of a given form and tool calls: OpenAI's own client over a real engine.

The model's weights are random, so whatever it writes in a form it writes because it is held to it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from datetime import date, datetime
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import openai
import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel, Field

from dmr_tui.paths import Paths
from dmr_tui.runner.local import LocalRunner
from dmr_tui.server.endpoint import Endpoint
from dmr_tui.settings import Settings
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from tests.support.gguf_maker import CHATML, FIRST_MARK, write_tiny_llama

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERMES = CHATML.replace(
    "{% for", "{% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}{% for", 1
)
THINKING = CHATML.replace("assistant\n'", "assistant\n<think>'") + "{# </think> #}"
MISTRAL = HERMES + "{# [TOOL_CALLS] [ARGS] #}"
TEMPLATES = {
    "plain": CHATML,
    "hermes": HERMES + "{# <tool_call> #}",
    "mistral": MISTRAL,
    "thinks": THINKING,
}
MARKS = ["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]"]
CALLING = {"hermes": FIRST_MARK, "mistral": FIRST_MARK + 2}
"""The token with which the calls of a model begin."""
ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Weather in Paris?"}]
UNITS = {"enum": ["celsius", "fahrenheit"]}
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 8}, "unit": UNITS},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
TOOLS: list[ChatCompletionToolParam] = [
    {"type": "function", "function": {"name": "weather", "parameters": WEATHER, "strict": True}},
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Adds.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}},
                "required": ["a"],
            },
        },
    },
]
PARAMETERS: dict[str, Any] = {
    tool["function"]["name"]: tool["function"]["parameters"]
    for tool in TOOLS
    if tool["type"] == "function"
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AsyncOpenAI]:
    home = tmp_path_factory.mktemp("home")
    paths = Paths(home / "data", home / "config", home / "state")
    store = Store(paths.models)
    for name, template in TEMPLATES.items():
        gguf = write_tiny_llama(home / f"{name}.gguf", chat_template=template, marks=MARKS)
        package_gguf(store, gguf, parse_reference(name))
    runner = LocalRunner.open(paths, Settings(threads=1, context_size=1024))
    endpoint = Endpoint(runner, Settings(), port=0, paths=Paths(home, home, home))
    await endpoint.start()
    base_url = f"{endpoint.url}/engines/v1"
    async with AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0) as made:
        yield made
    await endpoint.stop(grace=0)
    await runner.close()


def schema_format(schema: dict[str, Any]) -> Any:
    named = {"name": "answer", "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": named}


SCHEMAS: dict[str, dict[str, Any]] = {
    "object": WEATHER,
    "branches": {"anyOf": [{"const": "yes"}, {"type": "integer", "minimum": 1, "maximum": 12}]},
    "list": {"type": "array", "items": {"format": "date"}, "minItems": 1, "maxItems": 2},
    "references": {
        "$defs": {
            "leaf": {
                "type": "object",
                "properties": {"name": {"enum": ["a", "b"]}},
                "required": ["name"],
            }
        },
        "type": "object",
        "properties": {"left": {"$ref": "#/$defs/leaf"}, "right": {"$ref": "#/$defs/leaf"}},
        "required": ["left", "right"],
    },
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
}


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_satisfies_its_schema(client: AsyncOpenAI, name: str, stream: bool) -> None:
    for seed in range(3):
        asked: dict[str, Any] = {
            "model": "plain",
            "messages": ASKED,
            "response_format": schema_format(SCHEMAS[name]),
            "max_tokens": 300,
            "seed": seed,
            "temperature": 1.5,
        }
        if stream:
            chunks = await client.chat.completions.create(**asked, stream=True)
            choices = [choice async for chunk in chunks for choice in chunk.choices]
            text = "".join(choice.delta.content or "" for choice in choices)
            reason = choices[-1].finish_reason
        else:
            answer = await client.chat.completions.create(**asked)
            text, reason = answer.choices[0].message.content, answer.choices[0].finish_reason
        assert reason == "stop"
        Draft202012Validator(SCHEMAS[name]).validate(json.loads(text))


class Step(BaseModel):
    kind: Literal["look", "wait"]
    minutes: int = Field(ge=0, le=600)


class Plan(BaseModel):
    title: str = Field(max_length=12)
    steps: list[Step] = Field(max_length=2)


async def test_the_parse_helper_gives_the_models_own_type(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.parse(
        model="plain", messages=ASKED, response_format=Plan, max_tokens=300
    )
    plan = answer.choices[0].message.parsed
    assert isinstance(plan, Plan)


class Shade(Enum):
    RED = "red"
    BLUE = "blue"


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float = Field(gt=0, lt=100)


class Square(BaseModel):
    kind: Literal["square"]
    side: int | None


class Everything(BaseModel):
    """One of each kind of field that people use."""

    shade: Shade
    shapes: list[Circle | Square] = Field(min_length=1, max_length=2)
    code: str = Field(pattern=r"^[a-z]{3}\d{2}$")
    when: date
    moment: datetime
    key: UUID
    pair: tuple[int, bool]
    ratio: float = Field(ge=0, le=1)
    note: str | None = Field(default=None, max_length=5)
    many: int = Field(default=3, description="How many", ge=-5, le=5)


@pytest.mark.parametrize("kind", [Everything, Circle])
async def test_pydantics_models_come_back_as_they_are(
    client: AsyncOpenAI, kind: type[BaseModel]
) -> None:
    for seed in range(2):
        answer = await client.chat.completions.parse(
            model="plain",
            messages=ASKED,
            response_format=kind,
            max_tokens=900,
            seed=seed,
            temperature=1.2,
        )
        assert answer.choices[0].finish_reason == "stop"
        assert isinstance(answer.choices[0].message.parsed, kind)


async def test_tools_of_pydantics_models_have_parsed_arguments(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.parse(
        model="hermes",
        messages=ASKED,
        tools=[openai.pydantic_function_tool(Square), openai.pydantic_function_tool(Circle)],
        tool_choice="required",
        parallel_tool_calls=False,
        max_tokens=300,
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, Square | Circle)


async def test_several_answers_have_calls_of_their_own(client: AsyncOpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "hermes",
        "messages": ASKED,
        "tools": TOOLS,
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_tokens": 300,
        "n": 3,
        "temperature": 1.5,
        "seed": 5,
        "logprobs": True,
        "top_logprobs": 2,
    }
    answer = await client.chat.completions.create(**asked)
    assert [choice.finish_reason for choice in answer.choices] == ["tool_calls"] * 3
    whole = [called(choice.message.tool_calls) for choice in answer.choices]
    assert [len(calls) for calls in whole] == [1, 1, 1]
    # Calls are no text, and have no probabilities.
    assert [choice.logprobs for choice in answer.choices] == [None] * 3
    parts: list[list[Any]] = [[], [], []]
    async for chunk in await client.chat.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            parts[choice.index] += choice.delta.tool_calls or []
    for each in parts:
        arguments = json.loads("".join(part.function.arguments for part in each))
        Draft202012Validator(PARAMETERS[each[0].function.name]).validate(arguments)
    ids = {each[0].id for each in parts}
    assert len(ids) == 3


async def test_a_grammar_holds_an_answer(client: AsyncOpenAI) -> None:
    grammar = 'root ::= ("ja" | "nein") "!"{1,3}'
    answer = await client.chat.completions.create(
        model="plain", messages=ASKED, max_tokens=20, extra_body={"grammar": grammar}
    )
    assert (answer.choices[0].message.content or "").rstrip("!") in ("ja", "nein")
    text = await client.completions.create(
        model="plain", prompt="Sag:", max_tokens=20, extra_body={"grammar": grammar}
    )
    assert text.choices[0].text.rstrip("!") in ("ja", "nein")


async def test_any_object(client: AsyncOpenAI) -> None:
    # It may be cut off, but as far as it came it is an object.
    answer = await client.chat.completions.create(
        model="plain", messages=ASKED, max_tokens=30, response_format={"type": "json_object"}
    )
    assert (answer.choices[0].message.content or "").startswith("{")


def called(calls: Iterable[Any] | None) -> list[tuple[str, Any]]:
    found = [(call.function.name, json.loads(call.function.arguments)) for call in calls or []]
    assert all(call.type == "function" and call.id for call in calls or [])
    for name, arguments in found:
        Draft202012Validator(PARAMETERS[name]).validate(arguments)
    return found


@pytest.mark.parametrize("model", TEMPLATES)
async def test_a_required_call_is_always_valid(client: AsyncOpenAI, model: str) -> None:
    thought = False
    for seed in range(4):
        answer = await client.chat.completions.create(
            model=model,
            messages=ASKED,
            tools=TOOLS,
            tool_choice="required",
            parallel_tool_calls=False,
            max_tokens=300,
            seed=seed,
            stop=['"'],
            extra_body={"reasoning_budget": 5},
        )
        choice = answer.choices[0]
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
        assert len(called(choice.message.tool_calls)) == 1
        thought |= bool(getattr(choice.message, "reasoning_content", None))
    assert thought == (model == "thinks")


async def test_parallel_calls_have_ids_of_their_own(client: AsyncOpenAI) -> None:
    several = 0
    for seed in range(6):
        answer = await client.chat.completions.create(
            model="hermes",
            messages=ASKED,
            tools=TOOLS,
            tool_choice="required",
            max_tokens=600,
            seed=seed,
            temperature=2,
        )
        calls = answer.choices[0].message.tool_calls or []
        assert called(calls)
        assert len({call.id for call in calls}) == len(calls)
        several += len(calls) > 1
    assert several


@pytest.mark.parametrize("model", ["plain", "hermes"])
async def test_the_named_tool_is_called_and_the_stream_helper_assembles_it(
    client: AsyncOpenAI, model: str
) -> None:
    async with client.chat.completions.stream(
        model=model,
        messages=ASKED,
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "weather"}},
        parallel_tool_calls=False,
        max_tokens=300,
    ) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    assert final.choices[0].finish_reason == "tool_calls"
    calls = called(final.choices[0].message.tool_calls)
    assert [name for name, _ in calls] == ["weather"]


@pytest.mark.parametrize("model", CALLING)
async def test_a_call_that_has_begun_is_held_to_its_tool_and_streamed_in_pieces(
    client: AsyncOpenAI, model: str
) -> None:
    calls: dict[int, list[str]] = {}
    for seed in range(3):
        chunks = await client.chat.completions.create(
            model=model,
            messages=ASKED,
            tools=TOOLS,
            parallel_tool_calls=False,
            max_tokens=300,
            seed=seed,
            stream=True,
            temperature=1.5,
            # The model cannot but begin a call; all that follows, the grammar makes it write.
            logit_bias={str(CALLING[model]): 100},
            # Text for people would end there, a call must not.
            stop=['"', "}"],
        )
        choices = [choice async for chunk in chunks for choice in chunk.choices]
        parts = [call for choice in choices for call in choice.delta.tool_calls or []]
        assert choices[-1].finish_reason == "tool_calls"
        assert {part.index for part in parts} == {0}
        first, *others = [part.function for part in parts if part.function]
        assert first.name in PARAMETERS
        assert first.arguments == ""
        assert not any(part.name for part in others)
        pieces = [part.arguments or "" for part in others]
        Draft202012Validator(PARAMETERS[first.name]).validate(json.loads("".join(pieces)))
        calls[seed] = pieces
    assert max(map(len, calls.values())) > 5


async def test_a_call_that_is_cut_off_says_so(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="hermes",
        messages=ASKED,
        tools=TOOLS,
        max_tokens=40,
        seed=1,
        logit_bias={str(CALLING["hermes"]): 100},
        extra_body={"parallel_tool_calls": True},
    )
    choice = answer.choices[0]
    assert choice.finish_reason in ("length", "tool_calls")
    assert not choice.message.content
    assert choice.message.tool_calls


async def test_a_tool_whose_parameters_no_grammar_can_hold_is_called_all_the_same(
    client: AsyncOpenAI,
) -> None:
    strange: ChatCompletionToolParam = {
        "type": "function",
        "function": {"name": "strange", "parameters": {"not": {"type": "null"}}},
    }
    answer = await client.chat.completions.create(
        model="hermes",
        messages=ASKED,
        tools=[strange],
        parallel_tool_calls=False,
        max_tokens=400,
        seed=3,
        logit_bias={str(CALLING["hermes"]): 100},
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "strange"
    assert call.function.arguments.startswith("{")


async def test_results_of_calls_go_back_to_the_model(client: AsyncOpenAI) -> None:
    function = {"name": "weather", "arguments": '{"city": "Paris"}'}
    messages: list[Any] = [
        *ASKED,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ]
    for model in ("plain", "hermes"):
        answer = await client.chat.completions.create(
            model=model, messages=messages, tools=TOOLS, max_tokens=8
        )
        assert answer.choices[0].message.content


async def test_functions_are_called_and_answered_in_the_older_words(client: AsyncOpenAI) -> None:
    functions: list[Any] = [{"name": "weather", "parameters": WEATHER}]
    for model in ("plain", "hermes", "mistral"):
        answer = await client.chat.completions.create(
            model=model,
            messages=ASKED,
            functions=functions,
            function_call={"name": "weather"},
            max_tokens=300,
        )
        choice = answer.choices[0]
        call = choice.message.function_call
        assert call is not None
        assert (choice.finish_reason, choice.message.tool_calls) == ("function_call", None)
        assert call.name == "weather"
        Draft202012Validator(WEATHER).validate(json.loads(call.arguments))
        result: list[Any] = [
            choice.message.model_dump(exclude_none=True),
            {"role": "function", "name": "weather", "content": "rain"},
        ]
        answer = await client.chat.completions.create(
            model=model,
            messages=[*ASKED, *result],
            functions=functions,
            function_call="none",
            max_tokens=8,
        )
        assert answer.choices[0].message.content


async def test_thoughts_are_told_apart_and_end_with_their_budget(client: AsyncOpenAI) -> None:
    thoughts = text = ""
    for seed in range(4):
        chunks = await client.chat.completions.create(
            model="thinks",
            messages=ASKED,
            max_tokens=60,
            seed=seed,
            stream=True,
            extra_body={"reasoning_budget": 12},
        )
        deltas = [choice.delta async for chunk in chunks for choice in chunk.choices]
        thoughts += "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        text += "".join(delta.content or "" for delta in deltas)
    assert thoughts
    assert text
    assert "</think>" not in thoughts + text


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": "object", "properties": {"a": {"not": {"type": "null"}}}}, "not"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "string", "pattern": "(?=x)"}, "pattern"),
        ({"$ref": "#/$defs/none"}, "$ref"),
    ],
)
async def test_a_schema_that_cannot_be_held_is_refused(
    client: AsyncOpenAI, schema: dict[str, Any], keyword: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await client.chat.completions.create(
            model="plain", messages=ASKED, response_format=schema_format(schema)
        )
    assert raised.value.param == "response_format"
    assert f"'{keyword}'" in raised.value.message


async def test_a_broken_grammar_is_refused_and_the_model_lives(client: AsyncOpenAI) -> None:
    for grammar in ('root ::= "a', "no ::= rules", 'root ::= root "a"', "root ::= missing"):
        with pytest.raises(openai.BadRequestError) as raised:
            await client.chat.completions.create(
                model="plain", messages=ASKED, extra_body={"grammar": grammar}
            )
        assert raised.value.param == "grammar"
    answer = await client.chat.completions.create(model="plain", messages=ASKED, max_tokens=2)
    assert answer.choices[0].message.content
