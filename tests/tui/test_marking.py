"""Marks in a table: they belong to the things, whatever their rows."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.content import Content

from dmr_tui.widgets.marking import MarkingTable
from dmr_tui.widgets.table import Column


class Host(App[None]):
    """Nine things; the last cannot be marked."""

    class Picky(MarkingTable[str]):
        def can_mark(self, thing: str) -> bool:
            return thing != "i"

    def __init__(self) -> None:
        super().__init__()
        self.told = 0

    def compose(self) -> ComposeResult:
        column: Column[str] = Column("name", "NAME", Content)
        yield self.Picky([column], identity=lambda thing: thing)

    def on_mount(self) -> None:
        self.table.show(list("abcdefghi"))

    def on_marking_table_marked(self) -> None:
        self.told += 1

    @property
    def table(self) -> MarkingTable[str]:
        return self.query_one(MarkingTable)

    def marked(self) -> str:
        return "".join(self.table.marked)


async def test_one_row_is_marked_and_unmarked() -> None:
    app = Host()
    async with app.run_test(size=(20, 12)) as pilot:
        app.table.cursor = 2
        app.table.toggle_mark()
        assert app.marked() == "c"
        rows = [app.table.render_line(y).text for y in range(1, 5)]
        assert [row[:2] for row in rows] == ["  ", "  ", "▸*", "  "]
        app.table.toggle_mark()
        assert app.marked() == ""
        await pilot.pause()
        assert app.told == 2


@pytest.mark.parametrize(("to", "marked"), [(5, "acdef"), (1, "abc"), (2, "ac")])
async def test_a_range_follows_the_cursor_and_keeps_what_was_marked(to: int, marked: str) -> None:
    app = Host()
    async with app.run_test(size=(20, 12)):
        app.table.toggle_mark()
        app.table.cursor = 2
        app.table.mark_range()
        app.table.cursor = 7
        app.table.cursor = to
        assert app.table.ranging
        app.table.mark_range()
        app.table.cursor = 8
        assert app.marked() == marked
        assert not app.table.ranging


async def test_all_and_none_and_what_cannot_be_marked() -> None:
    app = Host()
    async with app.run_test(size=(20, 12)):
        app.table.mark_all()
        assert app.marked() == "abcdefgh"
        app.table.cursor = 8
        app.table.toggle_mark()
        assert app.marked() == "abcdefgh"
        app.table.mark_none()
        assert app.marked() == ""


async def test_marks_move_with_their_things_and_end_with_them() -> None:
    app = Host()
    async with app.run_test(size=(20, 12)):
        app.table.toggle_mark()
        app.table.cursor = 3
        app.table.toggle_mark()
        app.table.show(list("ihgfedcba"))
        assert app.marked() == "da"
        app.table.show(list("fedcb"))
        assert app.marked() == "d"
        app.table.show(list("abcdef"))
        assert app.marked() == "d"
