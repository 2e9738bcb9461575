"""Bytes of tokens in, text to show out: whole characters, and nothing of a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Iterable


class TextStream:
    """Turns the bytes of one answer into text as they come.

    A token may end in the middle of a character, and a stop string may span tokens: what may still
    become either is held back. The first stop string to be complete ends the text; of two that are
    complete at the same character, the longer one. How the bytes are cut makes no difference.
    """

    def __init__(self, stops: Iterable[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = tuple(stops)
        self._held = ""
        self.whole = True
        """The bytes so far end with the end of a character."""
        self.stopped = False
        """A stop string was met; nothing more will come."""

    @property
    def undecided(self) -> str:
        """The end of the text so far, which may become a stop string."""
        return self._held

    def feed(self, data: bytes) -> str:
        """Take the bytes of one token; gives the text that is now certain."""
        if self.whole and data.isascii():
            return self._take(data.decode())  # most tokens are that, and each takes this way
        text = self._decoder.decode(data)
        self.whole = not self._decoder.getstate()[0]
        return self._take(text)

    def skip(self, data: bytes) -> str:
        """Take bytes that are none of the text, such as a mark: no stop string is looked for."""
        text = self._held + self._decoder.decode(data)
        self._held, self.whole = "", not self._decoder.getstate()[0]
        return "" if self.stopped else text

    def ignore_stops(self) -> None:
        """From now on nothing ends the text: what is left is no text for people."""
        self._stops = ()

    def finish(self) -> str:
        """The rest of the text; a character cut off becomes U+FFFD."""
        text, self.whole = self._take(self._decoder.decode(b"", True)), True
        text, self._held = text + self._held, ""
        return text

    def _take(self, text: str) -> str:
        if self.stopped:
            return ""
        if not self._stops:
            text, self._held = self._held + text, ""
            return text
        self._held += text
        match = self._first_stop()
        if match is not None:
            text, self._held, self.stopped = self._held[:match], "", True
            return text
        keep = self._undecided()
        text, self._held = self._held[: len(self._held) - keep], self._held[-keep:] if keep else ""
        return text

    def _first_stop(self) -> int | None:
        """Where the stop string that is complete first begins."""
        found = [(self._held.find(stop), len(stop)) for stop in self._stops]
        ends = [(at + length, at) for at, length in found if at >= 0]
        return min(ends)[1] if ends else None

    def _undecided(self) -> int:
        """Length of the longest tail that a stop string may still grow from."""
        longest = min(len(self._held), max(map(len, self._stops)) - 1)
        for length in range(longest, 0, -1):
            tail = self._held[-length:]
            if any(stop.startswith(tail) for stop in self._stops):
                return length
        return 0
