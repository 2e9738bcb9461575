"""One line of progress for work on this disk: hashing, copying, packing."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from dmr_tui.cli.output import redraw, size_text


class Bar:
    """A line on stderr that is written over; elsewhere than on a terminal there is none.

    with Bar("Checking") as bar:
        bar.show(done, total)
    """

    _WIDTH = 24
    _INTERVAL = 0.1  # seconds between two drawings

    def __init__(self, text: str) -> None:
        """Say what is being done, e.g. `Checking`."""
        self._text = text
        self._shown = sys.stderr.isatty()
        self._next = time.monotonic() + self._INTERVAL
        self._drawn = False

    def show(self, done: int, total: int) -> None:
        """Draw how many bytes are done; a total of 0 is one that nobody knows."""
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + self._INTERVAL
        self._drawn = True
        if total:
            full = min(self._WIDTH, self._WIDTH * done // total)
            bar = "━" * full + " " * (self._WIDTH - full)
            redraw(self._text, f" {bar} {size_text(done)} of {size_text(total)}")
        else:
            redraw(self._text, f" {size_text(done)}")

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn:
            redraw()
