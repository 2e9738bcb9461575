"""Tool calls found in the text of an answer while it comes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dmr_tui.engine.text.partial import first_marker, growing
from dmr_tui.engine.text.pieces import Call, More, Piece, Text
from dmr_tui.engine.text.tools.reading import Reading, ToolFormat

_SEPARATORS = " \t\r\n,;"
"""What may stand between two calls that have no markers."""

_LONG = 4096
_PART = 64
_CLOSING = frozenset("]})>|`")
_LOOK_BACK = 16
"""A call is read again from its opener. One of so many characters is not read at each token, but
when it has grown by that part of its length, or when a sign has come that may end it."""


class ToolParser:
    """Parses one answer. How the text is cut makes no difference.

    A call is given when it is complete, or while it is written, if the model is held to its form;
    what is none, or calls a tool that was not offered, comes back as the text that it is. White
    space next to calls is dropped.
    """

    def __init__(
        self,
        form: ToolFormat,
        names: Collection[str],
        *,
        sure: bool = False,
        parallel: bool = True,
    ) -> None:
        """Begin.

        Args:
            form: the model's.
            names: of the tools that were offered.
            sure: all that the model writes is held to the form.
            parallel: there may be several calls; if not, the answer ends behind the first one.
        """
        self._sure = sure
        self._parallel = parallel
        self.ended = False
        """The only call is whole: what follows is not told."""
        self._asked = False
        """It was tried to hold what is being read to the form."""
        self._given: list[Call] = []
        """Of what is being read, the calls that have been given, as far as they had come."""
        self._form = form
        self._names = frozenset(names)
        self._held = ""
        self._space = ""
        """White space that is dropped if a call follows."""
        self._reading = False
        """The held text begins with an opener."""
        self._seen = 0
        """So much of the held text has been read."""
        self._at_start = True
        """Nothing but white space and calls has come."""
        self._called = False
        """The last that came was a call."""

    @property
    def opened(self) -> str | None:
        """A call that has begun and is not held to its form, from its opener on."""
        if not self._reading or self._sure or self._asked:
            return None
        if self._held.startswith(self._form.first_only or "\0"):
            # It may be anything, until it has the name of a tool.
            known = any(call.name in self._names for call in self._form.begun(self._held))
            return self._held if known else None
        return self._held

    def hold(self, sure: bool) -> None:
        """Note whether what has been `opened` is held to the form, now and to the answer's end."""
        self._sure, self._asked = sure, True

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
        while self._held and not self.ended:
            if not self._reading:
                more = self._seek(final=final)
                found += more
                if not self._reading:
                    break
            if not (final or self._worth_reading()):
                break
            self._seen = len(self._held)
            reading = self._read(final=final)
            if reading is None:
                found += self._tell(self._form.begun(self._held)) if self._sure else []
                break
            found += self._take(reading)
        if self.ended:
            self._held, self._reading = "", False
        return found

    def _worth_reading(self) -> bool:
        length = len(self._held)
        grown = (length - self._seen) * _PART >= length
        last = self._held[max(0, self._seen - _LOOK_BACK) : self._seen].rstrip()[-1:]
        return length < _LONG or grown or not _CLOSING.isdisjoint(last + self._held[self._seen :])

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
        self._reading = self._asked = False
        self._seen = 0
        text, self._held = self._held[: reading.length], self._held[reading.length :]
        if reading.silent:
            return []
        pieces = self._tell(reading.calls) if reading.calls else []
        told, self._given = bool(pieces or self._given), []
        # Of a call that breaks off, as the answer does, what has come is given already.
        return pieces if told else self._say(text)

    def _tell(self, calls: Sequence[Call]) -> list[Piece]:
        """What is new of some calls; nothing, if one of the tools was not offered."""
        if not all(call.name in self._names for call in calls):
            return []
        pieces: list[Piece] = []
        for at, call in enumerate(calls if self._parallel else calls[:1]):
            self.ended = call.whole and not self._parallel
            if at == len(self._given):
                self._given.append(call)
                pieces.append(call)
                continue
            before = self._given[at]
            if call != before:
                self._given[at] = call
                more = call.arguments.removeprefix(before.arguments)
                pieces.append(More(more, last=call.whole))
        self._called = self._called or bool(pieces)
        return pieces

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
