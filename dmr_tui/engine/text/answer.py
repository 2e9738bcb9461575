"""Tokens' bytes in, events out: thoughts, text and tool calls of one answer."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable
from typing import Protocol

from dmr_tui.engine.request import Delta, Event, ReasoningDelta, ToolCallDelta
from dmr_tui.engine.text.pieces import Call, Piece, Text, Thought
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

    def feed(self, text: str) -> list[Piece]:
        """Take more text; gives what is now certain."""
        ...

    def finish(self) -> list[Piece]:
        """The rest."""
        ...


class PlainReader:
    """Text is text."""

    thinking = False

    def feed(self, text: str) -> list[Piece]:
        """See `Reader.feed`."""
        return [Text(text)] if text else []

    def finish(self) -> list[Piece]:
        """See `Reader.finish`."""
        return []


class MarkedReader:
    """Thoughts between markers, then the answer, with calls in it where there are tools."""

    def __init__(self, splitter: ReasoningSplitter, tools: ToolParser | None) -> None:
        self._splitter = splitter
        self._tools = tools

    @property
    def thinking(self) -> bool:
        """See `Reader.thinking`."""
        return self._splitter.thinking

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
        self._calls = 0
        self._silent = 0
        """Tokens whose text has not been given yet."""

    @property
    def stopped(self) -> bool:
        """A stop string was met."""
        return self._stream.stopped

    @property
    def interruptible(self) -> bool:
        """Thoughts are being written, and the last of their characters is whole."""
        return self._reader.thinking and self._stream.whole

    @property
    def thinking(self) -> bool:
        """Whether what comes next is a thought, as far as is known."""
        return self._reader.thinking

    @property
    def called(self) -> bool:
        """There was a tool call."""
        return self._calls > 0

    def feed(self, piece: bytes) -> list[Event]:
        """Take the bytes of one token."""
        self._silent += 1
        return self._events(self._reader.feed(self._stream.feed(piece)))

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
                case Call(name, arguments):
                    events.append(ToolCallDelta(self._calls, _new_id(), name))
                    events.append(ToolCallDelta(self._calls, arguments=arguments))
                    self._calls += 1
                    self._silent = 0
        return events

    def _spoken(self) -> int:
        tokens, self._silent = self._silent, 0
        return tokens


def _new_id() -> str:
    return "".join(secrets.choice(_ID_SIGNS) for _ in range(_ID_LENGTH))
