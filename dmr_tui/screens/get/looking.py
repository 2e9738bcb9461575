"""The half of Get that looks: for words, for variants, at the machine; and shows what is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual import on, work
from textual.content import Content
from textual.widget import Widget

from dmr_tui.errors import DmrError
from dmr_tui.screens.get.box import Box
from dmr_tui.screens.get.catalogue import Catalogue
from dmr_tui.screens.get.hunt import Hunt, Place
from dmr_tui.screens.get.queue import Queue, heading, outlook
from dmr_tui.screens.get.said import said
from dmr_tui.screens.get.wish import Words, parse_wish
from dmr_tui.screens.library import familiar_name
from dmr_tui.screens.shell import ShellScreen

if TYPE_CHECKING:
    from textual.timer import Timer

    from dmr_tui.screens.workspace import Workspace

PANES = ("wish", "families", "offers", "queue")
"""The parts of the screen that can have the focus, by their ids."""

_REST = 0.4
"""Seconds on a row after which it is looked at more closely."""
_AT_ONCE = 4
"""Models whose variants are asked for at the same time."""
_NARROW = 100


class LookingScreen(ShellScreen):
    """Box, catalogue and queue, kept in step with a hunt and with the workspace."""

    def __init__(self, workspace: Workspace) -> None:
        """Nothing is looked for yet."""
        super().__init__(workspace)
        self._hunt = Hunt()
        self._disk_free: int | None = None
        self._resting: Timer | None = None
        self._asking = 0
        self._told: tuple[bool, int, int] | None = None

    def body(self) -> Iterable[Widget]:
        """The box, what was found, and what is on its way."""
        yield Box()
        yield Catalogue(self._hunt, self._mark)
        yield Queue()

    def on_mount(self) -> None:
        """Begin with what is popular."""
        super().on_mount()
        column, reverse = self.workspace.memory.order("get", "pulls")
        self._catalogue.sort_by(column, reverse=reverse)
        self._begin()

    def on_screen_resume(self) -> None:
        """The machine may have changed meanwhile."""
        super().on_screen_resume()
        self._look_at_machine()

    @property
    def _box(self) -> Box:
        return self.query_one(Box)

    @property
    def _catalogue(self) -> Catalogue:
        return self.query_one(Catalogue)

    @property
    def _queue(self) -> Queue:
        return self.query_one(Queue)

    @property
    def _pane(self) -> str:
        """The part of the screen with the focus."""
        focused = self.focused.id if self.focused else None
        return focused if focused in PANES else ""

    # What is shown.

    def show_workspace(self) -> None:
        """Show how far the pulls are, and what is here by now."""
        workspace = self.workspace
        if workspace.ready and not self._hunt.begun:
            self._begin()
        pulls = workspace.pulls
        queue = self._queue
        queue.border_title = heading(pulls.all)
        now = workspace.clocks.now()
        queue.border_subtitle = outlook(pulls.all, now, self._disk_free) or None
        queue.show(pulls.unfinished, pulls.finished)
        state = (workspace.ready, len(workspace.library.entries), len(pulls.finished))
        if state != self._told:
            self._told = state
            self._look_at_machine()
            self._show_found()

    def on_descendant_focus(self) -> None:
        """Other keys mean something now."""
        super().on_descendant_focus()
        self._show_box()

    def _show_box(self) -> None:
        hunt, narrow = self._hunt, self.size.width < _NARROW
        self._box.show(hunt.places, only_fitting=hunt.only_fitting, narrow=narrow)

    def _show_found(self) -> None:
        hunt, catalogue = self._hunt, self._catalogue
        self._show_box()
        # Until one has gone to what was found, the first of it is meant.
        catalogue.show(first=self._pane == "wish")
        shown, found = len(hunt.shown), len(hunt.found)
        box = catalogue.query_one("#found")
        box.border_title = f"Found {shown}" + (f" of {found}" if found != shown else "")
        message = said(hunt, ready=self.workspace.ready, failure=self.workspace.failure)
        catalogue.say(message, alone=not shown)
        catalogue.show_facts(self._disk_free)
        self._ask_more()
        self.refresh_hints()

    def _mark(self, name: str) -> Content:
        """Whether a model is here already, or on its way."""
        workspace = self.workspace
        known = familiar_name(name)
        if workspace.library.find(name) is not None:
            return Content.styled("✓", "$text-success")
        if workspace.pulls.find(known) is not None:
            return Content.styled("↓", "$text-primary")
        return Content(" ")

    def on_resize(self) -> None:
        """Say things in fewer words where there is less room."""
        super().on_resize()
        if self.is_mounted:
            self._show_found()

    # Looking for models.

    @on(Box.Changed)
    def _wish_changed(self) -> None:
        self._begin()

    def _begin(self) -> None:
        """Look for what is in the box."""
        wish = parse_wish(self._box.text)
        if not self.workspace.ready:
            self._show_found()
            return
        same = self._hunt.begun and wish == self._hunt.wish
        self._hunt.look_for(wish)
        if isinstance(wish, Words) and not same:
            for place in self._hunt.places:
                if place.on:
                    self._search(place, wish.text)
        self._show_found()

    def _search(self, place: Place, text: str) -> None:
        work = self._hunt.search(self.workspace.runner, place, text, self._found)
        self.run_worker(work, group=f"search {place.source}", exclusive=True, exit_on_error=False)

    def _found(self) -> None:
        if self.is_mounted:
            self._show_found()

    def _ask_more(self) -> None:
        """Find out the variants of the models in view, a few at a time."""
        if not self.workspace.ready:
            return
        for family in self._catalogue.in_view:
            if self._asking >= _AT_ONCE:
                return
            if not family.asked:
                family.asked = True
                self._asking += 1
                self.run_worker(self._open(family.name), group="variants", exit_on_error=False)

    async def _open(self, name: str) -> None:
        try:
            family = next((each for each in self._hunt.found if each.name == name), None)
            if family is not None:
                await self._hunt.open(self.workspace.runner, family)
        finally:
            self._asking -= 1
            self._found()

    @on(Catalogue.Moved)
    def _moved(self) -> None:
        """Look more closely at what the cursor rests on."""
        self._catalogue.show_facts(self._disk_free)
        self._ask_more()
        self.refresh_hints()
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(_REST, self._rested)

    def _rested(self) -> None:
        family, offer = self._catalogue.family, self._catalogue.offers.current
        if family is not None and offer is not None and self.is_current:
            worth = offer.fit is not None and family.worth_a_look(offer.variant)
            if worth and self.workspace.ready:
                self._look_closely(family.name, offer.variant.name)

    @work(group="closer look", exclusive=True, exit_on_error=False)
    async def _look_closely(self, name: str, variant_name: str) -> None:
        family = next((each for each in self._hunt.found if each.name == name), None)
        variants = (family.variants or []) if family else []
        variant = next((each for each in variants if each.name == variant_name), None)
        if family is not None and variant is not None:
            await self._hunt.look(self.workspace.runner, family, variant)
            self._show_found()

    @work(group="machine", exclusive=True, exit_on_error=False)
    async def _look_at_machine(self) -> None:
        """What is free, in memory and on the disk."""
        if not self.workspace.ready:
            return
        try:
            self._hunt.memory = await self.workspace.runner.free_memory()
        except DmrError:
            self._hunt.memory = None
        self._disk_free = None
        if self._hunt.memory is not None:
            self._disk_free = (await self.workspace.machine()).disk_free
        self._hunt.weigh()
        self._show_found()
        self.refresh_all()
