"""Ids of tool calls in a conversation, for templates that take no others than their own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from msgspec.structs import replace

from dmr_tui.engine.request import Message

_LENGTH = 9
_WANTS_NINE = re.compile(rf"\|\s*length\s*!=\s*{_LENGTH}\b")
"""Mistral's templates refuse a conversation with any other id."""


def fit_ids(messages: Sequence[Message], template: str) -> Sequence[Message]:
    """A conversation whose calls and results have ids that the template takes.

    Clients bring ids of other models and servers along, and some make their own. What becomes of
    one is always the same, so that a conversation that goes on begins as it did.

    Args:
        messages: the conversation.
        template: Jinja text.
    """
    if not _WANTS_NINE.search(template):
        return messages
    return [_fit(message) for message in messages]


def _fit(message: Message) -> Message:
    calls = message.tool_calls and [replace(each, id=_nine(each.id)) for each in message.tool_calls]
    answered = message.tool_call_id and _nine(message.tool_call_id)
    return replace(message, tool_calls=calls, tool_call_id=answered)


def _nine(given: str) -> str:
    if len(given) == _LENGTH and given.isascii() and given.isalnum():
        return given
    return hashlib.sha256(given.encode()).hexdigest()[:_LENGTH]
