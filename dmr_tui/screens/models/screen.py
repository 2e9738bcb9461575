"""Models: what is stored, what is in memory, and everything that can be done with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from textual import work
from textual.containers import Container
from textual.widget import Widget
from textual.widgets import Static

from dmr_tui.actions import Action, bindings
from dmr_tui.screens.library import Entry, familiar_name
from dmr_tui.screens.messages import OpenChat
from dmr_tui.screens.models import jobs
from dmr_tui.screens.pulls import Pull
from dmr_tui.screens.shell import ShellScreen
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import long_size
from dmr_tui.widgets.panel import explain

if TYPE_CHECKING:
    from textual.widgets import Input

    from dmr_tui.screens.models.columns import Row
    from dmr_tui.screens.models.shelf import Shelf
    from dmr_tui.screens.models.welcome import Welcome

_OPENING = "◐  Opening the model store …"
State = Literal["loading", "failed", "empty", "filled"]


class ModelsScreen(ShellScreen):
    """The home screen."""

    MODE = "models"
    CSS_PATH = "models.tcss"
    AUTO_FOCUS = ""
    BINDINGS = bindings("models")

    def __init__(self, workspace: Workspace) -> None:
        """The models of a workspace."""
        super().__init__(workspace)
        self._shown: State = "loading"
        self._shelf: Shelf | None = None
        self._welcome: Welcome | None = None
        self._to_delete = ""

    def body(self) -> Iterable[Widget]:
        """One of four bodies; the first is the cheapest, because it is the first frame."""
        yield Container(Static(_OPENING, id="loading"), id="body")

    @property
    def _row(self) -> Row | None:
        shelf = self._shelf
        return shelf.current if shelf is not None and shelf.is_mounted else None

    # What is shown.

    def show_workspace(self) -> None:
        """Show the models, or why there are none."""
        state = self._state_now()
        if state != self._shown:
            self._shown = state
            self._change_body(state)
        elif self._shelf is None:
            self._show_other()
        elif self._shelf.is_mounted:
            self._shelf.show()

    def _state_now(self) -> State:
        workspace = self.workspace
        library = workspace.library
        if workspace.failure or (library.failure and not library.loaded):
            return "failed"
        if not library.loaded:
            return "loading"
        return "filled" if library.entries else "empty"

    @work(group="body", exclusive=True, exit_on_error=False)
    async def _change_body(self, state: State) -> None:
        body = self.query_one("#body")
        self._shelf = self._welcome = None
        await body.remove_children()
        await body.mount(self._make_body(state))
        self._show_other()
        self.refresh_hints()

    def _make_body(self, state: State) -> Widget:
        # Imported when they are needed: the first frame needs neither.
        if state == "filled":
            from dmr_tui.screens.models.shelf import Shelf

            self._shelf = Shelf(self.workspace)
            return self._shelf
        if state == "empty":
            from dmr_tui.screens.models.welcome import Welcome

            self._welcome = Welcome(self.workspace)
            return self._welcome
        return Static(_OPENING, id="loading") if state == "loading" else Static(id="failure")

    def _show_other(self) -> None:
        """Show one of the bodies that are no shelf, if it is there by now."""
        failure = self.workspace.failure or self.workspace.library.failure
        if self._welcome is not None and self._welcome.is_mounted:
            self._welcome.show()
        for panel in self.query("#failure").results(Static):
            if failure is not None:
                panel.border_title = "× No runner"
                panel.update(explain(failure, "r tries again"))

    def on_shelf_moved(self) -> None:
        """Another model is under the cursor."""
        row = self._row
        if row is None or row.name != self._to_delete:
            self._forget_deletion()
        self.refresh_hints()

    # What the keys are called.

    def hint(self, action: Action) -> str | None:
        """Only what would do something; loading is called what it would do."""
        row = self._row
        match action.id:
            case "app.endpoint":
                return action.title if self.workspace.ready else None
            case "models.back":
                return self._back_hint()
            case "models.reload":
                return "Try again" if self._shown == "failed" else None
            case "models.cancel_pull":
                return action.title if self.workspace.pulls.active else None
            case "models.pull":
                return action.title if self._shelf else None
            case "models.chat":
                return self._enter_hint() or (action.title if row else None)
            case "models.toggle_load":
                loaded = isinstance(row, Entry) and row.running is not None
                return ("Unload" if loaded else "Load") if isinstance(row, Entry) else None
        if action.scope == "app":
            return action.title
        return action.title if isinstance(row, Entry) else None

    def _back_hint(self) -> str | None:
        shelf = self._shelf
        if shelf is None:
            return "Cancel" if self._shown == "empty" and self.workspace.pulls.active else None
        if shelf.has_class("-pulling"):
            return "Close"
        if self._to_delete:
            return "Keep"
        return "All models" if shelf.has_class("-filtering") else None

    def _enter_hint(self) -> str | None:
        """What the enter key does in an input line; None outside of one."""
        focused = self.focused.id if self.focused else None
        lines = {"welcome-name": "Get it and chat", "pull-name": "Get it", "filter": "Done"}
        return lines.get(focused or "")

    # Looking around.

    def action_filter(self) -> None:
        """Open the filter."""
        if shelf := self._shelf:
            shelf.open_filter()

    def action_sort(self) -> None:
        """Sort by the next column."""
        if shelf := self._shelf:
            shelf.sort_by_next()

    def action_back(self) -> None:
        """Close what is open: an input line, a question, the filter."""
        shelf = self._shelf
        if shelf is None:
            self.action_cancel_pull()
        elif shelf.has_class("-pulling"):
            shelf.close_name()
        elif self._to_delete:
            self._forget_deletion()
        else:
            shelf.close_filter()

    def action_copy_name(self) -> None:
        """Copy the name of the model under the cursor."""
        if row := self._row:
            self.app.copy_to_clipboard(row.name)
            self.workspace.say(f"Copied {row.name}.")

    @work(group="reload", exclusive=True, exit_on_error=False)
    async def action_reload(self) -> None:
        """Read the models again, or look for a runner again."""
        await jobs.reload(self.workspace)

    def on_welcome_taken(self) -> None:
        """A first model was clicked."""
        self.action_chat()

    def on_table_chosen(self) -> None:
        """A model was chosen with the mouse or its key."""
        self.action_chat()

    def action_chat(self) -> None:
        """Chat with the model under the cursor; on an empty shelf, get the one that is named."""
        row = self._row
        if row is not None:
            self.post_message(OpenChat(row.name))
        elif self._welcome is not None:
            choice = self._welcome.chosen
            if choice.imported:
                self._import(choice.imported)
            else:
                self._pull(choice.name)
                # One can write there while the model is on its way.
                self.post_message(OpenChat(familiar_name(choice.name)))

    @work(group="import", exclusive=True, exit_on_error=False)
    async def _import(self, names: Sequence[str]) -> None:
        await jobs.take_in(self.workspace, names)

    # Work on models.

    def action_toggle_load(self) -> None:
        """Load the model under the cursor, or unload it."""
        row = self._row
        if isinstance(row, Entry):
            if row.running is None:
                self._load(row.name)
            else:
                self._unload(row.name)

    @work(group="load", exit_on_error=False)
    async def _load(self, name: str) -> None:
        await jobs.load(self.workspace, name)

    @work(group="load", exit_on_error=False)
    async def _unload(self, name: str) -> None:
        await jobs.unload(self.workspace, name)

    def action_delete(self) -> None:
        """Ask once, then delete."""
        row = self._row
        if not isinstance(row, Entry):
            return
        if self._to_delete == row.name:
            self._to_delete = ""
            self._delete(row)
            return
        self._to_delete = row.name
        others = len(row.model.tags) - 1
        what = f"the name {row.name}" if others > 0 else row.name
        size = f"; {others} more names keep it" if others > 0 else f", {long_size(row.size)}"
        self.workspace.say(f"Delete {what}{size}?  d again deletes, esc keeps.", "warning")

    def _forget_deletion(self) -> None:
        if self._to_delete:
            self._to_delete = ""
            self.workspace.say("")

    @work(group="delete", exit_on_error=False)
    async def _delete(self, entry: Entry) -> None:
        await jobs.delete(self.workspace, entry)

    # Pulls.

    def action_pull(self) -> None:
        """Open the line that takes a model's name."""
        if shelf := self._shelf:
            shelf.open_name()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """A name was typed, for one more model or for the first one."""
        if event.input.id == "welcome-name":
            self.action_chat()
        elif event.input.id == "pull-name" and self._shelf and (name := self._shelf.close_name()):
            self._pull(name)

    @work(group="pull", exit_on_error=False)
    async def _pull(self, name: str) -> None:
        await jobs.pull(self.workspace, name)

    def action_cancel_pull(self) -> None:
        """Cancel the pull under the cursor, else the newest one."""
        pulls, row = self.workspace.pulls, self._row
        for pull in [row] if isinstance(row, Pull) else pulls.active[-1:]:
            pulls.cancel(pull)
