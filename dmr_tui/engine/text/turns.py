"""Conversations in other words, for templates that do not know all kinds of turns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from msgspec.structs import replace

from dmr_tui.engine.request import ImagePart, Message
from dmr_tui.engine.text.tools.spelled import spell
from dmr_tui.errors import InvalidRequestError


def plain_text(message: Message) -> str:
    """The text of a message.

    Raises:
        InvalidRequestError: there is an image in it.
    """
    if message.content is None:
        return ""
    if isinstance(message.content, str):
        return message.content
    texts = []
    for part in message.content:
        if isinstance(part, ImagePart):
            raise InvalidRequestError("this model cannot see images", param="messages")
        texts.append(part.text)
    return "\n".join(texts)


def without_system(messages: Sequence[Message]) -> list[Message]:
    """A conversation whose instructions are part of the next message of the user."""
    found: list[Message] = []
    instructions: list[str] = []
    for message in messages:
        if message.role == "system":
            instructions.append(plain_text(message))
        elif message.role == "user" and instructions:
            text = "\n\n".join([*instructions, plain_text(message)])
            found.append(replace(message, content=text))
            instructions = []
        else:
            found.append(message)
    return [*found, Message("user", "\n\n".join(instructions))] if instructions else found


def with_calls_spelled(messages: Sequence[Message], template: str) -> list[Message]:
    """A conversation whose calls are text, as the model to which a template belongs writes them."""
    found: list[Message] = []
    for message in messages:
        if message.tool_calls:
            calls = spell([call.function for call in message.tool_calls], template)
            text = plain_text(message) + calls
            found.append(replace(message, content=text, tool_calls=None))
        else:
            found.append(message)
    return found


def one_by_one(messages: Sequence[Message]) -> list[Message]:
    """A conversation in which each call of several has a turn of its own, its results behind it."""
    found: list[Message] = []
    left = list(messages)
    while left:
        message = left.pop(0)
        calls = message.tool_calls or []
        if len(calls) < 2:
            found.append(message)
            continue
        results = list(takewhile(lambda each: each.role == "tool", left))
        del left[: len(results)]
        alone = message
        for call in calls:
            found.append(replace(alone, tool_calls=[call]))
            found += [each for each in results if each.tool_call_id == call.id]
            alone = replace(message, content=None, reasoning_content=None)
        known = {call.id for call in calls}
        found += [each for each in results if each.tool_call_id not in known]
    return found
