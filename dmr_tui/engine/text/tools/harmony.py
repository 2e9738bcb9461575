"""gpt-oss's harmony format: thoughts, answers and calls are messages on channels.

    <|channel|>analysis<|message|>thoughts<|end|><|start|>assistant<|channel|>commentary
    to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>

Source: OpenAI, "harmony response format".
"""

from __future__ import annotations

import re

from dmr_tui.engine.text.partial import first_marker, growing
from dmr_tui.engine.text.pieces import Call, More, Piece, Text, Thought
from dmr_tui.engine.text.tools.reading import json_end, parse_json, skip_space

START, CHANNEL, MESSAGE, CONSTRAIN = "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"
END, CALL, RETURN = "<|end|>", "<|call|>", "<|return|>"
RECIPIENT = "to=functions."
MARKS = (START, CHANNEL, MESSAGE, CONSTRAIN, END, CALL, RETURN)

_ENDS = (END, CALL, RETURN, START)
_RECIPIENT = re.compile(r"to=(?:functions\.)?([A-Za-z0-9_.-]+)")
_CHANNEL_NAME = re.compile(re.escape(CHANNEL) + r"\s*(\w+)")
_BEGINNINGS = (CHANNEL, START, MESSAGE, "to=")


class HarmonyParser:
    """Parses one answer, which begins in the header of a message. How it is cut is no matter."""

    ended = False
    """The model ends each call with a token that ends the answer."""

    def __init__(self, names: frozenset[str], *, sure: bool = False) -> None:
        """Begin.

        Args:
            names: of the tools that were offered.
            sure: all that the model writes is held to the format.
        """
        self._names = names
        self._sure = sure
        self._asked = False
        """It was tried to hold the present call to the format."""
        self._given: Call | None = None
        """What has been given of the present call."""
        self._held = ""
        self._in_header = True
        self._header = ""
        self._spoken = False
        """Some of the present message has been given."""
        self.marked = False
        """What was fed last was part of a header, or its end."""

    @property
    def thinking(self) -> bool:
        """Whether the text that comes next is a thought, as far as is known."""
        return not self._in_header and self._channel == "analysis" and self._tool is None

    @property
    def heading(self) -> bool:
        """What comes next says of what kind the message is, and for whom."""
        return self._in_header

    @property
    def opened(self) -> str | None:
        """A call that has begun and is not held to the format, from `RECIPIENT` on."""
        if self._sure or self._asked:
            return None
        written = self._held if self._in_header else f"{self._header}{MESSAGE}{self._held}"
        begin = written.find(RECIPIENT)
        return None if begin < 0 else written[begin:]

    def hold(self, sure: bool) -> None:
        """Note whether what has been `opened` is held to the format, to the answer's end."""
        self._sure, self._asked = sure, True

    def feed(self, text: str) -> list[Piece]:
        """Take more text; gives what is now certain."""
        self._held += text
        self.marked = False
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
        self.marked = True
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
            return self._begun(self._tool) if self._sure else []
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

    def _begun(self, tool: str) -> list[Piece]:
        """What is new of a call whose message has not ended."""
        begin = skip_space(self._held, 0)
        if not self._held.startswith("{", begin):
            return []
        end = json_end(self._held, begin)
        return self._tell(Call(tool, self._held[begin:end], whole=end is not None))

    def _tell(self, call: Call) -> list[Piece]:
        before, self._given = self._given, call
        if before is None:
            return [call]
        more = call.arguments.removeprefix(before.arguments)
        return [More(more, last=call.whole)] if call != before else []

    def _piece(self, text: str) -> list[Piece]:
        tool = self._tool
        if tool is not None and isinstance(parse_json(text), dict):
            pieces = self._tell(Call(tool, text.strip()))
            self._given, self._asked = None, False
            return pieces
        if not text or self._given is not None:
            return []
        return [Thought(text)] if self._channel == "analysis" else [Text(text)]
