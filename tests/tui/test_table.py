from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.content import Content

from dmr_tui.widgets.table import Column, Table

Thing = tuple[str, int]


class Host(App[None]):
    """A table of things and what it said."""

    def __init__(self, count: int = 5) -> None:
        super().__init__()
        self.things: list[Thing] = [(f"thing {number}", number) for number in range(count)]
        self.said: list[str] = []

    def compose(self) -> ComposeResult:
        columns: list[Column[Thing]] = [
            Column("name", "NAME", lambda thing: Content(thing[0])),
            Column("hidden", "WIDE", lambda thing: Content("wide"), 6, from_width=50),
            Column("size", "SIZE", lambda thing: Content(str(thing[1])), 6, "right"),
        ]
        yield Table(columns, identity=lambda thing: thing[0])

    @property
    def table(self) -> Table[Thing]:
        return self.query_one(Table)

    def on_mount(self) -> None:
        self.table.show(self.things, sorted_by="name")

    def on_table_chosen(self) -> None:
        assert self.table.current is not None
        self.said.append(self.table.current[0])

    def on_table_head_clicked(self, event: Table.HeadClicked) -> None:
        self.said.append(event.column)

    def rows(self) -> list[str]:
        return [self.table.render_line(y).text.rstrip() for y in range(self.table.size.height)]


async def test_head_cursor_and_columns() -> None:
    app = Host()
    async with app.run_test(size=(40, 8)):
        rows = app.rows()
        assert rows[0].split() == ["NAME", "↓", "SIZE"]
        assert rows[1].startswith("▸ thing 0")
        assert rows[2] == "  thing 1".ljust(38) + "1"
        assert rows[6:] == ["", ""]


async def test_a_column_is_left_out_where_the_table_is_narrow() -> None:
    app = Host()
    async with app.run_test(size=(60, 8)) as pilot:
        assert "WIDE" in app.rows()[0]
        await pilot.resize_terminal(40, 8)
        await pilot.pause()
        assert "WIDE" not in app.rows()[0]


@pytest.mark.parametrize(
    ("keys", "index"),
    [
        (["j", "down"], 2),
        (["down", "down", "k"], 1),
        (["G"], 99),
        (["end", "up", "g"], 0),
        (["pagedown"], 6),
        (["ctrl+d", "ctrl+u"], 0),
        (["up"], 0),
        (["end", "down"], 99),
    ],
)
async def test_keys_move_the_cursor_and_it_stays_in_view(keys: list[str], index: int) -> None:
    app = Host(100)
    async with app.run_test(size=(40, 8)) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        assert app.table.cursor == index
        assert any(row.startswith(f"▸ thing {index} ") for row in app.rows())


async def test_rows_that_one_has_scrolled_past_are_not_kept() -> None:
    app = Host(500)
    async with app.run_test(size=(40, 8)) as pilot:
        for _ in range(20):
            await pilot.press("pagedown")
            assert app.rows()
        assert len(app.table._strips) <= 3 * app.table.size.height


async def test_the_cursor_stays_on_its_thing() -> None:
    app = Host()
    async with app.run_test(size=(40, 8)) as pilot:
        await pilot.press("down", "down")
        app.table.show(list(reversed(app.things)))
        assert app.table.current == ("thing 2", 2)
        app.table.show(app.things[:1])
        assert app.table.current == ("thing 0", 0)
        app.table.show([])
        assert app.table.current is None
        await pilot.press("enter", "down")
        assert app.said == []


async def test_enter_and_two_clicks_choose_and_a_click_on_the_head_names_its_column() -> None:
    app = Host()
    async with app.run_test(size=(40, 8)) as pilot:
        await pilot.press("down", "enter")
        await pilot.click(Table, offset=(5, 4))
        assert app.table.cursor == 3
        assert app.said == ["thing 1"]
        await pilot.click(Table, offset=(5, 4), times=2)
        await pilot.click(Table, offset=(36, 0))
        await pilot.click(Table, offset=(5, 7))
        assert app.said == ["thing 1", "thing 3", "size"]


async def test_thousands_of_rows_are_drawn_only_where_they_are_seen() -> None:
    drawn: list[str] = []
    app = Host(5000)

    def cell(thing: Thing) -> Content:
        drawn.append(thing[0])
        return Content(thing[0])

    async with app.run_test(size=(40, 8)) as pilot:
        app.table._columns = [Column("name", "NAME", cell)]
        app.table.show(app.things)
        await pilot.press("end")
        await pilot.pause()
        assert "thing 4999" in drawn
        assert len(set(drawn)) < 40
