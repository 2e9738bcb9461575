"""What OpenAI's clients say of tools and of the answer's form, and what is meant by it.

Source: OpenAI API reference, `tools`, `tool_choice` and `response_format` of `POST
/chat/completions`; for their older names see `openai_functions`; `grammar` and `json_schema` are
llama-server's.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from dmr_tui.engine.request import (
    AnswerFormat,
    Function,
    GrammarAnswer,
    JSONAnswer,
    NamedTool,
    Tool,
    ToolChoice,
)
from dmr_tui.errors import InvalidRequestError
from dmr_tui.server.openai_functions import (
    FunctionsBody,
    Name,
    to_function_choice,
    uses_functions,
)


class ToolBody(Struct, frozen=True):
    """One tool."""

    type: str = "function"
    function: Function | None = None


class AllowedToolsBody(Struct, frozen=True):
    """The tools among which there is a choice."""

    mode: str
    tools: list[ToolBody]


class ToolChoiceBody(Struct, frozen=True):
    """The tool that is to be called, or those that may be."""

    type: str = "function"
    function: Name | None = None
    allowed_tools: AllowedToolsBody | None = None


class SchemaBody(Struct, frozen=True):
    """A named JSON Schema."""

    name: str | None = None
    schema: dict[str, Any] | bool | None = None
    strict: bool | None = None


class ResponseFormat(Struct, frozen=True):
    """The form that the answer must have."""

    type: str
    json_schema: SchemaBody | None = None
    schema: dict[str, Any] | None = None
    """llama-cpp-python's place for it."""


class _FormBody(Protocol):
    @property
    def response_format(self) -> ResponseFormat | None: ...
    @property
    def grammar(self) -> str | None: ...
    @property
    def json_schema(self) -> dict[str, Any] | bool | None: ...


class _ToolsBody(FunctionsBody, Protocol):
    @property
    def tools(self) -> list[ToolBody] | None: ...
    @property
    def tool_choice(self) -> str | ToolChoiceBody | None: ...


def to_format(body: _FormBody) -> AnswerFormat | None:
    """The form that the answer must have.

    Raises:
        InvalidRequestError: there are two, or one that nobody knows.
    """
    forms: dict[str, AnswerFormat] = {}
    if body.grammar:
        forms["grammar"] = GrammarAnswer(body.grammar)
    if body.json_schema is not None:
        forms["json_schema"] = JSONAnswer(body.json_schema)
    if body.response_format is not None and body.response_format.type != "text":
        forms["response_format"] = _to_json(body.response_format)
    if len(forms) > 1:
        first, second, *_ = forms
        raise _wrong(second, f"there may be only one of {first} and {second}")
    return next(iter(forms.values()), None)


def _to_json(wanted: ResponseFormat) -> JSONAnswer:
    where = "response_format"
    if wanted.type == "json_object":
        return JSONAnswer(wanted.schema)
    if wanted.type != "json_schema":
        raise _wrong(where, f"{wanted.type!r} is none of text, json_object and json_schema")
    schema = wanted.schema if wanted.json_schema is None else wanted.json_schema.schema
    if schema is None:
        raise _wrong(f"{where}.json_schema.schema", "a schema is required")
    return JSONAnswer(schema)


def to_tools(body: _ToolsBody) -> list[Tool]:
    """The tools that are offered.

    Raises:
        InvalidRequestError: one of them is no function, or one is allowed that is not there.
    """
    if uses_functions(body):
        return [Tool(function) for function in body.functions or []]
    tools = [Tool(each) for each in _functions(body.tools or [], "tools")]
    allowed = _allowed(body)
    if allowed is None:
        return tools
    named = {each.name for each in _functions(allowed.tools, "tool_choice.allowed_tools.tools")}
    for name in sorted(named - {tool.function.name for tool in tools}):
        raise _wrong("tool_choice", f"{name!r} is not among the tools")
    return [tool for tool in tools if tool.function.name in named]


def _functions(tools: list[ToolBody], where: str) -> list[Function]:
    functions = []
    for at, tool in enumerate(tools):
        if tool.type != "function" or tool.function is None:
            raise _wrong(f"{where}[{at}]", "only tools of type 'function' can be called")
        functions.append(tool.function)
    return functions


def _allowed(body: _ToolsBody) -> AllowedToolsBody | None:
    choice = body.tool_choice
    if not isinstance(choice, ToolChoiceBody) or choice.type != "allowed_tools":
        return None
    return choice.allowed_tools


def to_tool_choice(body: _ToolsBody) -> ToolChoice:
    """Which tools may or must be called.

    Raises:
        InvalidRequestError: nobody knows the word.
    """
    if uses_functions(body):
        return to_function_choice(body)
    choice: str | ToolChoiceBody | Name | None = body.tool_choice
    allowed = _allowed(body)
    if allowed is not None:
        choice = allowed.mode
    if isinstance(choice, ToolChoiceBody):
        choice = choice.function
        if choice is None:
            raise _wrong("tool_choice", "only a tool of type 'function' can be called")
    match choice:
        case None | "auto":
            return "auto"
        case "none":
            return "none"
        case "required" | "any":
            return "required"
        case Name(name):
            return NamedTool(name)
    raise _wrong("tool_choice", f"{choice!r} is none of auto, none, required and a tool")


def _wrong(field: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(f"{field}: {message}", param=field)
