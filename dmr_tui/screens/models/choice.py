"""Which models the table shows, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dmr_tui.screens.library import Entry
from dmr_tui.screens.models.columns import Row
from dmr_tui.screens.models.filter import Filter, Filters
from dmr_tui.screens.models.updates import Updates
from dmr_tui.screens.pulls import Pull

VIEWS = ("All", "Fits", "Loaded", "Updates")
"""What can be shown besides what a filter chooses; the last one while there are any."""


class Choice:
    """Filter, view and order: plain state, of which the rows are made."""

    def __init__(
        self, filters: Filters, updates: Updates, orders: dict[str, Callable[[Entry], Any]]
    ) -> None:
        """Show everything, the last used first.

        Args:
            filters: makes a filter of a text.
            updates: which models have something newer.
            orders: how to sort by each column.
        """
        self._filters = filters
        self._updates = updates
        self._orders = orders
        self._fits = filters.parse("fits")
        self._text = ""
        self.filter = Filter()
        self.view = VIEWS[0]
        self.column = "used"
        self.reverse = False
        self._sorted_of: Sequence[Entry] = ()
        self._sorted: dict[str, list[Entry]] = {}
        """What was sorted by a column, of the models that were shown last."""

    @property
    def asks_fit(self) -> bool:
        """Whether it must be known of every model if it fits."""
        return self.filter.asks_fit or self.view == "Fits" or self.column == "fit"

    @property
    def key(self) -> tuple[object, ...]:
        """Equal to what it was while nothing else is chosen."""
        return (self._text, self.view, self.column, self.reverse)

    @property
    def restricts(self) -> bool:
        """Whether something is left out."""
        return bool(self._text) or self.view != VIEWS[0]

    def set_text(self, text: str) -> None:
        """Choose by what was typed."""
        self._text = text
        self.filter = self._filters.parse(text)

    def set_order(self, column: str, *, reverse: bool) -> None:
        """Sort by a column; one that is not there any more counts as none."""
        if column in self._orders:
            self.column, self.reverse = column, reverse

    def next_column(self, columns: Sequence[str]) -> None:
        """Sort by the column after this one, of those that are shown."""
        names = [name for name in columns if name in self._orders] or list(self._orders)
        at = names.index(self.column) if self.column in names else -1
        self.set_order(names[(at + 1) % len(names)], reverse=False)

    def next_view(self, entries: Sequence[Entry]) -> None:
        """Show the next view; that of updates only where there are any."""
        views = VIEWS if any(map(self._updates.has, entries)) else VIEWS[:-1]
        at = views.index(self.view) if self.view in views else -1
        self.view = views[(at + 1) % len(views)]

    def rows(self, entries: Sequence[Entry], pulls: Sequence[Pull]) -> list[Row]:
        """The rows: pulls of what is not here yet, then the models."""
        chosen = self._seen(self.filter.choose(self._in_order(entries)))
        stored = {entry.name for entry in entries} if pulls else set()
        return [*(pull for pull in pulls if pull.name not in stored), *chosen]

    def fits_changed(self) -> None:
        """More is known of what fits."""
        self._sorted.pop("fit", None)

    def _in_order(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        if entries is not self._sorted_of:
            self._sorted_of = entries
            self._sorted.clear()
        if self.column not in self._sorted:
            self._sorted[self.column] = sorted(entries, key=self._orders[self.column])
        found = self._sorted[self.column]
        return found[::-1] if self.reverse else found

    def _seen(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        match self.view:
            case "Fits":
                return self._fits.choose(entries)
            case "Loaded":
                return [entry for entry in entries if entry.running is not None]
            case "Updates":
                return [entry for entry in entries if self._updates.has(entry)]
        return entries
