"""OpenAI's older words for tools: `functions`, `function_call`, and messages that speak of them.

On the way in they become tools; an answer to who used them has the older shape, which holds one
call and has no id.
Source: OpenAI API reference, the deprecated fields of `POST /chat/completions`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from dmr_tui.engine.request import (
    FinishReason,
    Function,
    FunctionCall,
    Message,
    NamedTool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
)
from dmr_tui.errors import InvalidRequestError


class Name(Struct, frozen=True):
    """The name of a function."""

    name: str


class FunctionsBody(Protocol):
    """Both ways to speak of tools."""

    @property
    def functions(self) -> list[Function] | None:
        """What may be called."""
        ...

    @property
    def function_call(self) -> str | Name | None:
        """Which of them may or has to be."""
        ...

    @property
    def tools(self) -> Any:
        """The newer word for `functions`."""
        ...

    @property
    def tool_choice(self) -> Any:
        """The newer word for `function_call`."""
        ...


def uses_functions(body: FunctionsBody) -> bool:
    """Whether a request has the older words.

    Raises:
        InvalidRequestError: it has the newer ones, too.
    """
    old = [name for name in ("functions", "function_call") if getattr(body, name)]
    new = [name for name in ("tools", "tool_choice") if getattr(body, name)]
    if old and new:
        raise _wrong(old[0], f"this is an older word: leave it out beside {new[0]}, or use `tools`")
    return bool(old)


def to_function_choice(body: FunctionsBody) -> ToolChoice:
    """Which functions may or must be called.

    Raises:
        InvalidRequestError: nobody knows the word, or the function.
    """
    match body.function_call:
        case None | "" | "auto":
            return "auto"
        case "none":
            return "none"
        case Name(name):
            if all(name != function.name for function in body.functions or []):
                raise _wrong("function_call", f"{name!r} is not among the functions")
            return NamedTool(name)
    raise _wrong(
        "function_call",
        f"{body.function_call!r} is none of auto, none and a function; `tool_choice` of `tools`"
        " knows more",
    )


def to_tool_messages(turns: Iterable[tuple[Message, FunctionCall | None]]) -> list[Message]:
    """A conversation in which calls of functions are those of tools, and each call has an id.

    Results that name no call are taken for those of the calls without an id, in their order. Each
    gets the name of the function that was called: few clients tell it, and some templates want it.

    Args:
        turns: messages, and the function that each of them called.

    Raises:
        InvalidRequestError: a message calls both a function and tools.
    """
    messages: list[Message] = []
    ids: dict[str, str] = {}
    called: dict[str, str] = {}
    unanswered: Iterator[str] = iter(())
    # Nine letters and digits: what Mistral's templates take.
    made_up = (f"call{number:05}" for number in itertools.count(1))
    for message, call in turns:
        if call is not None:
            if message.tool_calls:
                at = f"messages[{len(messages)}].function_call"
                raise _wrong(at, "leave it out beside tool_calls")
            ids[call.name] = next(made_up)
            message = replace(message, tool_calls=[ToolCall(ids[call.name], call)])
        elif message.tool_calls:
            calls = [
                each if each.id else replace(each, id=next(made_up)) for each in message.tool_calls
            ]
            pairs = zip(message.tool_calls, calls, strict=True)
            unanswered = iter([new.id for old, new in pairs if not old.id])
            message = replace(message, tool_calls=calls)
        elif message.role == "function":
            known = ids.get(message.name or "")
            message = replace(message, role="tool", tool_call_id=known)
        elif message.role == "tool":
            answered = message.tool_call_id or next(unanswered, None)
            name = message.name or called.get(answered or "")
            message = replace(message, tool_call_id=answered, name=name)
        called |= {each.id: each.function.name for each in message.tool_calls or ()}
        messages.append(message)
    return messages


def function_delta(event: ToolCallDelta) -> dict[str, Any]:
    """A part of a call as a part of a message; further calls have no place in it."""
    if event.index:
        return {}
    call = {"name": event.name} if event.id else {}
    return {"function_call": {**call, "arguments": event.arguments}}


def function_reason(reason: FinishReason) -> str:
    """Why an answer ended."""
    return "function_call" if reason == "tool_calls" else reason


def _wrong(field: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(f"{field}: {message}", param=field)
