"""Get: find models, see which variant suits this machine, and watch them come."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING

from textual import on, work
from textual.widgets import OptionList

from dmr_tui.actions import Action, bindings
from dmr_tui.errors import DmrError
from dmr_tui.screens.get.box import Box, Line
from dmr_tui.screens.get.hints import Standing, title_of
from dmr_tui.screens.get.hunt import Place
from dmr_tui.screens.get.looking import PANES, LookingScreen
from dmr_tui.screens.get.pages import page_of
from dmr_tui.screens.get.wish import LocalFile, Named, Words
from dmr_tui.screens.library import familiar_name
from dmr_tui.screens.messages import OpenChat
from dmr_tui.widgets.table import Table

if TYPE_CHECKING:
    from dmr_tui.screens.pulls import Pull


class GetScreen(LookingScreen):
    """One box for everything that can be wanted; what was found; the queue of pulls."""

    MODE = "get"
    CSS_PATH = "get.tcss"
    AUTO_FOCUS = "#wish"
    BINDINGS = bindings("get")

    # What is selected.

    @property
    def _selected(self) -> str:
        """The name that would be pulled; empty: none."""
        wish, catalogue = self._hunt.wish, self._catalogue
        offer = catalogue.offers.current
        if self._pane == "offers" and offer is not None:
            return str(offer.variant.name)
        family = catalogue.family
        if family is None:
            return wish.name if isinstance(wish, Named) else ""
        if family.wanted:
            return family.name
        return family.chosen.variant.name if family.chosen else family.name

    @property
    def _file(self) -> LocalFile | None:
        wish = self._hunt.wish
        return wish if isinstance(wish, LocalFile) and wish.path.is_file() else None

    @property
    def _pull(self) -> Pull | None:
        """The pull that the keys of the queue mean."""
        return self._queue.current

    # What the keys are called.

    def hint(self, action: Action) -> str | None:
        """Only what would do something, by what it would do."""
        hunt, workspace, selected = self._hunt, self.workspace, self._selected
        return title_of(
            action,
            Standing(
                pane=self._pane,
                typed=bool(self._box.text),
                words=isinstance(hunt.wish, Words),
                file=self._file is not None,
                selected=selected,
                here=bool(selected) and workspace.library.find(selected) is not None,
                found=len(hunt.found),
                shown=len(hunt.shown),
                failed=bool(hunt.failures or workspace.failure),
                pull=self._pull.state if self._pull else "",
                waiting=len(workspace.pulls.unfinished),
            ),
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The arrow keys move the cursor where one writes."""
        del parameters
        return not (action in ("left", "right") and isinstance(self.focused, Line))

    # Getting models.

    def action_take(self) -> None:
        """Get what is selected and open its chat; in the queue: what helps the pull on."""
        if self._pane == "queue":
            self._take_up(self._pull)
            return
        file, name = self._file, self._selected
        if file is not None:
            self.post_message(OpenChat(str(file.path)))
        elif name and (self.workspace.library.find(name) is not None or self._start(name)):
            self.post_message(OpenChat(familiar_name(name)))

    def _take_up(self, pull: Pull | None) -> None:
        if pull is None:
            return
        if pull.state in ("failed", "cancelled"):
            self._start(pull.source)
        elif pull.state == "paused":
            self.workspace.pulls.resume(pull)
        else:
            self.post_message(OpenChat(pull.name))

    def action_pull(self) -> None:
        """Get what is selected."""
        if name := self._selected:
            self._start(name)

    def _start(self, name: str) -> bool:
        try:
            self._queue.move_to(self.workspace.pull(name))
        except DmrError as error:
            self.workspace.fail(error)
            return False
        return True

    @on(Box.Submitted)
    def _submitted(self) -> None:
        self.call_later(self._take_wish)

    def _take_wish(self) -> None:
        """What is named is got; of what was searched for one may choose."""
        if isinstance(self._hunt.wish, Words):
            self._to_found()
        else:
            self.action_take()

    @on(Line.Left)
    def _to_found(self) -> None:
        if self._hunt.shown:
            self.set_focus(self._catalogue.families)

    @on(Table.Chosen)
    def _chosen(self) -> None:
        self.action_take()

    @on(OptionList.OptionHighlighted)
    def _queue_moved(self) -> None:
        self.refresh_hints()

    @on(OptionList.OptionSelected)
    def _queue_chosen(self) -> None:
        self._take_up(self._pull)

    # The queue.

    def action_pause(self) -> None:
        """Halt the pull, or let it go on."""
        pulls, pull = self.workspace.pulls, self._pull
        if pull is None:
            return
        if pull.state == "paused":
            pulls.resume(pull)
            self.workspace.say(f"{pull.name} goes on.")
        else:
            pulls.pause(pull)
            self.workspace.say(f"{pull.name} is paused; what has come is kept.")

    def action_cancel(self) -> None:
        """Stop the pull; take it off the list once it has ended."""
        pulls, pull = self.workspace.pulls, self._pull
        if pull is not None and pull.unfinished:
            pulls.cancel(pull)
        elif pull is not None:
            pulls.forget(pull)

    def action_up(self) -> None:
        """Towards the front of the queue."""
        self._shift(-1)

    def action_down(self) -> None:
        """Towards the end of the queue."""
        self._shift(1)

    def _shift(self, step: int) -> None:
        if pull := self._pull:
            self.workspace.pulls.move(pull, step)

    def action_edit(self) -> None:
        """Put the name of a failed pull into the box."""
        pull = self._pull
        if pull is not None and pull.state == "failed":
            self.find(pull.source)

    # Looking around.

    def find(self, text: str) -> None:
        """Have a text in the box, and look for it."""
        self._box.put(text)
        self._box.write()

    def action_search(self) -> None:
        """Write."""
        self._box.write()

    def action_back(self) -> None:
        """Empty the box; from elsewhere back to what was found, and to the box."""
        if self._pane == "wish":
            self._box.put("")
        elif self._pane == "families" or not self._hunt.shown:
            self._box.write()
        else:
            self.set_focus(self._catalogue.families)

    def action_next_pane(self) -> None:
        """Next part of the screen."""
        self._to_pane(1)

    def action_last_pane(self) -> None:
        """Part of the screen before."""
        self._to_pane(-1)

    def action_right(self) -> None:
        """Next part of the screen."""
        self._to_pane(1)

    def action_left(self) -> None:
        """Part of the screen before."""
        self._to_pane(-1)

    def _to_pane(self, step: int) -> None:
        there = [pane for pane in PANES if pane in ("wish", "queue") or self._hunt.shown]
        place = there.index(self._pane) if self._pane in there else 0
        # At once: the next key may be there already.
        self.set_focus(self.query_one(f"#{there[(place + step) % len(there)]}"))

    def action_fits(self) -> None:
        """Show only what fits, or all."""
        hunt = self._hunt
        hunt.only_fitting = not hunt.only_fitting
        self._show_found()

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._catalogue.sort_by_next()
        column, reverse = self._catalogue.sorted_by
        self.workspace.memory.set_order("get", column, reverse=reverse)

    def action_less(self) -> None:
        """Tell the memory for a smaller context."""
        self._change_context(-1)

    def action_more(self) -> None:
        """Tell the memory for a larger context."""
        self._change_context(1)

    def _change_context(self, step: int) -> None:
        self._hunt.change_context(step)
        self._show_found()

    def action_docker_hub(self) -> None:
        """Docker Hub, on or off."""
        self._toggle(self._hunt.places[0])

    def action_hugging_face(self) -> None:
        """Hugging Face, on or off."""
        self._toggle(self._hunt.places[1])

    def _toggle(self, place: Place) -> None:
        place.on, wish = not place.on, self._hunt.wish
        if place.on and self.workspace.ready and isinstance(wish, Words):
            self._search(place, wish.text)
        self._show_found()

    def action_again(self) -> None:
        """Ask again: for the runner, for the words, for the variants."""
        if self.workspace.failure is not None:
            self._reopen()
            return
        self._hunt.ask_anew()
        self._begin()

    @work(group="runner", exclusive=True, exit_on_error=False)
    async def _reopen(self) -> None:
        await self.workspace.open()

    def action_copy(self) -> None:
        """Copy the name of what is selected."""
        if name := self._selected:
            self.app.copy_to_clipboard(name)
            self.workspace.say(f"Copied {name}.")

    def action_page(self) -> None:
        """Show the model's page in a browser; say where it is, too."""
        page = page_of(self._selected) if self._selected else ""
        if page:
            self._open_browser(page)
            self.workspace.say(page)

    @work(group="browser", thread=True, exit_on_error=False)
    def _open_browser(self, page: str) -> None:
        webbrowser.open(page)
