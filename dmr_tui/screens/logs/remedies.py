"""Why a request failed, in words, and what a key can do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dmr_tui.runner.activity.records import CLIENT_LEFT, RequestRecord
from dmr_tui.widgets.figures import grouped

Fix = Literal["", "context", "pull", "unload", "load"]

_LENGTHS = re.compile(r"has (\d+) tokens, the context holds (\d+)")
_ROOM = 1024
"""Tokens that an answer should have besides its prompt."""

_STEP = 2048


@dataclass(frozen=True)
class Remedy:
    """What is wrong with a request.

    Attributes:
        why: in words; empty when nothing is.
        fix: what the key `e` does about it; empty: nothing.
        title: what that is called.
        context: tokens, for a larger context.
    """

    why: str = ""
    fix: Fix = ""
    title: str = ""
    context: int = 0


def remedy(record: RequestRecord) -> Remedy:
    """Explain a request that went wrong; an empty remedy for one that did not."""
    if record.status == CLIENT_LEFT:
        tokens = record.completion_tokens or 0
        when = f"after {tokens} tokens" if tokens else "before the first token"
        return Remedy(f"The client hung up {when}; what it had asked for was stopped.")
    error = record.error
    if error is None:
        return (
            Remedy(f"The answer was status {record.status}.") if record.status >= 400 else Remedy()
        )
    why = f"{error.message}. {_sentence(error.hint)}".strip()
    match error.code:
        case "context_length_exceeded":
            return _too_long(error.message, why)
        case "model_not_found" if record.model:
            return Remedy(why, "pull", f"Get {record.model}")
        case "insufficient_memory":
            return Remedy(why, "unload", "Unload idle models")
        case "engine_error" if record.model:
            return Remedy(why, "load", "Load it again")
    return Remedy(why)


def _too_long(message: str, why: str) -> Remedy:
    lengths = _LENGTHS.search(message)
    if lengths is None:
        return Remedy(why)
    prompt, context = int(lengths[1]), int(lengths[2])
    larger = -(-(prompt + _ROOM) // _STEP) * _STEP
    said = (
        f"The prompt is {grouped(prompt - context)} tokens over the context of {grouped(context)}."
    )
    return Remedy(said, "context", f"Set context {larger}", larger)


def _sentence(hint: str) -> str:
    text = hint.splitlines()[0] if hint else ""
    end = "" if text.endswith((".", "?", "!")) else "."
    return f"{text[:1].upper()}{text[1:]}{end}" if text else ""
