"""The last few lines of a terminal, rewritten in place while their text still grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import TextIO


class LiveRegion:
    """Lines at the bottom of the screen that may still change.

    Only what differs from the last drawing is written, so text that grows at its end is appended
    like any other output and nothing flickers. A region taller than the screen shows its end:
    lines that have scrolled away cannot be rewritten, and the whole comes when it is finished.
    """

    def __init__(self, out: TextIO, height: Callable[[], int]) -> None:
        """Draw on `out`, a terminal of `height()` rows."""
        self._out = out
        self._height = height
        self._drawn: list[str] = []

    def show(self, lines: Sequence[str]) -> None:
        """Draw these lines in place of those drawn before."""
        self._replace(list(lines)[-max(1, self._height() - 1) :])

    def finish(self, lines: Sequence[str]) -> None:
        """Write these lines for good, in place of those drawn, and begin below them."""
        self._replace(list(lines))
        if lines:
            self._out.write("\n")
        self._out.flush()
        self._drawn = []

    def _replace(self, lines: list[str]) -> None:
        drawn = self._drawn
        pairs = zip(drawn, lines, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        self._drawn = lines
        if same == len(drawn) == len(lines):
            return
        if same == len(drawn):
            self._out.write(("\n" if drawn else "") + "\n".join(lines[same:]))
        elif same == len(drawn) - 1 < len(lines) and lines[same].startswith(drawn[same]):
            grown = [lines[same][len(drawn[same]) :], *lines[same + 1 :]]
            self._out.write("\n".join(grown))
        else:
            up = len(drawn) - 1 - same
            rise = f"\x1b[{up}A" if up else ""
            self._out.write(f"{rise}\r\x1b[J" + "\n".join(lines[same:]))
            if lines and same == len(lines):
                # The region shrank: back to the end of its last line.
                self._out.write(f"\x1b[A\r{lines[-1]}")
        self._out.flush()
