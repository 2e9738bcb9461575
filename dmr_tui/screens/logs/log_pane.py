"""The lines of all logs, chosen by a filter, a level and an age."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical

from dmr_tui.runner.activity.filtering import Filter
from dmr_tui.runner.activity.records import LEVELS, Level, LogLine
from dmr_tui.screens.logs.log_view import MARK, LogView

MOST_LINES = 10_000
_SPARE = 500
"""Lines beyond that for which nothing is thrown away, so that it is done seldom."""


class LogPane(Vertical):
    """Log lines as they come."""

    def __init__(self) -> None:
        super().__init__(id="logs-pane")
        self._all: list[LogLine] = []
        self._shown: list[LogLine] = []
        self._filter = Filter("")
        self._levels: Sequence[Level] = LEVELS
        self._oldest = 0.0

    def compose(self) -> ComposeResult:
        """The lines."""
        yield LogView(id="log")

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one(LogView)

    @property
    def count(self) -> int:
        """How many lines are kept."""
        return len(self._all)

    @property
    def shown(self) -> Sequence[LogLine]:
        """The lines that are chosen, the oldest first."""
        return self._shown

    def clear(self) -> None:
        """Forget all lines."""
        self._all, self._shown = [], []
        self.view.show(self._shown)

    def add(self, lines: Sequence[LogLine]) -> None:
        """Take more lines."""
        self._all.extend(lines)
        self._shown.extend(line for line in lines if self._matches(line))
        gone = 0
        if len(self._all) > MOST_LINES + _SPARE:
            self._all = self._all[-MOST_LINES:]
            before = len(self._shown)
            self._shown = [line for line in self._all if self._matches(line)]
            gone = before - len(self._shown)
        self.view.show(self._shown, gone=gone)

    def choose(self, wanted: Filter, level: Level, oldest: float) -> None:
        """Show the lines that a filter chooses, of a level or worse, after a Unix time."""
        self._filter, self._oldest = wanted, oldest
        self._levels = LEVELS[LEVELS.index(level) :]
        self._shown = [line for line in self._all if self._matches(line)]
        self.view.show(self._shown)

    def _matches(self, line: LogLine) -> bool:
        if line.source == MARK:
            return True
        return line.level in self._levels and line.time >= self._oldest and self._filter.line(line)
