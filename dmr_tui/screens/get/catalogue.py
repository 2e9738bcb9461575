"""What was found, and beside it all variants of the model under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from dmr_tui.screens.get.columns import SORTS, Mark, family_columns, offer_columns
from dmr_tui.screens.get.facts import facts_of, reason_for
from dmr_tui.screens.get.hunt import Family, Hunt
from dmr_tui.widgets.table import Table

_HEAD = 1


class Catalogue(Horizontal):
    """Two tables: models, and the variants of one of them."""

    class Moved(Message):
        """Another model or another variant is under the cursor."""

    def __init__(self, hunt: Hunt, mark: Mark) -> None:
        """Show what a hunt has found.

        Args:
            hunt: what is looked for.
            mark: what stands before a name.
        """
        super().__init__(id="catalogue")
        self._hunt = hunt
        self._mark = mark
        self._shown: Family | None = None
        self._tokens = hunt.context
        self._sorted_by, self._reverse = "pulls", False

    def compose(self) -> ComposeResult:
        """Side by side; the styles of narrow screens stack them."""
        with Vertical(id="found"):
            yield Table(family_columns(self._mark), identity=lambda each: each.name, id="families")
            yield Static(id="said")
        with Vertical(id="model"):
            yield Static(id="facts")
            yield self._make_offers()
            yield Static(id="why")

    def _make_offers(self) -> Table[Any]:
        columns = offer_columns(self._mark, self._hunt.context)
        return Table(columns, identity=lambda each: each.variant.name, id="offers")

    @property
    def families(self) -> Table[Family]:
        """The models."""
        return self.query_one("#families", Table)

    @property
    def offers(self) -> Table[Any]:
        """The variants."""
        return self.query_one("#offers", Table)

    @property
    def family(self) -> Family | None:
        """The model under the cursor."""
        return self.families.current

    @property
    def in_view(self) -> Sequence[Family]:
        """The models whose rows are in view, the current one first."""
        table = self.families
        top = table.scroll_offset.y
        rows = table.rows[top : top + max(table.size.height - _HEAD, 0)]
        return ([table.current] if table.current else []) + list(rows)

    @property
    def sorted_by(self) -> tuple[str, bool]:
        """The column, and whether in reverse."""
        return self._sorted_by, self._reverse

    def sort_by(self, column: str, *, reverse: bool) -> None:
        """Sort what was found by a column."""
        if column in SORTS:
            self._sorted_by, self._reverse = column, reverse
            self.show()

    def sort_by_next(self) -> None:
        """Sort by the column after the one that is sorted by."""
        names = list(SORTS)
        following = names[(names.index(self._sorted_by) + 1) % len(names)]
        self.sort_by(following, reverse=False)

    @on(Table.HeadClicked)
    def _head_clicked(self, event: Table.HeadClicked) -> None:
        if event.table is not self.families:
            return
        again = event.column == self._sorted_by
        self.sort_by(event.column, reverse=not self._reverse if again else False)

    def show(self, *, first: bool = False) -> None:
        """Show what the hunt holds now.

        Args:
            first: the cursor goes to the first row; by default it stays on its model.
        """
        rows = self._hunt.shown
        if self._sorted_by != "pulls" or self._reverse:
            rows = sorted(rows, key=SORTS[self._sorted_by], reverse=self._reverse)
        self.families.display = bool(rows)
        self.families.show(rows, sorted_by=self._sorted_by, reverse=self._reverse)
        if first:
            self.families.cursor = 0
        if self._tokens != self._hunt.context:
            self._tokens = self._hunt.context
            self.offers.set_columns(offer_columns(self._mark, self._tokens))
        self.show_family()

    def show_family(self) -> None:
        """Show the variants of the model under the cursor."""
        family = self.family
        offers = family.offers if family else []
        other = family is not self._shown or (offers and not self.offers.rows)
        self._shown = family
        self.offers.show(offers)
        if family is not None and other and family.chosen is not None:
            self.offers.move_to(family.chosen.variant.name)
        self.show_facts(None)

    def show_facts(self, disk_free: int | None) -> None:
        """Show what is known of the model, and what speaks for the variant."""
        family = self._shown
        model = self.query_one("#model")
        model.display = family is not None
        model.border_title = None if family is None else facts_of(family).title
        facts = Content("") if family is None else facts_of(family).text
        self.query_one("#facts", Static).update(facts)
        offer = self.offers.current
        why = Content("")
        if family is not None:
            why = reason_for(family, offer, self._hunt, disk_free)
        self.query_one("#why", Static).update(why)

    def say(self, text: Content, *, alone: bool) -> None:
        """Say something below what was found, or in its place."""
        said = self.query_one("#said", Static)
        said.display = bool(text.plain)
        said.set_class(alone, "-alone")
        said.update(text)

    @on(Table.Moved, "#families")
    def _family_moved(self) -> None:
        self.show_family()
        self.post_message(self.Moved())

    @on(Table.Moved, "#offers")
    def _offer_moved(self) -> None:
        self.post_message(self.Moved())
