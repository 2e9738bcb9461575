"""Tool calls found in the text of an answer while it comes."""

from __future__ import annotations

from collections.abc import Collection

from dmr_tui.engine.text.partial import first_marker, growing
from dmr_tui.engine.text.pieces import Piece, Text
from dmr_tui.engine.text.tools.reading import Reading, ToolFormat

_SEPARATORS = " \t\r\n,;"
"""What may stand between two calls that have no markers."""


class ToolParser:
    """Parses one answer. How the text is cut makes no difference.

    A call is given when it is complete; what is none, or calls a tool that was not offered, comes
    back as the text that it is. White space next to calls is dropped.
    """

    def __init__(self, form: ToolFormat, names: Collection[str]) -> None:
        """Begin.

        Args:
            form: the model's.
            names: of the tools that were offered.
        """
        self._form = form
        self._names = frozenset(names)
        self._held = ""
        self._space = ""
        """White space that is dropped if a call follows."""
        self._reading = False
        """The held text begins with an opener."""
        self._at_start = True
        """Nothing but white space and calls has come."""
        self._called = False
        """The last that came was a call."""

    def feed(self, text: str) -> list[Piece]:
        """Take more text; gives what is now certain."""
        self._held += text
        return _joined(self._pieces(final=False))

    def finish(self) -> list[Piece]:
        """The rest."""
        pieces = self._pieces(final=True)
        if self._space and not self._called:
            pieces.append(Text(self._space))
        self._space = ""
        return _joined(pieces)

    def _pieces(self, *, final: bool) -> list[Piece]:
        found: list[Piece] = []
        while self._held:
            if not self._reading:
                more = self._seek(final=final)
                found += more
                if not self._reading:
                    break
            reading = self._read(final=final)
            if reading is None:
                break
            found += self._take(reading)
        return found

    def _seek(self, *, final: bool) -> list[Piece]:
        """Text up to the next opener, or up to what may still become one."""
        between = _SEPARATORS if self._called else None
        start = len(self._held) - len(self._held.lstrip(between)) if self._at_start else None
        openers = [*self._form.openers, *self._form.noise]
        anywhere = [each for each in openers if each not in self._form.first_only]
        found = first_marker(self._held, anywhere)
        at = None if found is None else found[0]
        if start is not None and self._held.startswith(self._form.first_only or "\0", start):
            at = start
            if self._called:
                self._held, at = self._held[start:], 0
        if at is not None:
            text, self._held, self._reading = self._held[:at], self._held[at:], True
            return self._say(text)
        keep = 0 if final else growing(self._held, anywhere)
        if start is not None and not final and self._may_open(self._held[start:]):
            keep = len(self._held)
        cut = len(self._held) - keep
        text, self._held = self._held[:cut], self._held[cut:]
        return self._say(text)

    def _may_open(self, text: str) -> bool:
        return any(opener.startswith(text) for opener in self._form.first_only)

    def _read(self, *, final: bool) -> Reading | None:
        for mark in self._form.noise:
            if self._held.startswith(mark):
                return Reading(len(mark), silent=True)
        return self._form.read(self._held, final=final)

    def _take(self, reading: Reading) -> list[Piece]:
        self._reading = False
        text, self._held = self._held[: reading.length], self._held[reading.length :]
        if reading.silent:
            return []
        if reading.calls and all(call.name in self._names for call in reading.calls):
            self._called = True
            return list(reading.calls)
        return self._say(text)

    def _say(self, text: str) -> list[Piece]:
        """Text without the white space at its end, which waits for what follows."""
        text = self._space + text
        if self._called:
            text = text.lstrip()
        kept = text.rstrip()
        self._space = text[len(kept) :]
        if not kept:
            return []
        self._called = self._at_start = False
        return [Text(kept)]


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Texts that follow each other as one."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else None
        if isinstance(piece, Text) and isinstance(last, Text):
            found[-1] = Text(last.text + piece.text)
        else:
            found.append(piece)
    return found
