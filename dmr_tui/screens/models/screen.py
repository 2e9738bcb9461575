"""Models: what is stored, what is in memory, and everything that can be done with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from textual import on, work
from textual.containers import Center, Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from dmr_tui.actions import Action, bindings
from dmr_tui.errors import DmrError
from dmr_tui.screens.library import Entry, familiar_name
from dmr_tui.screens.messages import OpenChat
from dmr_tui.screens.models.columns import SORTS, Row, columns, name_of
from dmr_tui.screens.models.details import Details
from dmr_tui.screens.models.welcome import Welcome
from dmr_tui.screens.pull_view import pull_content
from dmr_tui.screens.pulls import Pull
from dmr_tui.screens.shell import ShellScreen
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import long_size
from dmr_tui.widgets.panel import explain
from dmr_tui.widgets.table import Table

_STATES = ("-loading", "-failed", "-empty", "-filled")


class ModelsScreen(ShellScreen):
    """The home screen."""

    MODE = "models"
    CSS_PATH = "models.tcss"
    AUTO_FOCUS = ""
    BINDINGS = bindings("models")

    _ON_A_ROW: ClassVar = {"chat", "toggle_load", "delete", "copy_name"}

    def __init__(self, workspace: Workspace) -> None:
        """The models of a workspace."""
        super().__init__(workspace)
        self._sorted_by = "used"
        self._reverse = False
        self._to_delete = ""
        self._manifests: dict[str, Mapping[str, Any]] = {}
        self._machine_known = False

    def body(self) -> Iterable[Widget]:
        """Table and details, and what stands there while there is nothing to list."""
        yield Center(Static("◐  Opening the model store …", id="loading"), id="loading-box")
        yield Center(Static(id="failure"), id="failure-box")
        yield Welcome(id="welcome")
        with Horizontal(id="filled"):
            with Vertical(id="models"):
                yield Input(id="filter", compact=True, placeholder="words to look for")
                yield Table(columns(self.workspace.clocks.now), identity=name_of, id="table")
                yield Static(id="pulls")
            yield Details()
        yield Input(id="pull-name", compact=True, placeholder="smollm2, gemma3:4b, hf.co/org/repo")

    def on_mount(self) -> None:
        """Give the inputs their labels."""
        super().on_mount()
        self.query_one("#failure", Static).border_title = "× No runner"

    @property
    def _table(self) -> Table[Row]:
        return self.query_one("#table", Table)

    # What is shown.

    def show_workspace(self) -> None:
        """Show the models, or why there are none."""
        workspace = self.workspace
        failure = workspace.failure or (
            None if workspace.library.loaded else workspace.library.failure
        )
        rows = self._rows()
        if failure is not None:
            self._show_state("-failed")
            self.query_one("#failure", Static).update(explain(failure, "r tries again"))
        elif not workspace.library.loaded:
            self._show_state("-loading")
        elif not workspace.library.entries:
            self._show_state("-empty")
            self._show_welcome()
        else:
            self._show_state("-filled")
            self._show_models(rows)

    def _show_state(self, state: str) -> None:
        if not self.has_class(state):
            self.remove_class(*_STATES)
            self.add_class(state)
            focus = {"-empty": "#welcome-name", "-filled": "#table"}.get(state)
            self.set_focus(self.query_one(focus) if focus else None)

    def _show_welcome(self) -> None:
        active = self.workspace.pulls.active
        self.query_one(Welcome).show_pull(active[0] if active else None)
        if not self._machine_known:
            self._machine_known = True
            self._look_at_machine()

    def _show_models(self, rows: list[Row]) -> None:
        self._table.show(rows, sorted_by=self._sorted_by, reverse=self._reverse)
        entries = self.workspace.library.entries
        total = sum(entry.size for entry in entries)
        shown = sum(isinstance(row, Entry) for row in rows)
        count = f"{shown} of {len(entries)}" if shown != len(entries) else str(len(entries))
        box = self.query_one("#models")
        box.border_title = f"Models  {count}"
        box.border_subtitle = f"{long_size(total)} on disk" if total else None
        active = self.workspace.pulls.active
        pulls = self.query_one("#pulls", Static)
        pulls.display = bool(active)
        if active:
            pulls.border_title = f"Pulls {len(active)}"
            pulls.update(_pull_lines(active, self._table.size.width))

    def _rows(self) -> list[Row]:
        words = self.query_one("#filter", Input).value
        entries = [entry for entry in self.workspace.library.entries if entry.matches(words)]
        entries.sort(key=SORTS[self._sorted_by], reverse=self._reverse)
        stored = {entry.name for entry in entries}
        pulls = [pull for pull in self.workspace.pulls.active if pull.name not in stored]
        return [*pulls, *entries]

    def hint(self, action: Action) -> str | None:
        """Only what would do something; loading is called what it would do."""
        filled = self.has_class("-filled")
        row = self._table.current if filled else None
        if action.scope == "app":
            return self._endpoint_hint() if action.name == "toggle_endpoint" else action.title
        if action.name == "back":
            return self._back_hint()
        if action.name == "chat" and (enter := self._enter_hint()):
            return enter
        if action.name == "reload":
            return "Try again" if self.has_class("-failed") else None
        if action.name == "cancel_pull":
            return action.title if self.workspace.pulls.active else None
        if action.name == "pull":
            return action.title if filled else None
        if row is None:
            return None
        if action.name == "toggle_load":
            return None if isinstance(row, Pull) else ("Unload" if row.running else "Load")
        if action.name in self._ON_A_ROW and isinstance(row, Pull):
            return action.title if action.name == "chat" else None
        return action.title

    def _back_hint(self) -> str | None:
        if self.has_class("-pulling"):
            return "Close"
        if self._to_delete:
            return "Keep"
        if self.has_class("-empty"):
            return "Cancel" if self.workspace.pulls.active else None
        return "All models" if self.has_class("-filtering") else None

    def _enter_hint(self) -> str | None:
        """What the enter key does in an input line; None outside of one."""
        focused = self.focused.id if self.focused else None
        lines = {"welcome-name": "Get it and chat", "pull-name": "Get it", "filter": "Done"}
        return lines.get(focused or "")

    def _endpoint_hint(self) -> str | None:
        if not self.workspace.ready:
            return None
        return "Endpoint off" if self.workspace.endpoint.url else "Endpoint"

    @on(Table.Moved)
    def _moved(self) -> None:
        row = self._table.current
        if row is None or row.name != self._to_delete:
            self._forget_deletion()
        manifest = self._manifests.get(row.model.id) if isinstance(row, Entry) else None
        self.query_one(Details).show(row, manifest)
        self.refresh_hints()
        if isinstance(row, Entry) and manifest is None:
            self._read_manifest(row)

    @work(group="manifest", exclusive=True, exit_on_error=False)
    async def _read_manifest(self, entry: Entry) -> None:
        try:
            manifest = await self.workspace.runner.manifest(entry.model.id)
        except DmrError:
            # Not every runner gives manifests away; the pane then does without file sizes.
            manifest = {}
        self._manifests[entry.model.id] = manifest
        current = self._table.current
        if isinstance(current, Entry) and current.model.id == entry.model.id:
            self.query_one(Details).show(current, manifest)

    @work(group="machine", exclusive=True, exit_on_error=False)
    async def _look_at_machine(self) -> None:
        self.query_one(Welcome).show_machine(await self.workspace.machine())

    # Filter and order.

    def action_filter(self) -> None:
        """Open the filter."""
        self.add_class("-filtering")
        self.query_one("#filter", Input).focus()

    @on(Input.Changed, "#filter")
    def _filter_changed(self) -> None:
        if self.has_class("-filled"):
            self._show_models(self._rows())

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self._table.focus()

    def action_sort(self) -> None:
        """Sort by the next column."""
        names = list(SORTS)
        self._sort_by(names[(names.index(self._sorted_by) + 1) % len(names)])

    @on(Table.HeadClicked)
    def _head_clicked(self, event: Table.HeadClicked) -> None:
        self._sort_by(event.column)

    def _sort_by(self, column: str) -> None:
        self._reverse = not self._reverse if column == self._sorted_by else False
        self._sorted_by = column
        self._show_models(self._rows())

    def action_back(self) -> None:
        """Close what is open: an input line, a question, the filter."""
        filter_line = self.query_one("#filter", Input)
        if self.has_class("-pulling"):
            self.remove_class("-pulling")
        elif self._to_delete:
            self._forget_deletion()
        elif self.has_class("-empty"):
            self.action_cancel_pull()
        else:
            filter_line.value = ""
            self.remove_class("-filtering")
        if self.has_class("-filled"):
            self._table.focus()

    # Work on models.

    @on(Table.Chosen)
    def action_chat(self) -> None:
        """Chat with the model under the cursor."""
        row = self._table.current
        if self.has_class("-empty"):
            self.query_one(Welcome).choose()
        elif row is not None:
            self.post_message(OpenChat(row.name))

    def action_toggle_load(self) -> None:
        """Load the model under the cursor, or unload it."""
        row = self._table.current
        if isinstance(row, Entry):
            if row.running is None:
                self._load(row.name)
            else:
                self._unload(row.name)

    @work(group="load", exit_on_error=False)
    async def _load(self, name: str) -> None:
        workspace = self.workspace
        started = workspace.clocks.monotonic()
        workspace.say(f"Loading {name} …")
        try:
            await workspace.runner.load(name)
        except DmrError as error:
            self._failed(error)
        else:
            seconds = workspace.clocks.monotonic() - started
            workspace.say(f"{name} is loaded; that took {seconds:.1f} s.")
        await workspace.library.refresh_running(workspace.runner)

    @work(group="load", exit_on_error=False)
    async def _unload(self, name: str) -> None:
        workspace = self.workspace
        try:
            gone = await workspace.runner.unload([name])
        except DmrError as error:
            self._failed(error)
        else:
            words = "is unloaded." if gone else "is answering; it stays until that is done."
            workspace.say(f"{name} {words}")
        await workspace.library.refresh_running(workspace.runner)

    def action_delete(self) -> None:
        """Ask once, then delete."""
        row = self._table.current
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
        workspace = self.workspace
        try:
            await workspace.runner.remove(entry.name)
        except DmrError as error:
            self._failed(error)
            return
        await workspace.library.refresh(workspace.runner)
        workspace.say(f"Deleted {entry.name}.")

    def action_copy_name(self) -> None:
        """Copy the name of the model under the cursor."""
        row = self._table.current
        if row is not None:
            self.app.copy_to_clipboard(row.name)
            self.workspace.say(f"Copied {row.name}.")

    @work(group="reload", exclusive=True, exit_on_error=False)
    async def action_reload(self) -> None:
        """Read the models again, or look for a runner again."""
        workspace = self.workspace
        if not workspace.ready:
            await workspace.open()
            return
        await workspace.library.refresh(workspace.runner)
        failure = workspace.library.failure
        if failure is not None:
            self._failed(failure)
        else:
            workspace.say(f"{len(workspace.library.entries)} models, read again just now.")

    # Pulls.

    def action_pull(self) -> None:
        """Open the line that takes a model's name."""
        if self.has_class("-empty"):
            self.query_one("#welcome-name", Input).focus()
            return
        self.add_class("-pulling")
        self.query_one("#pull-name", Input).focus()

    @on(Input.Submitted, "#pull-name")
    def _pull_named(self, event: Input.Submitted) -> None:
        self.remove_class("-pulling")
        name = event.value.strip()
        event.input.value = ""
        self._table.focus()
        if name:
            self._pull(name)

    @on(Welcome.Named)
    def _first_model_named(self, event: Welcome.Named) -> None:
        name = familiar_name(event.name)
        self._pull(name)
        self.post_message(OpenChat(name))

    @work(group="pull", exit_on_error=False)
    async def _pull(self, name: str) -> None:
        workspace = self.workspace
        try:
            pull = workspace.pulls.start(workspace.runner, familiar_name(name))
        except DmrError as error:
            self._failed(error)
            return
        workspace.say(f"Getting {pull.name} …")
        await workspace.pulls.wait(pull)
        if pull.failure is not None:
            self._failed(pull.failure)
        elif pull.state == "cancelled":
            kept = f"; {long_size(pull.done)} are kept, p goes on" if pull.done else ""
            workspace.say(f"Cancelled {pull.name}{kept}.")
        else:
            await workspace.library.refresh(workspace.runner)
            workspace.say(f"{pull.name} is here.")

    def action_cancel_pull(self) -> None:
        """Cancel the pull under the cursor, else the newest one."""
        pulls = self.workspace.pulls
        row = self._table.current
        chosen = [row] if isinstance(row, Pull) else pulls.active[-1:]
        for pull in chosen:
            pulls.cancel(pull)

    def _failed(self, error: DmrError) -> None:
        text = f"{error.message}  {error.hint}" if error.hint else error.message
        self.workspace.say(text, "error")


def _pull_lines(pulls: list[Pull], width: int) -> Content:
    lines = []
    for pull in pulls:
        lines.append(Content.styled(f"↓ {pull.name}", "bold"))
        lines.append(pull_content(pull, width))
    return Content("\n").join(lines)
