"""Monitor: what the machine and the models do, once a second."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from textual import on, work
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from dmr_tui.actions import Action, bindings
from dmr_tui.engine.profile import RunningModel
from dmr_tui.runner.activity.records import RunnerEvent
from dmr_tui.screens import memory
from dmr_tui.screens.library import familiar_name
from dmr_tui.screens.messages import OpenRequests
from dmr_tui.screens.monitor import clients, events
from dmr_tui.screens.monitor.clients import Client
from dmr_tui.screens.monitor.machine import Accelerators, Host, is_here
from dmr_tui.screens.monitor.models import ORDERS, ModelsTable, Reality
from dmr_tui.screens.monitor.throughput import Throughput
from dmr_tui.screens.monitor.view import View
from dmr_tui.screens.shell import ShellScreen
from dmr_tui.screens.workspace import Workspace
from dmr_tui.system.sampler import Machine
from dmr_tui.widgets.figures import span
from dmr_tui.widgets.panel import explain
from dmr_tui.widgets.table import Table

INTERVALS = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between two looks."""

WINDOWS = (30.0, 60.0, 300.0, 900.0)
"""Seconds that the charts show."""

_MACHINE_SECONDS = 10.0
"""What the machine has changes slowly: the room on its disk."""

_TABLE = "monitor"
_NO_MODEL = "No model is in memory: l on Models (1) loads one, a chat (3) does it by itself."
_NO_CLIENT = "Nobody has asked for anything in the last 5 minutes."
_NO_EVENT = "Nothing has happened yet: loads, evictions, crashes and pulls will be here."
_NO_WARNING = "No warning: w shows all events."


class MonitorScreen(ShellScreen):
    """The screen that shows what runs, and what it takes."""

    MODE = "monitor"
    CSS_PATH = "monitor.tcss"
    AUTO_FOCUS = "#monitor-models"
    BINDINGS = bindings("monitor")

    def __init__(self, workspace: Workspace) -> None:
        """A monitor of the runner of a workspace, and of this machine."""
        super().__init__(workspace)
        self._interval, self._window = 1.0, 60.0
        self._frozen = self._warnings = False
        self._machine: Machine | None = None
        self._machine_at = -_MACHINE_SECONDS
        self._order, self._reverse = workspace.memory.order(_TABLE, "name")
        self._shown: list[RunningModel] | None = None

    def body(self) -> Iterable[Widget]:
        """Gauges, models, throughput and clients, events."""
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
            stored=sum(entry.size for entry in library.entries),
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

    # What the keys are called.

    def hint(self, action: Action) -> str | None:
        """Only what would do something."""
        model = self._model
        match action.id:
            case "monitor.requests":
                return action.title if self._expression() else None
            case "monitor.unload":
                return action.title if model is not None and self._reachable else None
            case "monitor.pin":
                if model is None or model.state != "ready" or not self._reachable:
                    return None
                return "Unpin" if model.keep_alive < 0 else "Pin"
            case "monitor.freeze":
                return "Go on" if self._frozen else action.title
            case "monitor.warnings":
                return "All events" if self._warnings else action.title
            case "monitor.sort":
                return action.title if len(self.query_one(ModelsTable).rows) > 1 else None
        return action.title

    @property
    def _reachable(self) -> bool:
        return self.workspace.ready and self.workspace.lost_at is None

    @property
    def _model(self) -> RunningModel | None:
        return self.query_one(ModelsTable).current

    @on(Table.Moved)
    def _moved(self, event: Table.Moved) -> None:
        if event.table is self.query_one(ModelsTable):
            self.query_one(Reality).model = self._model
            self.query_one(Reality).refresh()
        self.refresh_hints()

    # What the keys do.

    def _expression(self) -> str:
        """What chooses the requests of the row with the focus; empty: there is no such row."""
        table = self.focused if isinstance(self.focused, Table) else self.query_one(ModelsTable)
        row = table.current
        if isinstance(row, Client):
            return f'client:"{row.name}"'
        if isinstance(row, RunnerEvent):
            return f"id:{row.request}" if row.request else f'model:"{familiar_name(row.model)}"'
        if isinstance(row, RunningModel):
            return f'model:"{familiar_name(row.name)}"'
        return ""

    @on(Table.Chosen)
    def _chosen(self) -> None:
        self.action_requests()

    def action_requests(self) -> None:
        """Go to the requests of the row."""
        if expression := self._expression():
            self.post_message(OpenRequests(expression))

    @work(group="model", exit_on_error=False)
    async def action_unload(self) -> None:
        """Take the selected model out of memory."""
        model = self._model
        if model is not None and self._reachable:
            await memory.unload(self.workspace, [model.name])

    @work(group="model", exit_on_error=False)
    async def action_pin(self) -> None:
        """Keep the selected model in memory, or let it go again."""
        model = self._model
        if model is not None and model.state == "ready" and self._reachable:
            await memory.pin(self.workspace, model.name, pinned=model.keep_alive < 0)

    def action_freeze(self) -> None:
        """Hold what is shown, or go on."""
        self._frozen = not self._frozen
        if not self._frozen:
            self._show()
        self.refresh_all()

    def action_warnings(self) -> None:
        """Show only warnings and errors, or all events."""
        self._warnings = not self._warnings
        self._name_events()
        self._show()

    def action_faster(self) -> None:
        """Look around more often."""
        self._set_rate(_step(INTERVALS, self._interval, -1))

    def action_slower(self) -> None:
        """Look around less often."""
        self._set_rate(_step(INTERVALS, self._interval, 1))

    def _set_rate(self, interval: float) -> None:
        if interval == self._interval:
            self.workspace.say(f"Every {interval:g} s is as far as it goes.")
            return
        self._interval = interval
        self.restart_clockwork()
        self.workspace.say(f"Looking every {interval:g} s.")

    def action_shorter(self) -> None:
        """Let the charts show less time."""
        self._set_window(_step(WINDOWS, self._window, -1))

    def action_longer(self) -> None:
        """Let the charts show more time."""
        self._set_window(_step(WINDOWS, self._window, 1))

    def _set_window(self, window: float) -> None:
        if window == self._window:
            self.workspace.say(f"The charts show {span(window)}: that is as far as it goes.")
            return
        self._window = window
        self._show()
        self.workspace.say(f"The charts show {span(window)}.")

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._sort_by(ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)], reverse=False)

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._sort_by(self._order, reverse=not self._reverse)

    @on(Table.HeadClicked)
    def _head_clicked(self, event: Table.HeadClicked) -> None:
        if event.table is self.query_one(ModelsTable) and event.column in ORDERS:
            reverse = not self._reverse if event.column == self._order else False
            self._sort_by(event.column, reverse=reverse)

    def _sort_by(self, column: str, *, reverse: bool) -> None:
        self._order, self._reverse = column, reverse
        self.workspace.memory.set_order(_TABLE, column, reverse=reverse)
        self._show()


def _step(steps: tuple[float, ...], now: float, by: int) -> float:
    """The step before or after one of them; the last one has none after it."""
    return steps[min(max(steps.index(now) + by, 0), len(steps) - 1)]
