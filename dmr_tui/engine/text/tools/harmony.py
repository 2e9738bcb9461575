"""gpt-oss's harmony format: thoughts, answers and calls are messages on channels.

    <|channel|>analysis<|message|>thoughts<|end|><|start|>assistant<|channel|>commentary
    to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>

Source: OpenAI, "harmony response format".
"""

from __future__ import annotations

import re

from dmr_tui.engine.text.partial import first_marker, growing
from dmr_tui.engine.text.pieces import Call, Piece, Text, Thought
from dmr_tui.engine.text.tools.reading import parse_json

START, CHANNEL, MESSAGE, CONSTRAIN = "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"
END, CALL, RETURN = "<|end|>", "<|call|>", "<|return|>"
MARKS = (START, CHANNEL, MESSAGE, CONSTRAIN, END, CALL, RETURN)

_ENDS = (END, CALL, RETURN, START)
_RECIPIENT = re.compile(r"to=(?:functions\.)?([A-Za-z0-9_.-]+)")
_CHANNEL_NAME = re.compile(re.escape(CHANNEL) + r"\s*(\w+)")
_BEGINNINGS = (CHANNEL, START, MESSAGE, "to=")


class HarmonyParser:
    """Parses one answer, which begins in the header of a message. How it is cut is no matter."""

    def __init__(self, names: frozenset[str]) -> None:
        """Begin; `names` are those of the tools that were offered."""
        self._names = names
        self._held = ""
        self._in_header = True
        self._header = ""
        self._spoken = False
        """Some of the present message has been given."""

    @property
    def thinking(self) -> bool:
        """Whether the text that comes next is a thought, as far as is known."""
        return not self._in_header and self._channel == "analysis" and self._tool is None

    def feed(self, text: str) -> list[Piece]:
        """Take more text; gives what is now certain."""
        self._held += text
        return self._pieces(final=False)

    def finish(self) -> list[Piece]:
        """The rest."""
        return self._pieces(final=True)

    @property
    def _channel(self) -> str:
        found = _CHANNEL_NAME.search(self._header)
        return found[1] if found else "final"

    @property
    def _tool(self) -> str | None:
        found = _RECIPIENT.search(self._header)
        return found[1] if found and found[1] in self._names else None

    def _pieces(self, *, final: bool) -> list[Piece]:
        found: list[Piece] = []
        while self._held:
            before = (self._held, self._in_header)
            if self._in_header:
                self._read_header(final=final)
            else:
                found += self._read_body(final=final)
            if before == (self._held, self._in_header):
                break
        return found

    def _read_header(self, *, final: bool) -> None:
        start = self._held.lstrip()
        known = start.startswith(_BEGINNINGS)
        if not known and not final and any(each.startswith(start) for each in _BEGINNINGS):
            return
        if not known:
            # No message at all: some text, as of a model that forgot its format.
            self._header, self._in_header = "", False
            return
        found = first_marker(self._held, [MESSAGE])
        if found is not None:
            self._header = self._held[: found[0]]
            self._held = self._held[found[0] + len(MESSAGE) :]
            self._in_header = self._spoken = False
        elif final:
            self._held = ""

    def _read_body(self, *, final: bool) -> list[Piece]:
        found = first_marker(self._held, _ENDS)
        if found is None and self._tool is not None and not final:
            return []
        if found is None:
            keep = 0 if final else growing(self._held, _ENDS)
            cut = len(self._held) - keep
            text, self._held = self._held[:cut], self._held[cut:]
            ended = final
        else:
            text, self._held = self._held[: found[0]], self._held[found[0] + len(found[1]) :]
            ended = True
        pieces = self._piece(text)
        self._in_header = ended
        return pieces

    def _piece(self, text: str) -> list[Piece]:
        tool = self._tool
        if tool is not None and isinstance(parse_json(text), dict):
            return [Call(tool, text.strip())]
        if not text:
            return []
        return [Thought(text)] if self._channel == "analysis" else [Text(text)]
