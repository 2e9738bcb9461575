"""Formats in which calls are JSON: an object, or a list of them, between markers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dmr_tui.engine.text.pieces import Call
from dmr_tui.engine.text.tools.reading import (
    Reading,
    begun_call,
    json_end,
    other_json_end,
    parse_json,
    skip_space,
    to_call,
)

_SEPARATORS = ",;"
_FENCE = "```"
_HEADER = 256
"""Most characters between an opener and the arguments."""


@dataclass(frozen=True)
class JSONCalls:
    """`<opener>{"name": …, "arguments": {…}}<closer>`, or `<opener>[{…}, {…}]<closer>`."""

    openers: tuple[str, ...]
    closer: str = ""
    first_only: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    """Markers around all calls that mean nothing by themselves."""

    @property
    def marks(self) -> tuple[str, ...]:
        """See `ToolFormat.marks`."""
        return tuple(mark for mark in (*self.openers, self.closer, *self.noise) if mark)

    def begun(self, text: str) -> list[Call]:
        """See `ToolFormat.begun`."""
        return begun_values(text, self._begin(opener_of(text, self.openers)))

    def read(self, text: str, *, final: bool) -> Reading | None:
        """See `ToolFormat.read`."""
        opener = opener_of(text, self.openers)
        closer = _FENCE if opener.startswith(_FENCE) else self.closer
        begin = self._begin(opener)
        other = other_json_end(text, begin) if opener in self.first_only else None
        if other is not None:
            return Reading(other)  # an answer that is JSON, which is not to wait for its end
        return read_values(text, begin, closer, final=final)

    def _begin(self, opener: str) -> int:
        """Where the values begin: an opener without a marker of its own is part of the first."""
        return len(opener) - (opener in self.first_only)


def begun_values(text: str, begin: int) -> list[Call]:
    """The calls in the JSON values from an index on, the last one as far as it has come."""
    calls: list[Call] = []
    at = skip_space(text, begin)
    at = skip_space(text, at + (text[at : at + 1] == "["))
    while text[at : at + 1] == "{":
        call = begun_call(text, at)
        if call is None:
            break
        calls.append(call)
        end = json_end(text, at)
        if end is None or end < 0:
            break
        at = skip_space(text, end)
        at = skip_space(text, at + (text[at : at + 1] in tuple(_SEPARATORS)))
    return calls


def read_values(text: str, begin: int, closer: str, *, final: bool) -> Reading | None:
    """The calls in the JSON values from an index on, with the closer behind them."""
    calls: list[Call] = []
    at = skip_space(text, begin)
    while True:
        if at >= len(text) and not final:
            return None
        if text[at : at + 1] not in ("{", "["):
            return Reading(max(begin, 1))
        end = json_end(text, at)
        if end is None and not final:
            return None
        if end is None or end < 0:
            return Reading(len(text) if end is None else max(begin, 1))
        found = _calls(text[at:end])
        if not found:
            return Reading(end)
        calls += found
        after = skip_space(text, end)
        if closer and text.startswith(closer, after):
            return Reading(after + len(closer), tuple(calls))
        if closer and not final and closer.startswith(text[after:]):
            return None
        # Some models write several objects between the same markers.
        at = skip_space(text, after + (text[after : after + 1] in tuple(_SEPARATORS)))
        if closer and not final and at == len(text):
            return None
        if not closer or text[at : at + 1] != "{":
            return Reading(end, tuple(calls))


def _calls(text: str) -> list[Call]:
    """The calls that a JSON value consists of; none when there is anything else in it."""
    if parse_json(text) is None:
        return []
    calls = [to_call(each) for each in _objects(text)]
    known = [call for call in calls if call is not None]
    return known if len(known) == len(calls) else []


def _objects(text: str) -> list[str]:
    """The texts of the objects in a list, or of the one object."""
    if not text.startswith("["):
        return [text]
    found, at = [], skip_space(text, 1)
    while text[at] != "]":
        end = json_end(text, at) if text[at] == "{" else None
        if end is None:
            return [""]
        found.append(text[at:end])
        at = skip_space(text, end)
        at = skip_space(text, at + (text[at] == ","))
    return found


@dataclass(frozen=True)
class NamedCalls:
    """`<opener>name<separator>{…}<closer>`: the name is outside of the JSON."""

    openers: tuple[str, ...]
    header: re.Pattern[str]
    """All between the opener and the arguments; its first group is the name."""
    closers: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    """Markers around all calls, and in their headers."""
    first_only: tuple[str, ...] = ()

    @property
    def marks(self) -> tuple[str, ...]:
        """See `ToolFormat.marks`."""
        return (*self.openers, *self.closers, *self.noise)

    def begun(self, text: str) -> list[Call]:
        """See `ToolFormat.begun`."""
        begin = len(opener_of(text, self.openers))
        at = text.find("{", begin, begin + _HEADER)
        header = None if at < 0 else self.header.fullmatch(text, begin, at)
        if header is None:
            return []
        end = json_end(text, at)
        return [Call(header[1], text[at:end], end is not None)]

    def read(self, text: str, *, final: bool) -> Reading | None:
        """See `ToolFormat.read`."""
        opener = opener_of(text, self.openers)
        begin = len(opener)
        at = text.find("{", begin, begin + _HEADER)
        if at < 0:
            return Reading(begin) if final or len(text) >= begin + _HEADER else None
        header = self.header.fullmatch(text, begin, at)
        if header is None:
            return Reading(begin)
        end = json_end(text, at)
        if end is None and not final:
            return None
        if end is None or end < 0:
            return Reading(len(text) if end is None else begin)
        arguments = parse_json(text[at:end])
        if arguments is None:
            return Reading(end)
        return self._closed(text, end, Call(header[1], text[at:end]), final=final)

    def _closed(self, text: str, end: int, call: Call, *, final: bool) -> Reading | None:
        after = skip_space(text, end)
        for closer in self.closers:
            if text.startswith(closer, after):
                return Reading(after + len(closer), (call,))
        rest = text[after:]
        if not final and any(closer.startswith(rest) for closer in self.closers):
            return None
        return Reading(end, (call,))


def opener_of(text: str, openers: tuple[str, ...]) -> str:
    """The longest opener that a text begins with."""
    return max((opener for opener in openers if text.startswith(opener)), key=len)
