"""The stored models: a table that can be filtered and sorted, details, and what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from typing import TYPE_CHECKING, Literal

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static
from textual.worker import Worker, WorkerState

from dmr_tui.screens.library import Entry
from dmr_tui.screens.models.choice import VIEWS, Choice
from dmr_tui.screens.models.columns import Columns, Row, name_of
from dmr_tui.screens.models.details import Details
from dmr_tui.screens.models.filter import Filters
from dmr_tui.screens.models.fits import Fits
from dmr_tui.screens.models.knowledge import Knowledge
from dmr_tui.screens.models.notes import Notes
from dmr_tui.screens.models.running import Running
from dmr_tui.screens.models.updates import Updates
from dmr_tui.screens.pull_view import pull_content
from dmr_tui.screens.pulls import Pull
from dmr_tui.screens.shell import report
from dmr_tui.screens.tasks import task_content
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import long_size
from dmr_tui.widgets.marking import MarkingTable
from dmr_tui.widgets.table import Table

if TYPE_CHECKING:
    from dmr_tui.engine.fit import Fit

Line = Literal["pull", "tag"]
"""What a name is typed for."""

_TABLE = "models"
_PAUSE = 0.06
"""Seconds that the cursor rests on a model before its files are read."""
_OUTDATED_SECONDS = 30.0
_REFILL_SECONDS = 0.3
"""Between two times that rows are put in order anew while answers come in."""
_EXAMPLES = {
    "pull": "Get: smollm2, gemma3:4b, hf.co/org/repo",
    "tag": "One more name for it: myorg/assistant:v1",
}


class ModelTable(MarkingTable[Row]):
    """Models, which can be marked, and pulls, which cannot."""

    def can_mark(self, thing: Row) -> bool:
        """Only what is there can be deleted or loaded."""
        return isinstance(thing, Entry)


class Shelf(Vertical):
    """What the Models screen shows when there are models."""

    class Moved(Message):
        """Another model is under the cursor, or none, or others are marked."""

    def __init__(self, workspace: Workspace, updates: Updates) -> None:
        """The models of a workspace, and which of them are out of date."""
        super().__init__(id="shelf")
        self._workspace = workspace
        self._updates = updates
        self._fits = Fits(lambda: workspace.runner, self._fits_changed)
        now = workspace.clocks.now
        self._columns = Columns(self._fit_of, self._knows_fit, updates.has, now)
        self._choice = Choice(Filters(self._fit_of, now), updates, self._columns.orders)
        column, reverse = workspace.memory.order(_TABLE, "used")
        self._choice.set_order(column, reverse=reverse)
        self._choice.view = _view(workspace)
        self._notes = Notes(workspace, self._fits, updates)
        self._shown: tuple[object, ...] = ()
        self._heads: tuple[str, str | None] = ("", None)
        self._summary = ""
        self._in_memory: list[tuple[str, str]] = []
        self._problem = ""
        self._refill: Timer | None = None

    def compose(self) -> ComposeResult:
        """Table and details side by side; the styles of narrow screens stack them."""
        with Horizontal(id="columns"):
            with Vertical(id="left"):
                with Vertical(id="models"):
                    yield Static(id="summary")
                    yield Input(
                        id="filter", compact=True, placeholder="qwen size:<8g fits cap:tools"
                    )
                    yield ModelTable(self._columns.all(), identity=name_of, gap=1, id="table")
                yield Running()
                yield Static(id="pulls")
            yield Details()
        yield Input(id="line", compact=True)

    def on_mount(self) -> None:
        """Show the models and take the focus."""
        if not self.children:
            return  # the program ends already: what is to be closed is given nothing to hold
        self.set_interval(_OUTDATED_SECONDS, self._look_at_memory)
        self.show()
        self.table.focus()

    def on_unmount(self) -> None:
        """Ask nobody any more."""
        self._fits.close()

    @property
    def table(self) -> ModelTable:
        """The table of models."""
        return self.query_one("#table", ModelTable)

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.table.current

    @property
    def marked(self) -> list[Entry]:
        """The models that are marked, in the table's order."""
        table = self.table
        return [row for row in table.marked if isinstance(row, Entry)] if table.marks else []

    def is_marked(self, entry: Entry) -> bool:
        """Whether a model is marked."""
        return self.table.identity(entry) in self.table.marks

    # What is shown.

    def show(self) -> None:
        """Show what the workspace holds now."""
        library, pulls = self._workspace.library, self._workspace.pulls.active
        running = [(worker.id, worker.state) for worker in library.running]
        if running != self._in_memory:
            self._in_memory = running
            self._fits.outdate()
        names = tuple(pull.name for pull in pulls)
        shown = (library.entries, self._choice.key, self._updates.version, names)
        if shown != self._shown:
            self._shown = shown
            self._fill()
        elif pulls:
            self.table.redraw()
            self._moved()
        self._show_summary()
        self._show_work(pulls)
        narrow = self.app.size.width < 100
        self.query_one(Running).show(library.entries, self._workspace.clocks.now(), narrow=narrow)

    def _fill(self) -> None:
        choice = self._choice
        rows = choice.rows(self._workspace.library.entries, self._workspace.pulls.active)
        self.table.show(rows, sorted_by=choice.column, reverse=choice.reverse)
        self._want_fits()

    def _show_summary(self) -> None:
        entries, choice = self._workspace.library.entries, self._choice
        shown = sum(isinstance(row, Entry) for row in self.table.rows)
        total = self._workspace.library.taken
        count = f"{shown} of {len(entries)}" if shown != len(entries) else str(len(entries))
        view = f" · {choice.view}" if choice.view != VIEWS[0] else ""
        waiting = " · looking what fits …" if choice.asks_fit and self._fits.waiting else ""
        size = f"{long_size(total)} on disk" if total else ""
        heads = (f"Models  {count}{view}{waiting}", size or None)
        box = self.query_one("#models")
        if heads != self._heads:  # Setting them draws all that is in the box again.
            self._heads = heads
            box.border_title, box.border_subtitle = heads
        arrow = "↑" if choice.reverse else "↓"
        models = "model" if len(entries) == 1 else "models"
        parts = [f"{count} {models}{view}{waiting}", size, f"{choice.column} {arrow}"]
        summary = " · ".join(filter(None, parts))
        if summary != self._summary:
            self._summary = summary
            self.query_one("#summary", Static).update(summary, layout=False)

    def _show_work(self, active: list[Pull]) -> None:
        pulls = self.query_one("#pulls", Static)
        tasks = self._workspace.tasks.all
        lines = [task_content(task) for task in tasks]
        for pull in active:
            lines.append(Content.styled(f"↓ {pull.name}", "bold"))
            lines.append(pull_content(pull, self.table.size.width))
        pulls.display = bool(lines)
        if lines:
            pulls.border_title = f"Under way {len(active) + len(tasks)} · x cancels"
            pulls.update(Content("\n").join(lines))

    # What is known of a model.

    def known(self, entry: Entry) -> Knowledge:
        """Everything that is known of a model by now."""
        return self._notes.of(entry)

    def forget_settings(self, entry: Entry) -> None:
        """What is set for a model has become different."""
        self._notes.forget_settings(entry)
        self._fits.outdate()
        self._want_fits()
        self._moved()

    def change_context(self, step: int) -> None:
        """Show the memory of the model under the cursor at the next larger or smaller context."""
        entry = self.current
        if isinstance(entry, Entry):
            self._notes.change_context(entry, step)
            self._want_current()
            self._moved()

    @on(Table.Moved)
    def _moved(self) -> None:
        row = self.current
        self.query_one(Details).show(self.known(row) if isinstance(row, Entry) else row)
        if isinstance(row, Entry):
            self._want_current()
            if not self._notes.has_read(row):
                self._read(row)
        self.post_message(self.Moved())

    @on(MarkingTable.Marked)
    def _marked(self) -> None:
        self.post_message(self.Moved())

    @on(Table.Scrolled)
    def _scrolled(self) -> None:
        self._want_fits()

    @work(group="details", exclusive=True, exit_on_error=False)
    async def _read(self, entry: Entry) -> None:
        await asyncio.sleep(_PAUSE)
        await self._notes.read(entry)
        row = self.current
        if isinstance(row, Entry) and row.model.id == entry.model.id:
            self.query_one(Details).show(self.known(row))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """See `ShellScreen.on_worker_state_changed`."""
        if event.state is WorkerState.ERROR:
            report(self.app, event.worker.error)

    # What fits.

    def _fit_of(self, entry: Entry) -> Fit | None:
        return self._fits.get(entry.model.id)

    def _knows_fit(self, entry: Entry) -> bool:
        return self._fits.knows(entry.model.id)

    def _want_fits(self) -> None:
        """Ask for what can be seen first, and for the rest where it decides what is shown."""
        self._fits.want_no_more()
        if self._choice.asks_fit:
            self._fits.want(entry.model.id for entry in self._workspace.library.entries)
        self._fits.want(row.model.id for row in self.table.in_view if isinstance(row, Entry))
        self._want_current()

    def _want_current(self) -> None:
        row = self.current
        if isinstance(row, Entry):
            self._fits.want([row.model.id], self._notes.context(row))

    def _fits_changed(self, ids: Set[str]) -> None:
        self._choice.fits_changed()
        if not self.is_mounted:
            return
        if not self._choice.asks_fit:
            self._draw_again(ids)
        elif self._fits.waiting and self._refill is None:
            self._refill = self.set_timer(_REFILL_SECONDS, self._fill_again)
        elif not self._fits.waiting:
            self._fill_again()

    def _draw_again(self, ids: Set[str]) -> None:
        seen = (row for row in self.table.in_view if isinstance(row, Entry))
        self.table.redraw_things({name_of(row) for row in seen if row.model.id in ids})
        row = self.current
        if isinstance(row, Entry) and row.model.id in ids:
            self.query_one(Details).show(self.known(row))

    def _fill_again(self) -> None:
        if self._refill is not None:
            self._refill.stop()
            self._refill = None
        if self._choice.asks_fit:
            self._fill()
            self._show_summary()

    def _look_at_memory(self) -> None:
        if self.screen.is_current:
            self._fits.outdate()
            self._want_fits()

    # Filter, view and order.

    def open_filter(self) -> None:
        """Let words be typed that choose the models."""
        self.add_class("-filtering")
        self.query_one("#filter", Input).focus()

    def show_all(self) -> bool:
        """Show all models again; whether anything was left out."""
        restricted = self._choice.restricts or self.has_class("-filtering")
        self._set_view(VIEWS[0])
        self.query_one("#filter", Input).value = ""
        self.remove_class("-filtering")
        self.table.focus()
        self.show()
        return restricted

    @property
    def restricted(self) -> bool:
        """Whether something is left out, or may be soon."""
        return self._choice.restricts or self.has_class("-filtering")

    def next_view(self) -> None:
        """Show all, then what fits, then what is loaded, then what has updates."""
        self._choice.next_view(self._workspace.library.entries)
        self._set_view(self._choice.view)
        self.show()

    def _set_view(self, view: str) -> None:
        self._choice.view = view
        self._workspace.memory.set_view(_TABLE, view)

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._choice.set_text(event.value)
        problem = self._choice.filter.problem
        if problem != self._problem:
            self._problem = problem
            self._workspace.say(problem, "warning")
        self.show()

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        if not self.query_one("#filter", Input).value:
            self.remove_class("-filtering")
        self.table.focus()

    def sort_by_next(self) -> None:
        """Sort by the column after the one that is sorted by."""
        self._choice.next_column(self.table.shown_columns)
        self._sorted()

    def reverse(self) -> None:
        """Turn the order round."""
        self._choice.reverse = not self._choice.reverse
        self._sorted()

    @on(Table.HeadClicked)
    def _head_clicked(self, event: Table.HeadClicked) -> None:
        again = event.column == self._choice.column
        self._choice.set_order(event.column, reverse=again and not self._choice.reverse)
        self._sorted()

    def _sorted(self) -> None:
        choice = self._choice
        self._workspace.memory.set_order(_TABLE, choice.column, reverse=choice.reverse)
        self.show()

    # The line that takes a name.

    def open_line(self, what: Line) -> None:
        """Let a name be typed, of a model to get or for the one under the cursor."""
        line = self.query_one("#line", Input)
        line.placeholder = _EXAMPLES[what]
        self.set_class(what == "tag", "-tagging")
        self.add_class("-typing")
        line.focus()

    @property
    def line(self) -> tuple[Line, str]:
        """What the line is for, and what is typed in it."""
        what: Line = "tag" if self.has_class("-tagging") else "pull"
        return what, self.query_one("#line", Input).value.strip()

    def close_line(self) -> None:
        """Close the line and forget what was typed."""
        self.remove_class("-typing", "-tagging")
        self.query_one("#line", Input).value = ""
        self.table.focus()


def _view(workspace: Workspace) -> str:
    view = workspace.memory.state.views.get(_TABLE, VIEWS[0])
    return view if view in VIEWS[:-1] else VIEWS[0]
