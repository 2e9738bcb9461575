"""Llama 3's formats: JSON, with or without `<|python_tag|>`, and what else follows that tag.

`<|python_tag|>brave_search.call(query="…")` calls a tool that Meta built in, and any other text
behind the tag is Python code. Both end with the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dmr_tui.engine.text.pieces import Call
from dmr_tui.engine.text.tools.gemma import python_calls
from dmr_tui.engine.text.tools.json_calls import JSONCalls
from dmr_tui.engine.text.tools.reading import Reading, skip_space, write_json

TAG = "<|python_tag|>"
BUILT_IN = frozenset({"brave_search", "web_search", "wolfram_alpha"})
CODE = ("python", "ipython", "code_interpreter")
"""What tools that run code are called."""

_JSON = JSONCalls((TAG, "{"), first_only=("{",))
_BUILT_IN_CALL = re.compile(r"(\w+)\.call(\(.*\))", re.DOTALL)


@dataclass(frozen=True)
class LlamaCalls:
    """All of them; which of the tools were offered decides what is meant."""

    names: frozenset[str] = frozenset()
    openers: tuple[str, ...] = _JSON.openers
    first_only: tuple[str, ...] = _JSON.first_only
    noise: tuple[str, ...] = ()
    marks: tuple[str, ...] = (TAG,)

    @property
    def code(self) -> str | None:
        """The tool that runs code, if there is one."""
        return next((name for name in CODE if name in self.names), None)

    def begun(self, text: str) -> list[Call]:
        """See `ToolFormat.begun`: only JSON is told before its end."""
        return _JSON.begun(text)

    def read(self, text: str, *, final: bool) -> Reading | None:
        """See `ToolFormat.read`."""
        at = skip_space(text, len(TAG)) if text.startswith(TAG) else 0
        if at == 0 or text[at : at + 1] == "{":
            return _JSON.read(text, final=final)
        return Reading(len(text), self._calls(text[at:].strip())) if final else None

    def _calls(self, text: str) -> tuple[Call, ...]:
        found = _BUILT_IN_CALL.fullmatch(text)
        if found and found[1] in self.names:
            return tuple(python_calls(found[1] + found[2]))
        if self.code is None or not text:
            return ()
        return (Call(self.code, write_json({"code": text})),)
