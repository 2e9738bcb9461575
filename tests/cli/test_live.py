from __future__ import annotations

import io

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmr_tui.cli.live import LiveRegion

ROWS, COLUMNS = 6, 20


class Screen:
    """A live region and the terminal that it draws on."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.region = LiveRegion(self.out, lambda: ROWS)
        self._screen = pyte.HistoryScreen(COLUMNS, ROWS, history=1000, ratio=0.5)
        self._stream = pyte.Stream(self._screen)

    def text(self) -> list[str]:
        """Every line that was ever left behind, and those on the screen."""
        # A terminal's driver adds the carriage returns.
        self._stream.feed(self.out.getvalue().replace("\n", "\r\n"))
        self.out.seek(0)
        self.out.truncate()
        gone = [
            "".join(row[x].data for x in range(COLUMNS)).rstrip()
            for row in self._screen.history.top
        ]
        lines = gone + [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines


LINES = st.lists(st.text("ab", min_size=1, max_size=COLUMNS), max_size=ROWS - 1)


@given(st.lists(LINES, min_size=1, max_size=8))
def test_the_screen_shows_what_was_shown_last(drawings: list[list[str]]) -> None:
    screen = Screen()
    for drawing in drawings:
        screen.region.show(drawing)
        assert screen.text() == drawing


@given(st.lists(st.tuples(LINES, LINES), min_size=1, max_size=6))
def test_what_is_finished_stays(steps: list[tuple[list[str], list[str]]]) -> None:
    screen = Screen()
    final: list[str] = []
    for growing, finished in steps:
        screen.region.show(growing)
        screen.region.finish(finished)
        final += finished
        assert screen.text() == final


def test_growing_text_is_appended_and_nothing_redrawn() -> None:
    screen = Screen()
    screen.region.show(["one", "tw"])
    screen.text()
    screen.region.show(["one", "two"])
    assert screen.out.getvalue() == "o"
    screen.text()
    screen.region.show(["one", "two", "three"])
    assert screen.out.getvalue() == "\nthree"
    screen.text()
    screen.region.show(["one", "two", "three"])
    assert screen.out.getvalue() == ""


def test_only_what_changed_is_redrawn() -> None:
    screen = Screen()
    screen.region.show(["keep", "old", "last"])
    screen.text()
    screen.region.show(["keep", "new", "last"])
    assert "keep" not in screen.out.getvalue()
    assert screen.text() == ["keep", "new", "last"]


def test_a_region_taller_than_the_screen_shows_its_end_and_finishes_whole() -> None:
    screen = Screen()
    many: list[str] = []
    for number in range(3 * ROWS):
        # Like the rule of a table, the first line changes with those that come.
        many = [f"{number} lines", *many[1:], f"line {number}"]
        screen.region.show(many)
        assert screen.text()[-1] == many[-1]
    screen.region.finish(many)
    assert screen.text() == many  # Nothing of the drawings has scrolled away.


@pytest.mark.parametrize("growing", [[], ["a", "b"]])
def test_finishing_with_nothing_leaves_nothing(growing: list[str]) -> None:
    screen = Screen()
    screen.region.show(growing)
    screen.region.finish([])
    assert screen.text() == []
