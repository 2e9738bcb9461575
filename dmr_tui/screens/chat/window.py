"""The part of a long conversation that has widgets: what is in view, and a few pages around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Static

from dmr_tui.chat.tree import Node
from dmr_tui.widgets.figures import grouped
from dmr_tui.widgets.transcript import Edge, Transcript

PAGE = 16
"""How many come at a time; more than fill a screen, since a turn has three rows at least."""
_FIRST = 4
"""How many come at once: enough for a screen where answers are long."""
MOST = 64
"""How many there are at most; each costs time with every layout."""


@dataclass(eq=False)
class Entry:
    """One thing in a conversation: a message, what a command said, a failure.

    Attributes:
        make: makes its widget, each time that it comes into the window.
        node: the message; None for anything else, and for what is being said.
        widget: while it is in the window.
    """

    make: Callable[[], Widget]
    node: Node | None = None
    widget: Widget | None = None

    def shown(self) -> Widget:
        """Its widget."""
        if self.widget is None:
            self.widget = self.make()
        return self.widget


class Window:
    """Keeps the widgets of some neighbouring entries in a transcript."""

    def __init__(self, transcript: Transcript, earlier: Static, later: Static) -> None:
        """An empty window.

        Args:
            transcript: what scrolls.
            earlier: stands in it above the entries and says how many more there are.
            later: the same below them.
        """
        self.entries: list[Entry] = []
        self._first = self._last = 0
        self._transcript = transcript
        self._earlier, self._later = earlier, later
        self._mark()

    @property
    def mounted(self) -> Sequence[Entry]:
        """The entries that have widgets."""
        return self.entries[self._first : self._last]

    def fill(self, entries: Sequence[Entry]) -> None:
        """Show other entries, from their end."""
        self._unmount(0, len(self.entries))
        self.entries = list(entries)
        self._first = self._last = len(self.entries)
        self._grow_up(_FIRST)
        self._transcript.ends_here = True
        self._mark()
        self._transcript.call_after_refresh(self._fill_up)

    def _fill_up(self) -> None:
        """Show as many as make two pages, once it is known how long the first ones are."""
        page = self._transcript.container_size.height
        if self._first and self._transcript.virtual_size.height < 2 * page:
            self.extend("top")
            self._transcript.call_after_refresh(self._fill_up)

    def add(self, *entries: Entry) -> None:
        """Let entries follow; they are shown if the end is."""
        at_end = self._last == len(self.entries)
        self.entries += entries
        if at_end:
            self._grow_down(len(entries))
            self._mark()

    def cut(self, at: int) -> None:
        """Take away the entries from a place on."""
        self._unmount(at, len(self.entries))
        del self.entries[at:]
        self._first, self._last = min(self._first, at), min(self._last, at)
        if self._first == self._last:
            self._grow_up(PAGE)
        self._transcript.ends_here = self._last == len(self.entries)
        self._mark()

    def remove(self, entry: Entry) -> None:
        """Take one entry away."""
        at = self.entries.index(entry)
        self._unmount(at, at + 1)
        del self.entries[at]
        self._first -= at < self._first
        self._last -= at < self._last
        self._mark()

    def extend(self, edge: Edge) -> None:
        """Show more at an edge, and as many less at the other; what is in view stays in view."""
        if edge == "top" and self._first:
            self._transcript.shift(self._grow_up(PAGE))
            over = len(self.mounted) - MOST
            if over > 0:
                self._unmount(self._last - over, self._last)
                self._last -= over
                self._transcript.leave_end()
        elif edge == "bottom" and self._last < len(self.entries):
            self._grow_down(PAGE)
            self._transcript.ends_here = self._last == len(self.entries)
            self.trim()
        self._transcript.shift(self._mark())

    def trim(self) -> None:
        """Leave out the first ones of too many."""
        over = len(self.mounted) - MOST
        if over > 0:
            self._transcript.shift(-sum(map(self._height, self.entries[self._first :][:over])))
            self._unmount(self._first, self._first + over)
            self._first += over
            self._transcript.shift(self._mark())

    def go(self, edge: Edge) -> None:
        """Show the very beginning or end."""
        count = len(self.entries)
        if edge == "top" and self._first:
            self._unmount(0, count)
            self._first, self._last = 0, 0
            self._grow_down(PAGE)
            self._transcript.leave_end()
        elif edge == "bottom" and self._last < count:
            self._unmount(0, count)
            self._first = self._last = count
            self._grow_up(PAGE)
        self._transcript.ends_here = self._last == count
        self._mark()

    def reach(self, at: int) -> None:
        """Have the entry of a place in the window."""
        while at < self._first:
            self.extend("top")
        while at >= self._last:
            self.extend("bottom")

    def _grow_up(self, count: int) -> int:
        """Mount earlier entries; returns the rows that they take."""
        first = max(self._first - count, 0)
        fresh = self.entries[first : self._first]
        widgets = [entry.shown() for entry in fresh]
        if widgets:
            self._transcript.mount_all(widgets, after=self._earlier)
        self._first = first
        return sum(map(self._height, fresh)) if self._transcript.size else 0

    def _grow_down(self, count: int) -> None:
        last = min(self._last + count, len(self.entries))
        widgets = [entry.shown() for entry in self.entries[self._last : last]]
        if widgets:
            self._transcript.mount_all(widgets, before=self._later)
        self._last = last

    def _unmount(self, first: int, last: int) -> None:
        for entry in self.entries[first:last]:
            if entry.widget is not None:
                entry.widget.remove()
                entry.widget = None

    def _height(self, entry: Entry) -> int:
        """Rows that an entry takes, as the stream layout counts them."""
        widget = entry.shown()
        width = self._transcript.scrollable_content_region.width
        styles = widget.styles
        across, along = styles.gutter.totals
        size = Size(width, 0)
        height = widget.get_content_height(size, size, width - across)
        return height + along + styles.margin.height

    def _mark(self) -> int:
        """Say how many more there are; returns how many rows more that takes at the top."""
        before = self._earlier.display
        later = len(self.entries) - self._last
        for marker, count, which, sign in (
            (self._earlier, self._first, "earlier", "▲"),
            (self._later, later, "later", "▼"),
        ):
            marker.display = bool(count)
            plural = "s" if count != 1 else ""
            text = f"{sign} {grouped(count)} {which} message{plural}"
            marker.update(Content.styled(text, "$text-muted"))
        return int(bool(self._first)) - int(before)
