"""What Monitor shows, and how it is kept up to date."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from textual import work
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from dmr_tui.engine.profile import RunningModel
from dmr_tui.screens.monitor import clients, events
from dmr_tui.screens.monitor.machine import Accelerators, Host, is_here
from dmr_tui.screens.monitor.models import ModelsTable, Reality
from dmr_tui.screens.monitor.throughput import Throughput
from dmr_tui.screens.monitor.view import View
from dmr_tui.screens.shell import ShellScreen
from dmr_tui.screens.workspace import Workspace
from dmr_tui.system.sampler import Machine
from dmr_tui.widgets.figures import span
from dmr_tui.widgets.panel import explain
from dmr_tui.widgets.printable import printable
from dmr_tui.widgets.table import Table

TABLE = "monitor"
"""Under which name the order of the models is remembered."""

_MACHINE_SECONDS = 10.0
"""What the machine has changes slowly: the room on its disk."""

_NO_MODEL = "No model is in memory: l on Models (1) loads one, a chat (3) does it by itself."
_NO_CLIENT = "Nobody has asked for anything in the last 5 minutes."
_NO_EVENT = "Nothing has happened yet: loads, evictions, crashes and pulls will be here."
_NO_WARNING = "No warning: w shows all events."


class MonitorShow(ShellScreen):
    """Gauges, models, throughput, clients and events, as of the last look."""

    def __init__(self, workspace: Workspace) -> None:
        """A monitor of the runner of a workspace, and of this machine."""
        super().__init__(workspace)
        self._interval, self._window = 1.0, 60.0
        self._frozen = self._warnings = False
        self._machine: Machine | None = None
        self._machine_at = -_MACHINE_SECONDS
        self._order, self._reverse = workspace.memory.order(TABLE, "name")
        self._shown: list[RunningModel] | None = None

    def body(self) -> Iterable[Widget]:
        """Gauges, models, throughput and clients, events."""
        # Where there is no room for all, the panes scroll and the keys stay.
        with VerticalScroll(id="monitor-panes", can_focus=False):
            with Horizontal(id="monitor-machine"):
                yield Accelerators("monitor-gpus")
                yield Host("monitor-host")
            with Vertical(id="monitor-memory"):
                yield ModelsTable()
                yield Static(id="monitor-empty")
                yield Reality("monitor-reality")
            with Horizontal(id="monitor-work"):
                yield Throughput("monitor-throughput")
                with Vertical(id="monitor-clients-pane"):
                    yield Table(
                        clients.COLUMNS, identity=lambda client: client.name, id="monitor-clients"
                    )
                    yield Static(_NO_CLIENT, id="monitor-clients-none")
            with Vertical(id="monitor-events-pane"):
                yield Table(events.COLUMNS, identity=lambda event: event.id, id="monitor-events")
                yield Static(_NO_EVENT, id="monitor-events-none")

    # Looking around.

    def clockwork(self) -> list[Timer]:
        """One timer for everything, at the rate that was chosen."""
        return [self.set_interval(self._interval, self.sample)]

    def sample(self) -> None:
        """Look at the machine and at the runner."""
        self._tick()

    @work(group="tick", exclusive=True, exit_on_error=False)
    async def _tick(self) -> None:
        workspace = self.workspace
        now = workspace.clocks.monotonic()
        if now - self._machine_at >= _MACHINE_SECONDS:
            self._machine_at = now
            self._machine = await workspace.machine()
        await workspace.sample(closely=True)
        await workspace.look()
        if not self._frozen:
            self._show()

    def show_workspace(self) -> None:
        """Show a change that did not come with the clock."""
        if not self._frozen and self._shown is not self.workspace.library.running:
            self._show()

    def _show(self) -> None:
        workspace = self.workspace
        self._shown = workspace.library.running
        view = self._view()
        for readout in (Accelerators, Host, Throughput):
            self.query_one(readout).show(view)
        self._show_models(view)
        self._fill("#monitor-clients", clients.clients(view.requests, view.time), _NO_CLIENT)
        shown = events.chosen(view.events, warnings=self._warnings)
        self._fill("#monitor-events", shown, _NO_WARNING if self._warnings else _NO_EVENT)
        self.refresh_hints()

    def _view(self) -> View:
        workspace = self.workspace
        library, clocks = workspace.library, workspace.clocks
        now, lost_at = clocks.monotonic(), workspace.lost_at
        return View(
            now=now,
            time=clocks.now(),
            interval=self._interval,
            window=self._window,
            history=workspace.history,
            reading=workspace.reading,
            machine=self._machine,
            here=is_here(workspace.status),
            stored=library.taken,
            models=library.running,
            names={entry.model.id: entry.name for entry in library.entries},
            requests=list(workspace.feed.requests.values()),
            events=list(workspace.feed.events),
            lost_for=None if lost_at is None else now - lost_at,
        )

    def _show_models(self, view: View) -> None:
        table = self.query_one(ModelsTable)
        table.look(view, self._order, reverse=self._reverse)
        empty, failure = self.query_one("#monitor-empty", Static), self.workspace.failure
        if failure is not None:
            empty.update(explain(failure, "it is tried again every second"))
        elif not view.models:
            empty.update(_NO_MODEL if self.workspace.ready else "◐  Opening the model store …")
        table.display = bool(view.models)
        empty.display = not view.models
        reality = self.query_one(Reality)
        reality.model = table.current
        reality.show(view)
        title = f"Models in memory  {len(view.models)}"
        if view.lost_for is not None:
            title += f"  ·  as they were {span(view.lost_for)} ago: disconnected"
        elif tasks := self.workspace.tasks.all:
            share = "" if tasks[-1].fraction is None else f" {tasks[-1].fraction:.0%}"
            title += f"  ·  {printable(tasks[-1].title)}{share}, x stops it"
        self.query_one("#monitor-memory").border_title = title

    def _fill(self, selector: str, rows: list[Any], nothing: str) -> None:
        """Fill a table; where it would be empty, say so instead."""
        table: Table[Any] = self.query_one(selector, Table)
        if list(table.rows) != rows:
            table.show(rows)
        table.display = bool(rows)
        words = self.query_one(f"{selector}-none", Static)
        words.display = not rows
        if not rows:
            words.update(nothing)

    def on_mount(self) -> None:
        """Name the panes that are not named by what they show."""
        self.query_one("#monitor-clients-pane").border_title = "Clients  last 5 min"
        self._name_events()

    def _name_events(self) -> None:
        title = "Events  warnings only" if self._warnings else "Events"
        self.query_one("#monitor-events-pane").border_title = title

    def header_state(self) -> Content:
        """The rate and the window too, last of all."""
        if self.workspace.lost_at is not None:
            return super().header_state()
        rate = "frozen" if self._frozen else f"{self._interval:g} s"
        shown = Content.styled(f"  {rate} ‹{span(self._window)}›", "$text-muted")
        return super().header_state() + shown
