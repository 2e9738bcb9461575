"""The stored models: a table that can be filtered and sorted, details, and pulls under way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static
from textual.worker import Worker, WorkerState

from dmr_tui.errors import DmrError
from dmr_tui.screens.library import Entry
from dmr_tui.screens.models.columns import SORTS, Row, columns, name_of
from dmr_tui.screens.models.details import Details
from dmr_tui.screens.pull_view import pull_content
from dmr_tui.screens.pulls import Pull
from dmr_tui.screens.shell import report
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import long_size
from dmr_tui.widgets.table import Table


class Shelf(Vertical):
    """What the Models screen shows when there are models."""

    class Moved(Message):
        """Another model is under the cursor, or none."""

    def __init__(self, workspace: Workspace) -> None:
        """The models of a workspace."""
        super().__init__(id="shelf")
        self._workspace = workspace
        self._sorted_by = "used"
        self._reverse = False
        self._manifests: dict[str, Mapping[str, Any]] = {}

    def compose(self) -> ComposeResult:
        """Table and details side by side; the styles of narrow screens stack them."""
        with Horizontal(id="columns"):
            with Vertical(id="models"):
                yield Input(id="filter", compact=True, placeholder="words to look for")
                yield Table(columns(self._workspace.clocks.now), identity=name_of, id="table")
                yield Static(id="pulls")
            yield Details()
        yield Input(id="pull-name", compact=True, placeholder="smollm2, gemma3:4b, hf.co/org/repo")

    def on_mount(self) -> None:
        """Show the models and take the focus."""
        self.show()
        self._table.focus()

    @property
    def _table(self) -> Table[Row]:
        return self.query_one("#table", Table)

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self._table.current

    def show(self) -> None:
        """Show what the workspace holds now."""
        rows = self._rows()
        self._table.show(rows, sorted_by=self._sorted_by, reverse=self._reverse)
        entries = self._workspace.library.entries
        shown = sum(isinstance(row, Entry) for row in rows)
        total = sum(entry.size for entry in entries)
        box = self.query_one("#models")
        count = f"{shown} of {len(entries)}" if shown != len(entries) else str(len(entries))
        box.border_title = f"Models  {count}"
        box.border_subtitle = f"{long_size(total)} on disk" if total else None
        self._show_pulls(self._workspace.pulls.active)

    @on(Table.Moved)
    def _moved(self) -> None:
        row = self.current
        manifest = self._manifests.get(row.model.id) if isinstance(row, Entry) else None
        self.query_one(Details).show(row, manifest)
        if isinstance(row, Entry) and manifest is None:
            self._read_manifest(row)
        self.post_message(self.Moved())

    @work(group="manifest", exclusive=True, exit_on_error=False)
    async def _read_manifest(self, entry: Entry) -> None:
        try:
            manifest = await self._workspace.runner.manifest(entry.model.id)
        except DmrError:
            # Not every runner gives manifests away; the pane then does without file sizes.
            manifest = {}
        self._manifests[entry.model.id] = manifest
        row = self.current
        if isinstance(row, Entry) and row.model.id == entry.model.id:
            self.query_one(Details).show(row, manifest)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """See `ShellScreen.on_worker_state_changed`."""
        if event.state is WorkerState.ERROR:
            report(self.app, event.worker.error)

    def _show_pulls(self, active: list[Pull]) -> None:
        pulls = self.query_one("#pulls", Static)
        pulls.display = bool(active)
        if active:
            pulls.border_title = f"Pulls {len(active)}"
            lines = []
            for pull in active:
                lines.append(Content.styled(f"↓ {pull.name}", "bold"))
                lines.append(pull_content(pull, self._table.size.width))
            pulls.update(Content("\n").join(lines))

    def _rows(self) -> list[Row]:
        words = self.query_one("#filter", Input).value.lower().split()
        entries = [
            entry
            for entry in self._workspace.library.entries
            if all(word in entry.text for word in words)
        ]
        entries.sort(key=SORTS[self._sorted_by], reverse=self._reverse)
        stored = {entry.name for entry in entries}
        pulls = [pull for pull in self._workspace.pulls.active if pull.name not in stored]
        return [*pulls, *entries]

    # Filter and order.

    def open_filter(self) -> None:
        """Let words be typed that choose the models."""
        self.add_class("-filtering")
        self.query_one("#filter", Input).focus()

    def close_filter(self) -> None:
        """Show all models again."""
        self.query_one("#filter", Input).value = ""
        self.remove_class("-filtering")
        self._table.focus()

    @on(Input.Changed, "#filter")
    def _filter_changed(self) -> None:
        self.show()

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self._table.focus()

    def sort_by_next(self) -> None:
        """Sort by the column after the one that is sorted by."""
        names = list(SORTS)
        self._sort_by(names[(names.index(self._sorted_by) + 1) % len(names)])

    @on(Table.HeadClicked)
    def _head_clicked(self, event: Table.HeadClicked) -> None:
        self._sort_by(event.column)

    def _sort_by(self, column: str) -> None:
        self._reverse = not self._reverse if column == self._sorted_by else False
        self._sorted_by = column
        self.show()

    # The line that takes a model's name.

    def open_name(self) -> None:
        """Let a name be typed."""
        self.add_class("-pulling")
        self.query_one("#pull-name", Input).focus()

    def close_name(self) -> str:
        """Close the line, and return what was typed."""
        self.remove_class("-pulling")
        line = self.query_one("#pull-name", Input)
        name, line.value = line.value.strip(), ""
        self._table.focus()
        return name
