"""Tokens' bytes in, events out: thoughts, text and tool calls of one answer."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable
from typing import Protocol

from dmr_tui.engine.request import Delta, Event, ReasoningDelta, ToolCallDelta
from dmr_tui.engine.text.pieces import Call, More, Piece, Text, Thought
from dmr_tui.engine.text.reasoning import ReasoningSplitter
from dmr_tui.engine.text.stream import TextStream
from dmr_tui.engine.text.tools.parser import ToolParser

_ID_SIGNS = string.ascii_letters + string.digits
_ID_LENGTH = 9
"""Mistral's templates refuse any other."""


class Reader(Protocol):
    """Turns text into pieces while it comes."""

    @property
    def thinking(self) -> bool:
        """Whether what comes next is a thought, as far as is known."""
        ...

    @property
    def marked(self) -> bool:
        """Whether what came last was, up to the text given with it, a mark before the answer."""
        ...

    @property
    def heading(self) -> bool:
        """What comes next says what follows, and is none of the text itself."""
        ...

    @property
    def opened(self) -> str | None:
        """A tool call that has begun and is not held to its form, from its marker on."""
        ...

    @property
    def ended(self) -> bool:
        """Whatever comes next is not wanted."""
        ...

    def hold(self, sure: bool) -> None:
        """Note whether what has been `opened` is held to its form, now and to the answer's end."""
        ...

    def feed(self, text: str) -> list[Piece]:
        """Take more text; gives what is now certain."""
        ...

    def finish(self) -> list[Piece]:
        """The rest."""
        ...


class PlainReader:
    """Text is text."""

    thinking = False
    marked = False
    heading = False
    opened = None
    ended = False

    def hold(self, sure: bool) -> None:
        """See `Reader.hold`."""

    def feed(self, text: str) -> list[Piece]:
        """See `Reader.feed`."""
        return [Text(text)] if text else []

    def finish(self) -> list[Piece]:
        """See `Reader.finish`."""
        return []


class MarkedReader:
    """Thoughts between markers, then the answer, with calls in it where there are tools."""

    heading = False

    def __init__(self, splitter: ReasoningSplitter, tools: ToolParser | None) -> None:
        self._splitter = splitter
        self._tools = tools

    @property
    def thinking(self) -> bool:
        """See `Reader.thinking`."""
        return self._splitter.thinking

    @property
    def marked(self) -> bool:
        """See `Reader.marked`."""
        return self._splitter.marked

    @property
    def opened(self) -> str | None:
        """See `Reader.opened`."""
        begun = None if self._tools is None else self._tools.opened
        return None if begun is None else begun + self._splitter.undecided

    @property
    def ended(self) -> bool:
        """See `Reader.ended`."""
        return self._tools is not None and self._tools.ended

    def hold(self, sure: bool) -> None:
        """See `Reader.hold`."""
        if self._tools is not None:
            self._tools.hold(sure)

    def feed(self, text: str) -> list[Piece]:
        """See `Reader.feed`."""
        return self._parse(self._splitter.feed(text))

    def finish(self) -> list[Piece]:
        """See `Reader.finish`."""
        pieces = self._parse(self._splitter.finish())
        return pieces if self._tools is None else [*pieces, *self._tools.finish()]

    def _parse(self, pieces: Iterable[Piece]) -> list[Piece]:
        found: list[Piece] = []
        for piece in pieces:
            if isinstance(piece, Text) and self._tools is not None:
                found += self._tools.feed(piece.text)
            else:
                found.append(piece)
        return found


class AnswerText:
    """One answer's way from bytes to events."""

    def __init__(self, reader: Reader, stops: Iterable[str] = ()) -> None:
        """Begin.

        Args:
            reader: knows the model's markers.
            stops: texts that end the answer, wherever they come.
        """
        self._stream = TextStream(stops)
        self._reader = reader
        self._plain = isinstance(reader, PlainReader)
        self._calls = 0
        self._broken = False
        """The last call lacks its end."""
        self._silent = 0
        """Tokens whose text has not been given yet."""

    @property
    def stopped(self) -> bool:
        """A stop string was met, or the only call that there may be is whole."""
        return self._stream.stopped or self._reader.ended

    @property
    def interruptible(self) -> bool:
        """Thoughts are being written, and the last of their characters is whole."""
        return self._reader.thinking and self._stream.whole

    @property
    def thinking(self) -> bool:
        """Whether what comes next is a thought, as far as is known."""
        return self._reader.thinking

    @property
    def marked(self) -> bool:
        """Whether what came last was, up to the text given with it, a mark before the answer."""
        return self._reader.marked

    @property
    def called(self) -> bool:
        """There was a tool call, and the last one is whole."""
        return self._calls > 0 and not self._broken

    @property
    def opened(self) -> str | None:
        """A tool call that has begun and is not held to its form, from its marker on.

        None also while the last character is not whole.
        """
        begun = self._reader.opened
        return begun + self._stream.undecided if begun is not None and self._stream.whole else None

    def hold(self, sure: bool) -> None:
        """Note whether what has been `opened` is held to its form, now and to the answer's end.

        If it is, stop strings end it no more: they would only break the call.
        """
        self._reader.hold(sure)
        if sure:
            self._stream.ignore_stops()

    def feed(self, piece: bytes, *, mark: bool = False) -> list[Event]:
        """Take the bytes of one token, which may be a control token that is spelled out."""
        self._silent += 1
        if mark or self._reader.heading:
            text = self._stream.skip(piece)
        else:
            text = self._stream.feed(piece)
        if self._plain:  # most answers are, and each token takes this way
            return [Delta(text, self._spoken())] if text else []
        return self._events(self._reader.feed(text))

    def finish(self) -> list[Event]:
        """The rest."""
        pieces = self._reader.feed(self._stream.finish())
        return self._events([*pieces, *self._reader.finish()])

    def _events(self, pieces: Iterable[Piece]) -> list[Event]:
        events: list[Event] = []
        for piece in pieces:
            match piece:
                case Text(text):
                    events.append(Delta(text, self._spoken()))
                case Thought(text):
                    events.append(ReasoningDelta(text, self._spoken()))
                case Call(name, arguments, whole):
                    events.append(ToolCallDelta(self._calls, _new_id(), name))
                    events.append(ToolCallDelta(self._calls, arguments=arguments))
                    self._calls += 1
                    self._broken, self._silent = not whole, 0
                case More(arguments, last):
                    if arguments:
                        events.append(ToolCallDelta(self._calls - 1, arguments=arguments))
                    self._broken, self._silent = not last, 0
        return events

    def _spoken(self) -> int:
        tokens, self._silent = self._silent, 0
        return tokens


def _new_id() -> str:
    return "".join(secrets.choice(_ID_SIGNS) for _ in range(_ID_LENGTH))
