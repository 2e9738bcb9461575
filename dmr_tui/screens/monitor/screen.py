"""Monitor: what the machine and the models do, once a second."""

from __future__ import annotations

from textual import on, work

from dmr_tui.actions import Action, bindings
from dmr_tui.engine.profile import RunningModel
from dmr_tui.runner.activity.records import RequestRecord, RunnerEvent
from dmr_tui.screens import memory
from dmr_tui.screens.library import familiar_name
from dmr_tui.screens.logs.remedies import remedy
from dmr_tui.screens.messages import OpenRequests
from dmr_tui.screens.monitor.clients import Client
from dmr_tui.screens.monitor.models import ORDERS, ModelsTable, Reality
from dmr_tui.screens.monitor.showing import TABLE, MonitorShow
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import span
from dmr_tui.widgets.table import Table

INTERVALS = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between two looks."""

WINDOWS = (30.0, 60.0, 300.0, 900.0)
"""Seconds that the charts show."""

_ZOOMED = {"monitor-models": "memory", "monitor-clients": "clients", "monitor-events": "events"}
"""What a pane that fills the screen is called, by its table."""


class MonitorScreen(MonitorShow):
    """The screen that shows what runs, and what it takes."""

    MODE = "monitor"
    CSS_PATH = "monitor.tcss"
    AUTO_FOCUS = "#monitor-models"
    BINDINGS = bindings("monitor")

    def __init__(self, workspace: Workspace) -> None:
        """See `MonitorShow`; all panes are shown."""
        super().__init__(workspace)
        self._zoomed = ""

    # What the keys are called.

    def hint(self, action: Action) -> str | None:
        """Only what would do something."""
        match action.name:
            case "requests":
                return action.title if self._expression() else None
            case "unload" | "benchmark" | "pin" | "settings" | "cancel":
                return self._model_hint(action)
            case "freeze":
                return "Go on" if self._frozen else action.title
            case "warnings":
                return "All events" if self._warnings else action.title
            case "sort" | "by_memory" | "by_speed":
                return action.title if len(self.query_one(ModelsTable).rows) > 1 else None
            case "zoom" | "back" if self._zoomed:
                return "All panes"
            case "back":
                return None
        return action.title

    def _model_hint(self, action: Action) -> str | None:
        """What an action on the selected model is called."""
        model = self._model
        match action.name:
            case "cancel":
                return action.title if self.workspace.tasks.all or self._loading else None
            case _ if not self._reachable:
                return None
            case "settings":
                return self._settings_hint()
            case _ if model is None:
                return None
            case "pin" if model.state != "ready":
                return None
            case "pin" if model.keep_alive < 0:
                return "Unpin"
        return action.title

    def _settings_hint(self) -> str | None:
        """What `e` does: the cure for an event, else the settings of the model."""
        if isinstance(self._row, RunnerEvent):
            found = self._cure
            return None if found is None else remedy(found).title
        return "Settings" if self._model is not None else None

    @property
    def _loading(self) -> RunningModel | None:
        """The selected model, if it is on its way into memory."""
        model = self._model
        return model if model is not None and model.state == "loading" else None

    @property
    def _row(self) -> object:
        """The row that keys are meant for: in the table with the focus, else a model."""
        table = self.focused if isinstance(self.focused, Table) else self.query_one(ModelsTable)
        return table.current

    @property
    def _cure(self) -> RequestRecord | None:
        """The request of the selected event, if something can be done about its failure."""
        row = self._row
        if not isinstance(row, RunnerEvent):
            return None
        record = self.workspace.feed.requests.get(row.request)
        return record if record is not None and remedy(record).fix else None

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
        row = self._row
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

    @work(group="settings", exclusive=True, exit_on_error=False)
    async def action_settings(self) -> None:
        """Do what helps against the failure of an event; else open the model's settings."""
        from dmr_tui.screens.logs.jobs import repair  # not before the first frame
        from dmr_tui.screens.models.settings import edit_settings

        cure, model = self._cure, self._model
        if not self._reachable:
            return
        if cure is not None:
            await repair(self.workspace, cure, then="⏎ shows the request.")
        elif model is not None and not isinstance(self._row, RunnerEvent):
            await edit_settings(self.app, self.workspace, self._name_of(model))

    @work(group="benchmark", exit_on_error=False)
    async def action_benchmark(self) -> None:
        """Measure the selected model."""
        from dmr_tui.screens.models.jobs import benchmark  # not before the first frame

        model = self._model
        entry = None if model is None else self.workspace.library.find(model.id)
        if entry is not None and self._reachable:
            await benchmark(self.workspace, entry)

    def action_cancel(self) -> None:
        """Call off the load of the selected model, else stop what was begun last."""
        if self._loading is not None:
            self.action_unload()
        elif self.workspace.tasks.all:
            self.workspace.tasks.all[-1].cancel()

    def _name_of(self, model: RunningModel) -> str:
        entry = self.workspace.library.find(model.id)
        return familiar_name(model.name) if entry is None else entry.name

    def action_zoom(self) -> None:
        """Show only the table with the focus, or all panes again."""
        table = self.focused if isinstance(self.focused, Table) else self.query_one(ModelsTable)
        self._zoomed = "" if self._zoomed else _ZOOMED.get(table.id or "", "memory")
        for pane in _ZOOMED.values():
            self.set_class(pane == self._zoomed, f"-zoom-{pane}")
        self.refresh_hints()

    def action_back(self) -> None:
        """Show all panes again."""
        if self._zoomed:
            self.action_zoom()

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

    def action_by_memory(self) -> None:
        """Those with the most memory first."""
        self._sort_by("memory", reverse=False)
        self.workspace.say("Sorted by memory, the most first.")

    def action_by_speed(self) -> None:
        """Those that write the fastest first."""
        self._sort_by("generated", reverse=False)
        self.workspace.say("Sorted by tokens per second, the fastest first.")

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
        self.workspace.memory.set_order(TABLE, column, reverse=reverse)
        self._show()


def _step(steps: tuple[float, ...], now: float, by: int) -> float:
    """The step before or after one of them; the last one has none after it."""
    return steps[min(max(steps.index(now) + by, 0), len(steps) - 1)]
