"""Models: what is stored, what is in memory, and everything that can be done with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from textual import work
from textual.containers import Container
from textual.widget import Widget
from textual.widgets import Static

from dmr_tui.actions import Action, bindings
from dmr_tui.screens.library import familiar_name
from dmr_tui.screens.models import jobs
from dmr_tui.screens.models.work import ModelWork
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import long_size
from dmr_tui.widgets.panel import explain

if TYPE_CHECKING:
    from textual.widgets import Input

    from dmr_tui.screens.library import Entry
    from dmr_tui.screens.models.welcome import Welcome

_OPENING = "◐  Opening the model store …"
_COMPARED = 2
State = Literal["loading", "failed", "empty", "filled"]

_OF_THE_LIST = ("filter", "view", "sort", "reverse", "mark_all", "check_all", "pull", "zoom")
"""Names of actions that need models, and none of them in particular."""


class ModelsScreen(ModelWork):
    """The home screen."""

    CSS_PATH = "models.tcss"
    AUTO_FOCUS = ""
    BINDINGS = bindings("models")

    def __init__(self, workspace: Workspace) -> None:
        """The models of a workspace."""
        super().__init__(workspace)
        self._shown: State = "loading"
        self._welcome: Welcome | None = None
        self._told_marks = ""

    def body(self) -> Iterable[Widget]:
        """One of four bodies; the first is the cheapest, because it is the first frame."""
        yield Container(Static(_OPENING, id="loading"), id="body")

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

            self._shelf = Shelf(self.workspace, self._updates)
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
        """Another model is under the cursor, or others are marked."""
        self._keep_question()
        self._tell_marks()
        self.refresh_hints()

    def _tell_marks(self) -> None:
        """Say how much is marked; what has been said since is left alone when nothing is."""
        if self.app.screen is not self:
            return  # The status bar tells of the screen that lies over this one.
        marked = self._shelf.marked if self._shelf else []
        size = long_size(self.workspace.library.disk.freed_by(marked))
        words = f"{len(marked)} marked: {size}.  d deletes (asks once), l loads, \\ unmarks."
        said = words if marked else ""
        if said != self._told_marks:
            before, self._told_marks = self._told_marks, said
            if said or self.workspace.notice.text == before:
                self.workspace.say(said)

    def on_welcome_moved(self) -> None:
        """Something else would be begun with now."""
        self.refresh_hints()

    # What the keys are called.

    def hint_scopes(self) -> tuple[str, ...]:
        """On the first run, those of the greeting before all others."""
        return ("welcome", self.MODE) if self._shown == "empty" else (self.MODE,)

    def hint(self, action: Action) -> str | None:
        """Only what would do something; loading is called what it would do."""
        match action.id:
            case "app.endpoint":
                return action.title if self.workspace.ready else None
            case "models.back":
                return self._back_hint()
            case "models.reload":
                return "Try again" if self._shown == "failed" else None
            case "models.cancel":
                busy = self.workspace.pulls.active or self.workspace.tasks.all
                return action.title if self._shelf and busy else None
            case "models.chat":
                return self._enter_hint() or (action.title if self._row else None)
        if action.scope == "app":
            return action.title
        if action.name in _OF_THE_LIST:
            return action.title if self._shelf else None
        return self._hint_for(self._entry, action) if self._entry else None

    def _hint_for(self, entry: Entry, action: Action) -> str | None:
        """What an action on a model is called."""
        match action.id:
            case "models.toggle_load":
                loaded = all(each.running is not None for each in self._targets)
                return "Unload" if loaded else "Load"
            case "models.pin":
                return "Unpin" if entry.pinned else "Pin"
            case "models.update":
                return "Get update" if self._updates.has(entry) else "Update"
            case "models.push":
                return action.title if entry.model.tags else None
            case "models.compare":
                return action.title if len(self._targets) == _COMPARED else None
            case "models.mark":
                return "Unmark" if self._shelf and self._shelf.is_marked(entry) else "Mark"
        return action.title

    def _back_hint(self) -> str | None:
        shelf = self._shelf
        if shelf is None or not shelf.is_mounted:
            return "Cancel" if self._shown == "empty" and self.workspace.pulls.active else None
        if shelf.has_class("-typing"):
            return "Close"
        if deed := self.workspace.notice.deed:
            return "Keep" if deed == "delete" else "Leave it"
        if shelf.table.marks:
            return "Unmark"
        return "All models" if shelf.restricted else None

    def _enter_hint(self) -> str | None:
        """What the enter key does in an input line; None outside of one."""
        focused = self.focused.id if self.focused else None
        if focused == "line":
            tagging = self._shelf is not None and self._shelf.has_class("-tagging")
            return "Name it" if tagging else "Get it"
        if focused == "welcome-name" and self._welcome is not None:
            return self._welcome.chosen.deed
        return "Done" if focused == "filter" else None

    # Looking around.

    def action_filter(self) -> None:
        """Open the filter."""
        if shelf := self._shelf:
            shelf.open_filter()

    def action_view(self) -> None:
        """Show all, what fits, what is loaded."""
        if shelf := self._shelf:
            shelf.next_view()

    def action_zoom(self) -> None:
        """Give the table the whole screen, or show the details again."""
        if shelf := self._shelf:
            shelf.toggle_class("-zoomed")
            self.refresh_hints()

    def action_sort(self) -> None:
        """Sort by the next column."""
        if shelf := self._shelf:
            shelf.sort_by_next()

    def action_reverse(self) -> None:
        """Turn the order round."""
        if shelf := self._shelf:
            shelf.reverse()

    def action_smaller_context(self) -> None:
        """Show the memory at a smaller context."""
        if shelf := self._shelf:
            shelf.change_context(-1)

    def action_larger_context(self) -> None:
        """Show the memory at a larger context."""
        if shelf := self._shelf:
            shelf.change_context(1)

    def action_mark(self) -> None:
        """Mark the model under the cursor, or take its mark away."""
        if shelf := self._shelf:
            shelf.table.toggle_mark()

    def action_mark_range(self) -> None:
        """Mark from here to where the cursor goes, or end that."""
        if shelf := self._shelf:
            shelf.table.mark_range()
            if shelf.table.ranging:
                self.workspace.say("Marking up to where the cursor goes; v again ends it.")

    def action_mark_all(self) -> None:
        """Mark everything that is shown."""
        if shelf := self._shelf:
            shelf.table.mark_all()

    def action_mark_none(self) -> None:
        """Take all marks away."""
        if shelf := self._shelf:
            shelf.table.mark_none()

    def action_back(self) -> None:
        """Close what is open: an input line, a question, marks, the filter."""
        shelf = self._shelf
        if shelf is None:
            self.action_cancel()
        elif shelf.has_class("-typing"):
            shelf.close_line()
        elif self.workspace.notice.deed:
            self.workspace.say("")
        elif shelf.table.marks:
            shelf.table.mark_none()
        else:
            shelf.show_all()

    def action_compare(self) -> None:
        """Let the two marked models answer side by side."""
        names = [entry.name for entry in self._targets]
        if len(names) == _COMPARED:
            from dmr_tui.screens.models.compare import CompareScreen

            self.workspace.say("")
            self._told_marks = ""
            self.app.push_screen(CompareScreen(self.workspace, names), lambda _: self._tell_marks())
        else:
            self.workspace.say("Mark two models with space; c then compares them.", "warning")

    def action_inspect(self) -> None:
        """Show everything about the model under the cursor."""
        if self._shelf and (entry := self._entry):
            from dmr_tui.screens.models.inspect import InspectScreen

            self.app.push_screen(InspectScreen(self._shelf.known(entry)))

    def action_copy_name(self) -> None:
        """Copy the name of the model under the cursor."""
        if row := self._row:
            self.app.copy_to_clipboard(row.name)
            self.workspace.say(f"Copied {row.name}.")

    def action_copy_details(self) -> None:
        """Copy what the details say of the model under the cursor."""
        if self._shelf and (entry := self._entry):
            from dmr_tui.screens.models.inspect import everything

            self.app.copy_to_clipboard(everything(self._shelf.known(entry)).plain)
            self.workspace.say(f"Copied the details of {entry.name}.")

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
            self.chat_with(row.name)
        elif self._welcome is not None:
            choice = self._welcome.chosen
            if choice.imported:
                self._import(choice.imported)
            else:
                self.pull_named(choice.name)
                # One can write there while the model is on its way.
                self.chat_with(familiar_name(choice.name))

    @work(group="import", exclusive=True, exit_on_error=False)
    async def _import(self, names: Sequence[str]) -> None:
        await jobs.take_in(self.workspace, names)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """A name was typed: of the first model, of one more, or for one."""
        if event.input.id == "welcome-name":
            self.action_chat()
        elif event.input.id == "line":
            self.line_submitted()
