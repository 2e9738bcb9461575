"""Mistral's two formats, which begin alike.

`[TOOL_CALLS][{"name": …, "arguments": {…}}]`, and since 2025 `[TOOL_CALLS]name[ARGS]{…}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dmr_tui.engine.text.pieces import Call
from dmr_tui.engine.text.tools.json_calls import JSONCalls, NamedCalls
from dmr_tui.engine.text.tools.reading import Reading, skip_space

_OPEN = "[TOOL_CALLS]"
_LIST = JSONCalls((_OPEN,))
_NAMED = NamedCalls(
    (_OPEN,), re.compile(r"\s*([\w.-]+)\s*(?:\[CALL_ID\]\s*\w+\s*)?(?:\[ARGS\])?\s*")
)


@dataclass(frozen=True)
class MistralCalls:
    """Both formats: the first character tells them apart."""

    openers: tuple[str, ...] = (_OPEN,)
    first_only: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    marks: tuple[str, ...] = (_OPEN, "[ARGS]", "[CALL_ID]")

    def begun(self, text: str) -> list[Call]:
        """See `ToolFormat.begun`."""
        return _form_of(text).begun(text)

    def read(self, text: str, *, final: bool) -> Reading | None:
        """See `ToolFormat.read`."""
        if not final and skip_space(text, len(_OPEN)) == len(text):
            return None
        return _form_of(text).read(text, final=final)


def _form_of(text: str) -> JSONCalls | NamedCalls:
    at = skip_space(text, len(_OPEN))
    return _LIST if text[at : at + 1] in ("[", "{") else _NAMED
