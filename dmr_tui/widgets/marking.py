"""A table whose rows can be marked, so that something is done to many at once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from textual.content import Content
from textual.message import Message

from dmr_tui.widgets.table import Table

T = TypeVar("T")


class MarkingTable(Table[T]):
    """A `Table` with marks. They belong to the things, so they stay when rows are sorted.

    The screen binds the keys. What is not shown any more, as after another filter, is not marked
    any more: nothing happens to what one cannot see.
    """

    @dataclass
    class Marked(Message):
        """Other rows are marked than before."""

        table: MarkingTable[T]  # type: ignore[valid-type]  # a nested class cannot be generic too

    marks: frozenset[Hashable] = frozenset()
    """Identities of what is marked."""

    _marked: Sequence[T] | None = None
    """The things of `marks`; None: not looked for yet."""
    _anchor: Hashable | None = None
    _before: frozenset[Hashable] = frozenset()
    """The end of a range that does not move, and what was marked when it was begun."""

    @property
    def ranging(self) -> bool:
        """Whether the cursor draws a range behind it."""
        return self._anchor is not None

    @property
    def marked(self) -> Sequence[T]:
        """The things that are marked, in the table's order."""
        if self._marked is None:
            self._marked = [thing for thing in self.rows if self.identity(thing) in self.marks]
        return self._marked

    def can_mark(self, thing: T) -> bool:
        """Whether a thing can be marked."""
        del thing
        return True

    def show(self, rows: Sequence[T], *, sorted_by: str = "", reverse: bool = False) -> None:
        """See `Table.show`."""
        if self.marks or self.ranging:
            there = {self.identity(row) for row in rows}
            if self._anchor not in there:
                self._anchor = None
            self._mark(self.marks & there)
        self._marked = None
        super().show(rows, sorted_by=sorted_by, reverse=reverse)

    def watch_cursor(self, before: int, now: int) -> None:
        """Let a range follow the cursor."""
        if self.ranging:
            self._mark_range()
        super().watch_cursor(before, now)

    def row_front(self, thing: T, *, here: bool) -> Content:
        """The cursor and the mark."""
        marked = self.identity(thing) in self.marks
        return Content.assemble(
            ("▸" if here else " ", "$primary"), ("*" if marked else " ", "bold $text-warning")
        )

    def toggle_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away; a range ends here."""
        if self.ranging:
            self._anchor = None
            self.post_message(self.Marked(self))
        elif (thing := self.current) is not None and self.can_mark(thing):
            self._mark(self.marks ^ {self.identity(thing)})

    def mark_range(self) -> None:
        """Begin a range at the cursor, or end the one that was begun."""
        if self.ranging:
            self._anchor = None
            self.post_message(self.Marked(self))
        elif (thing := self.current) is not None:
            self._anchor, self._before = self.identity(thing), self.marks
            self._mark_range()

    def mark_all(self) -> None:
        """Mark every row."""
        self._mark(frozenset(self.identity(row) for row in self.rows if self.can_mark(row)))

    def mark_none(self) -> None:
        """Take all marks away."""
        self._anchor = None
        self._mark(frozenset())

    def _mark_range(self) -> None:
        places = [i for i, row in enumerate(self.rows) if self.identity(row) == self._anchor]
        first, last = sorted((*places[:1], self.cursor)) if places else (self.cursor, self.cursor)
        between = self.rows[first : last + 1]
        self._mark(self._before | {self.identity(row) for row in between if self.can_mark(row)})

    def _mark(self, marks: frozenset[Hashable]) -> None:
        changed = marks ^ self.marks
        if changed:
            self.marks = marks
            self._marked = None
            self.redraw_things(changed)
            self.post_message(self.Marked(self))
