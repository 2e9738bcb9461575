"""Lines of a log that can be followed, searched and wrapped; drawn row by row."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from rich.cells import cell_len, chop_cells
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dmr_tui.actions import bindings
from dmr_tui.runner.activity.records import LogLine
from dmr_tui.widgets.drawing import draw_line
from dmr_tui.widgets.printable import printable

MARK = "mark"
"""Source of the lines that a person puts between others."""

_TIME = 13
_LEVEL = 6
_STYLES = {"debug": "$text-disabled", "info": "$foreground", "warn": "$text-warning"}
_STYLES |= {"error": "$text-error"}
_TAB = 4
_PAGES_KEPT = 4
"""Pages of drawn rows that are kept at most: a strip is heavy."""


class LogView(ScrollView, can_focus=True):
    """The newest line is at the bottom, and is followed until one scrolls away from it."""

    BINDINGS = bindings("list")

    following: reactive[bool] = reactive(True)
    """Whether new lines are scrolled to."""
    wrap: reactive[bool] = reactive(False)
    """Whether long lines are continued on the next row."""
    times: reactive[bool] = reactive(True)
    """Whether each line has its time."""
    found: reactive[str] = reactive("")
    """What is looked for, and marked."""

    class Moved(Message):
        """It follows now, or not any more."""

    def __init__(self, *, id: str) -> None:  # noqa: A002  # Textual's own name for it
        super().__init__(id=id)
        self._lines: Sequence[LogLine] = ()
        self._ends: list[int] = []
        """Where each line ends, in rows, while lines are wrapped."""
        self._strips: dict[int, Strip] = {}
        self._moving = False
        self._hit: LogLine | None = None
        """What was found last."""

    @property
    def lines(self) -> Sequence[LogLine]:
        """What is shown."""
        return self._lines

    def show(self, lines: Sequence[LogLine], *, gone: int = 0) -> None:
        """Show these lines.

        Args:
            lines: the oldest first.
            gone: so many lines at the front of the last ones are not there any more.
        """
        rows = self._row_of(gone)
        self._lines = lines
        self._measure()
        if self.following:
            self._to_end()
        elif rows:
            self._scroll(self.scroll_offset.y - rows)
        self.refresh()

    def find(self, direction: int) -> bool:
        """Go to the next line that has what is looked for; whether there is one.

        Args:
            direction: 1 towards the newest, -1 towards the oldest.
        """
        word = self.found.lower()
        here = self._search_from(direction)
        count = len(self._lines)
        for step in range(1, count + 1):
            index = (here + direction * step) % count
            line = self._lines[index]
            if word in f"{line.source} {line.text}".lower():
                self.following, self._hit = False, line
                self._scroll(self._row_of(index))
                self._strips.clear()
                self.refresh()
                return True
        return False

    def _search_from(self, direction: int) -> int:
        """The line before the first to look at: the last hit, or else beyond what is shown."""
        top, bottom = self.scroll_offset.y, self.scroll_offset.y + self._height - 1
        for at, line in enumerate(self._lines):
            # One that was scrolled away from is not where one is.
            if line is self._hit and top <= self._row_of(at) <= bottom:
                return at
        if direction > 0:
            return self._line_at(top) - 1
        return min(self._line_at(bottom) + 1, len(self._lines))

    def follow(self) -> None:
        """Go to the end and stay there."""
        self._hit = None
        self.following = True
        self._to_end()

    # Keys of lists.

    def action_cursor_down(self) -> None:
        """One row on."""
        self._step(1)

    def action_cursor_up(self) -> None:
        """One row back."""
        self._step(-1)

    def action_page_down(self) -> None:
        """One page on."""
        self._step(max(self._height - 1, 1))

    def action_page_up(self) -> None:
        """One page back."""
        self._step(-max(self._height - 1, 1))

    def action_scroll_top(self) -> None:
        """The oldest line."""
        self._step(-self.virtual_size.height)

    def action_scroll_bottom(self) -> None:
        """The newest line, and stay there."""
        self.follow()

    def _step(self, rows: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False, immediate=True)

    def _scroll(self, y: int) -> None:
        self._moving = True
        self.scroll_to(y=max(y, 0), animate=False, immediate=True, force=True)
        self._moving = False

    def _to_end(self) -> None:
        self._scroll(max(self.virtual_size.height - self._height, 0))

    # What has changed.

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Who scrolls away does not follow; who comes back to the end does."""
        super().watch_scroll_y(old_value, new_value)
        if not self._moving and self._height:
            self.following = new_value >= self.virtual_size.height - self._height
        self.refresh()

    def watch_following(self) -> None:
        """Tell the screen."""
        self.post_message(self.Moved())

    def watch_wrap(self) -> None:
        """Lay the lines out anew."""
        self._layout_anew()

    def watch_times(self) -> None:
        """Lay the lines out anew."""
        self._layout_anew()

    def watch_found(self) -> None:
        """Draw the marks, and look anew."""
        self._hit = None
        self._strips.clear()
        self.refresh()

    def on_resize(self) -> None:
        """Lay the lines out for the new width."""
        self._layout_anew()

    def notify_style_update(self) -> None:
        """Draw again in the new colours."""
        super().notify_style_update()
        self._strips.clear()

    def _layout_anew(self) -> None:
        here = self._line_at(self.scroll_offset.y)
        self._measure()
        if self.following:
            self._to_end()
        else:
            self._scroll(self._row_of(here))
        self.refresh()

    def _measure(self) -> None:
        self._strips.clear()
        room = self._room
        if self.wrap and room > 0:
            self._ends = list(accumulate(_height(line, room) for line in self._lines))
            height = self._ends[-1] if self._ends else 0
        else:
            self._ends, height = [], len(self._lines)
        self.virtual_size = Size(self._width, height)

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    @property
    def _height(self) -> int:
        return self.scrollable_content_region.height

    @property
    def _room(self) -> int:
        """Cells for the text of a line."""
        return self._width - _LEVEL - (_TIME if self.times else 0) - 1

    def _row_of(self, index: int) -> int:
        """The first row of a line."""
        if not self._ends:
            return index
        return self._ends[index - 1] if 0 < index <= len(self._ends) else 0

    def _line_at(self, row: int) -> int:
        """The line that a row belongs to."""
        return bisect_right(self._ends, row) if self._ends else row

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """One row."""
        row = y + self.scroll_offset.y
        if row >= self.virtual_size.height:
            return Strip.blank(self._width, self.visual_style.rich_style)
        strip = self._strips.get(row)
        if strip is None:
            index = self._line_at(row)
            content = self._row(self._lines[index], row - self._row_of(index))
            strip = draw_line(self, content, self._width, self.visual_style)
            if len(self._strips) > _PAGES_KEPT * self._height:
                self._strips.clear()
            self._strips[row] = strip
        return strip

    def _row(self, line: LogLine, part: int) -> Content:
        if line.source == MARK:
            text = f"── {_time(line)} {'─' * self._width}"[: self._width]
            return Content.styled(text, "$text-primary")
        room = self._room
        text = _text(line)
        if self.wrap and room > 0:
            pieces = _pieces(text, room)
            text = pieces[part] if part < len(pieces) else ""
        first = part == 0
        stamp = f"{_time(line):<{_TIME}}" if self.times else ""
        head = Content.styled(stamp if first else " " * len(stamp), "$text-muted")
        style = _STYLES[line.level]
        level = Content.styled(f"{line.level if first else '':<{_LEVEL}}", style)
        body = self._marked(Content.styled(text, style), here=line is self._hit)
        return (head + level + body).truncate(self._width, ellipsis=not self.wrap)

    def _marked(self, body: Content, *, here: bool) -> Content:
        word = self.found.lower()
        if not word:
            return body
        style = "bold underline reverse" if here else "reverse"
        plain, at = body.plain.lower(), 0
        while (at := plain.find(word, at)) >= 0:
            body = body.stylize(style, at, at + len(word))
            at += len(word)
        return body


def _time(line: LogLine) -> str:
    if not line.time:
        return ""
    moment = time.strftime("%H:%M:%S", time.localtime(line.time))
    return f"{moment}.{int(line.time * 1000) % 1000:03}"


def _text(line: LogLine) -> str:
    source = f"{line.source:<6} " if line.source else ""
    return printable(f"{source}{line.text}").expandtabs(_TAB).replace("\n", " ")


def _pieces(text: str, room: int) -> list[str]:
    if text.isascii():
        return [text[at : at + room] for at in range(0, len(text), room)] or [""]
    return chop_cells(text, room) or [""]


def _height(line: LogLine, room: int) -> int:
    if line.source == MARK:
        return 1
    text = _text(line)
    if text.isascii():
        return max(-(-len(text) // room), 1)
    return len(_pieces(text, room)) if cell_len(text) > room else 1
