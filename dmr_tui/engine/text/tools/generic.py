"""Tools for models whose chat template knows none: told in words, called in plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dmr_tui.engine.request import FunctionCall, Message, TextPart, Tool

_INTRODUCTION = """\
You may call functions. Each is described by a line of JSON, with a JSON Schema of its parameters:

{tools}

To call a function, answer with nothing but a JSON object of this form:
{{"name": "<the function's name>", "arguments": {{<its arguments>}}}}
{several}If no function is needed, answer in plain words."""
_SEVERAL = "To call several functions, answer with a JSON list of such objects.\n"


def tell(messages: Sequence[Message], tools: Sequence[Tool], *, parallel: bool) -> list[Message]:
    """A conversation that a template without tools can write.

    The tools become a part of the system message, calls become text of the assistant, and results
    become messages of the user.
    """
    lines = "\n".join(msgspec.json.encode(tool.function).decode() for tool in tools)
    words = _INTRODUCTION.format(tools=lines, several=_SEVERAL if parallel else "")
    plain = without_calls(messages)
    if plain and plain[0].role == "system":
        system = text_of(plain.pop(0))
        words = f"{system}\n\n{words}" if system else words
    return [Message("system", words), *plain]


def without_calls(messages: Sequence[Message]) -> list[Message]:
    """A conversation in which calls and their results are plain text."""
    names: dict[str, str] = {}
    found: list[Message] = []
    for message in messages:
        if message.tool_calls:
            names |= {call.id: call.function.name for call in message.tool_calls}
            text = spell([call.function for call in message.tool_calls])
            said = text_of(message)
            found.append(Message("assistant", f"{said}\n{text}" if said else text))
        elif message.role == "tool":
            name = names.get(message.tool_call_id or "", message.name or "the function")
            _add_result(found, f"Result of {name}: {text_of(message)}")
        else:
            found.append(message)
    return found


def _add_result(found: list[Message], text: str) -> None:
    """A result; several in a row are one message: many templates want the roles to alternate."""
    last = found[-1] if found else None
    if last is not None and last.role == "user" and text_of(last).startswith("Result of "):
        found[-1] = Message("user", f"{text_of(last)}\n{text}")
    else:
        found.append(Message("user", text))


def spell(calls: Sequence[FunctionCall]) -> str:
    """Calls as they are asked for here."""
    found = [_call(call) for call in calls]
    return found[0] if len(found) == 1 else f"[{', '.join(found)}]"


def _call(call: FunctionCall) -> str:
    try:
        given: Any = msgspec.json.decode(call.arguments) if call.arguments else {}
    except (msgspec.DecodeError, RecursionError):
        given = call.arguments
    return msgspec.json.encode({"name": call.name, "arguments": given}).decode()


def text_of(message: Message) -> str:
    """The text of a message, without what is none."""
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    return "\n".join(part.text for part in message.content if isinstance(part, TextPart))
