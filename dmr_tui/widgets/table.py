"""A table of things, one row each, drawn row by row: thousands of rows cost no more than a few."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence, Set
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dmr_tui.actions import bindings
from dmr_tui.widgets.drawing import draw_line

T = TypeVar("T")
_GAP = 2
_NARROWEST = 12
_HEADER = 1
_PAGES_KEPT = 2
"""Pages of drawn rows that are kept at most."""


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column.

    Attributes:
        key: its name for sorting.
        title: what stands above it.
        cell: the text of a thing in it.
        width: cells; 0: what the other columns leave.
        align: where the text stands.
        from_width: the column is left out where the table has fewer cells than this.
    """

    key: str
    title: str
    cell: Callable[[T], Content]
    width: int = 0
    align: Literal["left", "right"] = "left"
    from_width: int = 0


class Table(ScrollView, Generic[T], can_focus=True):
    """Rows with a cursor, below a head that stays in place.

    Rows may be any objects; `identity` tells which one is which, so that the cursor stays on its
    thing when rows come, go or are sorted.
    """

    ALLOW_SELECT = False
    BINDINGS = [*bindings("list"), Binding("enter", "choose", show=False)]  # noqa: RUF012
    COMPONENT_CLASSES = {"table--head", "table--cursor"}  # noqa: RUF012

    cursor: reactive[int] = reactive(0, init=False)
    """Index of the row that actions are meant for."""

    @dataclass
    class Moved(Message):
        """The cursor is on another row, or on none."""

        table: Table[T]  # type: ignore[valid-type]  # a nested class cannot be generic too

        @property
        def control(self) -> Table[T]:
            """The table."""
            return self.table

    @dataclass
    class Chosen(Message):
        """A row was chosen, by its key or by two clicks."""

        table: Table[T]  # type: ignore[valid-type]  # as above

    @dataclass
    class Scrolled(Message):
        """Other rows are in view."""

        table: Table[T]  # type: ignore[valid-type]  # as above

    @dataclass
    class HeadClicked(Message):
        """The head of a column was clicked."""

        table: Table[T]  # type: ignore[valid-type]  # as above
        column: str

    def __init__(
        self,
        columns: Sequence[Column[T]],
        *,
        identity: Callable[[T], Hashable],
        gap: int = _GAP,
        id: str | None = None,  # noqa: A002  # Textual's own name for it
    ) -> None:
        super().__init__(id=id)
        self._gap = gap
        self._columns = columns
        self._identity = identity
        self._rows: Sequence[T] = ()
        self._sorted_by = ""
        self._reverse = False
        self._strips: dict[int, Strip] = {}

    @property
    def rows(self) -> Sequence[T]:
        """What the table shows, in its order."""
        return self._rows

    @property
    def current(self) -> T | None:
        """The thing under the cursor."""
        return self._rows[self.cursor] if self._rows else None

    @property
    def in_view(self) -> Sequence[T]:
        """The things whose rows are in view."""
        top = self.scroll_offset.y
        return self._rows[top : top + max(self.size.height - _HEADER, 0)]

    @property
    def shown_columns(self) -> Sequence[str]:
        """The keys of the columns that there is room for."""
        return [column.key for column, _ in self._widths()]

    def redraw(self) -> None:
        """Draw the rows again: what their cells tell has become different."""
        self._strips.clear()
        self.refresh()

    def redraw_things(self, identities: Set[Hashable]) -> None:
        """Draw only the rows of these things again."""
        top = self.scroll_offset.y
        # A row without a strip may be on screen all the same, from before a change of style.
        seen = {*self._strips, *range(top, top + len(self.in_view))}
        self._redraw_rows(*(at for at in seen if self._identity(self._rows[at]) in identities))

    def _redraw_rows(self, *indexes: int) -> None:
        for index in indexes:
            self._strips.pop(index, None)
            self.refresh_line(index + _HEADER)

    def identity(self, thing: T) -> Hashable:
        """Which one a thing is."""
        return self._identity(thing)

    def show(self, rows: Sequence[T], *, sorted_by: str = "", reverse: bool = False) -> None:
        """Show these things; the column they are sorted by gets an arrow."""
        current = self.current
        wanted = None if current is None else self._identity(current)
        self._rows, self._sorted_by, self._reverse = rows, sorted_by, reverse
        self._strips.clear()
        self.virtual_size = Size(self.size.width, len(rows) + _HEADER)
        keep = next((i for i, row in enumerate(rows) if self._identity(row) == wanted), None)
        self.set_reactive(Table.cursor, min(self.cursor, max(len(rows) - 1, 0)))
        if keep is not None:
            self.set_reactive(Table.cursor, keep)
        self._show_cursor()
        self.refresh()
        self.post_message(self.Moved(self))

    def set_columns(self, columns: Sequence[Column[T]]) -> None:
        """Have other columns from now on."""
        self._columns = columns
        self._strips.clear()
        self.refresh()

    def move_to(self, identity: Hashable) -> None:
        """Put the cursor on the thing with this identity, if it is there."""
        for index, row in enumerate(self._rows):
            if self._identity(row) == identity:
                self.cursor = index

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on a row."""
        return min(max(cursor, 0), max(len(self._rows) - 1, 0))

    def watch_cursor(self, before: int, now: int) -> None:
        """Follow the cursor and tell the screen."""
        self._redraw_rows(before, now)
        self._show_cursor()
        self.post_message(self.Moved(self))

    def notify_style_update(self) -> None:
        """Draw again in the new colours."""
        super().notify_style_update()
        self._strips.clear()

    def on_resize(self) -> None:
        """Lay the columns out for the new width."""
        self._strips.clear()
        self.virtual_size = Size(self.size.width, len(self._rows) + _HEADER)
        # When the new size has been taken in: before that there may be nothing to scroll.
        self.call_after_refresh(self._show_cursor)
        self.post_message(self.Scrolled(self))

    def on_focus(self) -> None:
        """The cursor row looks different with the focus."""
        self._strips.clear()

    def on_blur(self) -> None:
        """See `on_focus`."""
        self._strips.clear()

    def on_click(self, event: events.Click) -> None:
        """Move the cursor; two clicks choose; a click on the head asks to sort."""
        if event.y < _HEADER:
            if column := self._column_at(event.x):
                self.post_message(self.HeadClicked(self, column))
            return
        index = event.y - _HEADER + self.scroll_offset.y
        if index < len(self._rows):
            self.cursor = index
            if event.chain == 2:
                self.post_message(self.Chosen(self))

    def spanning(self, thing: T) -> Content | None:
        """What fills a thing's row behind the first column; None: its columns do."""
        del thing
        return None

    def action_choose(self) -> None:
        """Choose the row under the cursor."""
        if self._rows:
            self.post_message(self.Chosen(self))

    def action_cursor_down(self) -> None:
        """Next row."""
        self.cursor += 1

    def action_cursor_up(self) -> None:
        """Row before."""
        self.cursor -= 1

    def action_page_down(self) -> None:
        """One page on."""
        self.cursor += max(self.size.height - _HEADER - 1, 1)

    def action_page_up(self) -> None:
        """One page back."""
        self.cursor -= max(self.size.height - _HEADER - 1, 1)

    def action_scroll_top(self) -> None:
        """First row."""
        self.cursor = 0

    def action_scroll_bottom(self) -> None:
        """Last row."""
        self.cursor = len(self._rows) - 1

    def render_line(self, y: int) -> Strip:
        """The head, or one of the rows that are in view."""
        if y < _HEADER:
            return self._draw(self._head(), "table--head")
        index = y - _HEADER + self.scroll_offset.y
        if index >= len(self._rows):
            return Strip.blank(self.size.width, self.visual_style.rich_style)
        strip = self._strips.get(index)
        if strip is None:
            here = index == self.cursor
            strip = self._draw(self._row(index, here), "table--cursor" if here else "")
            self._strips[index] = strip
            if len(self._strips) > _PAGES_KEPT * self.size.height:
                self._forget_strips()
        return strip

    def _forget_strips(self) -> None:
        """Keep only the rows in view: a strip is heavy, and one may scroll past thousands."""
        top = self.scroll_offset.y
        seen = range(top, top + self.size.height)
        self._strips = {at: strip for at, strip in self._strips.items() if at in seen}

    def _draw(self, content: Content, component: str) -> Strip:
        style = self.get_visual_style(component) if component else self.visual_style
        return draw_line(self, content, self.size.width, style)

    def _head(self) -> Content:
        cells = []
        for column, width in self._widths():
            title = column.title
            if column.key == self._sorted_by:
                arrow = "↑" if self._reverse else "↓"
                # A narrow column gives up the end of its name for the arrow.
                fits = len(title) + 2 <= width
                title = f"{title} {arrow}" if fits else f"{title[: width - 1]}{arrow}"
            cells.append(_fitted(Content(title), width, column.align))
        return Content("  ") + Content(" " * self._gap).join(cells)

    def _row(self, index: int, here: bool) -> Content:
        thing, widths = self._rows[index], self._widths()
        gap = Content(" " * self._gap)
        if (spanning := self.spanning(thing)) is not None:
            first, width = widths[0]
            room = sum(width + self._gap for _, width in widths[1:]) - self._gap
            cells = [
                _fitted(first.cell(thing), width, first.align),
                _fitted(spanning, room, "left"),
            ]
        else:
            cells = [_fitted(column.cell(thing), width, column.align) for column, width in widths]
        return self.row_front(thing, here=here) + gap.join(cells)

    def row_front(self, thing: T, *, here: bool) -> Content:
        """The two cells before a row: the cursor, and what a kind of table adds to it."""
        del thing
        return Content.styled("▸ ", "$primary") if here else Content("  ")

    def _widths(self) -> list[tuple[Column[T], int]]:
        room = self.size.width
        shown = [column for column in self._columns if room >= column.from_width]
        fixed = sum(column.width for column in shown) + self._gap * (len(shown) - 1) + 3
        flexible = max(room - fixed, _NARROWEST)
        return [(column, column.width or flexible) for column in shown]

    def _column_at(self, x: int) -> str:
        start = 2
        for column, width in self._widths():
            if start <= x < start + width + self._gap:
                return column.key
            start += width + self._gap
        return ""

    def _show_cursor(self) -> None:
        """Scroll so that the cursor's row is in view."""
        page = self.size.height - _HEADER
        if page <= 0:
            return
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + page:
            self.scroll_to(y=self.cursor - page + 1, animate=False, immediate=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Draw the rows that have come into view."""
        super().watch_scroll_y(old_value, new_value)
        self.refresh()
        self.post_message(self.Scrolled(self))


def _fitted(content: Content, width: int, align: str) -> Content:
    cut = content.truncate(width, ellipsis=True)
    missing = width - cut.cell_length
    return cut.pad_left(missing) if align == "right" else cut.pad_right(missing)
