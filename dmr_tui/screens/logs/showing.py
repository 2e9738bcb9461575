"""What the screen of requests and logs shows, and how it is kept up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING

from textual import on, work
from textual.containers import Container, Vertical
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from dmr_tui.errors import DmrError, InvalidRequestError
from dmr_tui.runner.activity.filtering import Filter, parse_filter
from dmr_tui.runner.activity.records import Activity, Bodies, Level, LogLine, RequestRecord
from dmr_tui.screens.logs.detail import Detail
from dmr_tui.screens.logs.log_pane import MOST_LINES, LogPane
from dmr_tui.screens.logs.log_view import LogView
from dmr_tui.screens.logs.requests_pane import RequestsPane
from dmr_tui.screens.logs.status_line import Standing, StatusLine, View
from dmr_tui.screens.shell import ShellScreen
from dmr_tui.settings import DEFAULT_PORT
from dmr_tui.widgets.table import Table

if TYPE_CHECKING:
    from dmr_tui.screens.workspace import Workspace

SINCE = {"": 0.0, "1 min": 60.0, "5 min": 300.0, "15 min": 900.0, "1 h": 3600.0, "1 d": 86400.0}
"""Ages that can be left out, in seconds, by what they are called."""

PANES = ("requests", "detail", "logs")

_REFRESH_SECONDS = 0.25
_RETRY_SECONDS = 2.0


class ShowingScreen(ShellScreen):
    """Requests and one of them in full above, logs below."""

    def __init__(self, workspace: Workspace) -> None:
        """The requests and logs of a workspace's runner."""
        super().__init__(workspace)
        self.view: View = "both"
        self.zoomed = ""
        self.level: Level = "debug"
        self.since = ""
        self.paused = False
        self._filter = Filter("")
        self._problem = ""
        self._heads = ("", "", "")
        self._waiting: list[LogLine] = []
        self._dirty = True
        self._refreshing: Timer | None = None
        self._texts: tuple[RequestRecord, Bodies | None] | None = None
        """What was read of the texts of a request in one of its states."""

    def body(self) -> Iterable[Widget]:
        """A line that tells what is shown, then the panes."""
        with Vertical(id="logs-body"):
            yield StatusLine()
            yield Input(id="filter", compact=True, placeholder="status:>=400 OR model:qwen")
            yield Input(id="find", compact=True, placeholder="a text to look for")
            with Container(id="upper"):
                yield RequestsPane(self.workspace)
                yield Detail()
            yield LogPane()

    def on_mount(self) -> None:
        """Begin to listen."""
        super().on_mount()
        self._refreshing = self.set_interval(_REFRESH_SECONDS, self._refresh)
        self.workspace.feed.listen(self._heard)
        self._read_logs()
        self.show_all()

    def on_screen_resume(self) -> None:
        """Show what has come meanwhile."""
        super().on_screen_resume()
        if self._refreshing is not None:
            self._refreshing.resume()
            self._refresh()

    def on_screen_suspend(self) -> None:
        """Rest."""
        super().on_screen_suspend()
        if self._refreshing is not None:
            self._refreshing.pause()

    @property
    def requests_pane(self) -> RequestsPane:
        """The table of requests."""
        return self.query_one(RequestsPane)

    @property
    def detail(self) -> Detail:
        """The request under the cursor."""
        return self.query_one(Detail)

    @property
    def log_pane(self) -> LogPane:
        """The lines of the logs."""
        return self.query_one(LogPane)

    # What comes.

    def _heard(self, change: Activity) -> None:
        self._dirty = True
        if change.cleared or not change.bodies:
            self._texts = None

    @work(group="logs", exclusive=True, exit_on_error=False)
    async def _read_logs(self) -> None:
        """Read the logs for as long as the screen lives."""
        while True:
            if self.workspace.ready:
                self.log_pane.clear()
                try:
                    async with aclosing(self.workspace.runner.logs(follow=True)) as batches:
                        async for batch in batches:
                            self._take(batch)
                except DmrError as error:
                    self.workspace.fail(error)
            await asyncio.sleep(_RETRY_SECONDS)

    def _take(self, lines: list[LogLine]) -> None:
        self._waiting = [*self._waiting, *lines][-MOST_LINES:]
        if not self.paused:
            self.log_pane.add(self._waiting)
            self._waiting = []
        self._show_standing()

    def _refresh(self) -> None:
        """Show new requests; those that run take longer with every second."""
        if self.paused or not self.is_current:
            return
        if self._dirty or any(row.running for row in self.requests_pane.shown[:20]):
            self._dirty = False
            self.requests_pane.refresh_rows()
            self.show_panes()

    # What is shown of it.

    def show_all(self) -> None:
        """Choose anew what is shown."""
        oldest = self.workspace.clocks.now() - SINCE[self.since] if self.since else 0.0
        self.requests_pane.choose(self._filter, oldest)
        self.requests_pane.refresh_rows()
        self.log_pane.choose(self._filter, self.level, oldest)
        self.show_panes()

    def show_panes(self) -> None:
        """Show the panes of the view, or only the one that is zoomed."""
        body = self.query_one("#logs-body")
        body.set_class(not self.requests_pane.shown, "-none")
        for view in ("requests", "logs"):
            body.set_class(self.view == view and not self.zoomed, f"-{view}")
        for pane in PANES:
            body.set_class(self.zoomed == pane, f"-zoom-{pane}")
        self._show_standing()

    def filter_by(self, expression: str) -> None:
        """Show what an expression chooses; all, and the reason, if it makes no sense."""
        try:
            self._filter, self._problem = parse_filter(expression), ""
        except InvalidRequestError as error:
            # What was typed on the way to it is no filter that anybody wanted.
            self._filter = Filter("")
            self._problem = f"{error.message}; {error.hint}" if error.hint else error.message
            self.show_all()
            return
        line = self.query_one("#filter", Input)
        if line.value != expression:
            with self.prevent(Input.Changed):
                line.value = expression
        self.show_all()

    @property
    def expression(self) -> str:
        """The filter that is in force."""
        return self._filter.source.strip()

    @property
    def problem(self) -> str:
        """Why the expression that is typed is not in force; empty: it is."""
        return self._problem

    def set_paused(self, paused: bool) -> None:
        """Hold all still, or show what has come meanwhile."""
        self.paused = paused
        if not paused:
            self._dirty = True
            self._take([])
            self._refresh()
        self._show_standing()

    @property
    def following(self) -> bool:
        """Whether what is new is scrolled to."""
        logs = self.log_pane.view.following
        if self.view == "logs":
            return logs and not self.paused
        return self.requests_pane.following and not self.paused and (logs or self.view != "both")

    @on(LogView.Moved)
    def _show_standing(self) -> None:
        pane, logs = self.requests_pane, self.log_pane
        feed = self.workspace.feed
        requests = f"{len(pane.shown)} of {len(feed.requests)}"
        lines = f"{len(logs.shown)} of {logs.count} lines"
        following = self.following
        level = "" if self.level == "debug" else f"{self.level} and worse"
        since = f"last {self.since}" if self.since else ""
        state = "● following" if following else "○ F follows"
        if feed.failure is not None:
            state = "× not connected"
        self.query_one(StatusLine).standing = Standing(
            view=self.view,
            expression=self.expression,
            problem=self._problem,
            limits=" · ".join(filter(None, (level, since))),
            counts=lines if self.view == "logs" else requests,
            state="‖ paused" if self.paused else state,
            calm=following and not self.paused and feed.failure is None,
            bodies=feed.bodies,
        )
        follows = "▼ following" if logs.view.following else "End follows"
        heads = (f"Requests  {requests}", f"Logs  {lines}", follows)
        if heads != self._heads:  # Setting them draws all that is in the boxes again.
            self._heads = heads
            pane.border_title, logs.border_title, logs.border_subtitle = heads
        self.refresh_hints()

    # The request under the cursor.

    @on(Table.Moved)
    def _row_moved(self) -> None:
        record = self.requests_pane.current
        known = self._texts
        same = record is not None and known is not None and known[0].id == record.id
        self._show_detail(record, known[1] if same and known is not None else None)
        stale = known is None or known[0] is not record
        if record is not None and stale and self.workspace.ready:
            self._read_texts(record)
        self._show_standing()

    @work(group="texts", exclusive=True, exit_on_error=False)
    async def _read_texts(self, record: RequestRecord) -> None:
        try:
            bodies = await self.workspace.runner.bodies(record.id)
        except DmrError as error:
            self.workspace.fail(error)
            return
        self._texts = (record, bodies)
        current = self.requests_pane.current
        if current is not None and current.id == record.id:
            self._show_detail(current, bodies)

    @property
    def served(self) -> bool:
        """Whether something listens where a command for a shell would go."""
        status = self.workspace.status
        return bool(self.workspace.endpoint.url or (status and status.endpoint))

    def _show_detail(self, record: RequestRecord | None, bodies: Bodies | None) -> None:
        workspace = self.workspace
        endpoint, choice = workspace.endpoint, workspace.endpoint.choice
        served = workspace.status.endpoint if workspace.status else ""
        here = f"http://127.0.0.1:{choice.port or DEFAULT_PORT}"
        self.detail.show(
            record,
            bodies,
            url=endpoint.url or served or here,
            served=self.served,
            key=bool(workspace.settings.api_key if served else choice.api_key),
            keeps=workspace.feed.bodies,
        )
