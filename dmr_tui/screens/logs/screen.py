"""Logs and requests: what programs asked, and what the engine says."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual import on, work
from textual.widgets import Input

from dmr_tui.actions import Action, bindings
from dmr_tui.errors import DmrError
from dmr_tui.runner.activity.records import LEVELS, LogLine, RequestRecord
from dmr_tui.screens.logs import jobs
from dmr_tui.screens.logs.log_view import MARK
from dmr_tui.screens.logs.remedies import remedy
from dmr_tui.screens.logs.showing import SINCE, ShowingScreen
from dmr_tui.screens.logs.status_line import VIEWS, View
from dmr_tui.screens.messages import ContinueRequest
from dmr_tui.widgets.table import Table

_OF_REQUESTS = ("inspect", "chat", "replay", "copy_curl", "fix", "export", "clear")
_OF_THE_LOG = ("level", "wrap", "times", "mark", "find", "since")
_NEED_THE_LOG = ("level", "wrap", "times", "mark", "find", "find_next", "find_previous")
"""Where the log is not shown, what they do could not be seen."""


class LogsScreen(ShowingScreen):
    """What can be done with requests and logs."""

    MODE = "logs"
    CSS_PATH = "logs.tcss"
    BINDINGS = bindings("logs")
    AUTO_FOCUS = "#requests"

    def hint(self, action: Action) -> str | None:
        """See `ShellScreen.hint`."""
        name = action.name
        if name == "back":
            return self._back_hint()
        if self._writing:
            return "Done" if name == "inspect" else None
        of_log = self.view == "logs" or self.log_pane.has_focus_within
        if name in _OF_THE_LOG:
            return action.title if of_log else None
        if name in _OF_REQUESTS:
            record = None if of_log else self.requests_pane.current
            return None if record is None else self._request_hint(action, record)
        named = {
            "follow": None if self.following else "Follow",
            "pause": "Go on" if self.paused else "Pause",
            "zoom": "All" if self.zoomed else "Zoom",
            "bodies": "Texts off" if self.workspace.feed.bodies else "Texts on",
        }
        return named.get(name, action.title)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is done to a log that is not shown."""
        if action in _NEED_THE_LOG and (self.zoomed or self.view) not in ("logs", "both"):
            return False
        return super().check_action(action, parameters)

    def _request_hint(self, action: Action, record: RequestRecord) -> str | None:
        if action.name == "fix":
            return remedy(record).title or None
        if action.name == "inspect":
            return "Table" if self.detail.has_focus_within else "Inspect"
        is_chat = record.protocol == "chat"
        return action.title if is_chat or action.name not in ("chat", "replay") else None

    def _back_hint(self) -> str | None:
        if self._writing:
            return "Close"
        if self.zoomed:
            return "All panes"
        if self.detail.has_focus_within:
            return "Table"
        return "Show all" if self.expression or self.problem else None

    @property
    def _writing(self) -> bool:
        return isinstance(self.focused, Input)

    # What is shown.

    def action_view(self) -> None:
        """Go to the next view."""
        self.action_show_view(VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)])

    def action_show_view(self, view: View) -> None:
        """Show requests, logs, or both."""
        self.view, self.zoomed = view, ""
        self.show_panes()
        if view == "logs":
            self.log_pane.view.focus()
        elif not self.requests_pane.has_focus_within:
            self._focus_table()

    def action_inspect(self) -> None:
        """Go into the request, or back to the table."""
        if self.view == "logs":
            return
        if self.detail.has_focus_within:
            self._focus_table()
        elif self.requests_pane.current is not None:
            self.detail.take_focus()
        self.refresh_hints()

    @on(Table.Chosen)
    def _chosen(self) -> None:
        self.action_inspect()

    def action_next_tab(self) -> None:
        """Next page of the request."""
        self.detail.turn(1)

    def action_previous_tab(self) -> None:
        """The page before."""
        self.detail.turn(-1)

    def action_pause(self) -> None:
        """Hold all still, or go on."""
        self.set_paused(not self.paused)

    def action_follow(self) -> None:
        """Go to the newest."""
        self.set_paused(False)
        self.log_pane.view.follow()
        self.requests_pane.table.cursor = 0
        self.show_panes()

    def action_zoom(self) -> None:
        """Show one pane only, or all again."""
        if self.zoomed:
            self.zoomed = ""
        elif self.log_pane.has_focus_within:
            self.zoomed = "logs"
        else:
            self.zoomed = "detail" if self.detail.has_focus_within else "requests"
        self.show_panes()

    def action_since(self) -> None:
        """Leave out more, or nothing again."""
        names = list(SINCE)
        self.since = names[(names.index(self.since) + 1) % len(names)]
        self.show_all()

    def action_level(self) -> None:
        """Leave out more lines, or none again."""
        self.level = LEVELS[(LEVELS.index(self.level) + 1) % len(LEVELS)]
        self.show_all()

    def action_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        view = self.log_pane.view
        view.wrap = not view.wrap
        self.workspace.say("Long lines are wrapped." if view.wrap else "Long lines are cut.")

    def action_times(self) -> None:
        """Show the times of lines, or not."""
        view = self.log_pane.view
        view.times = not view.times

    def action_mark(self) -> None:
        """Draw a line after the newest one."""
        self.log_pane.add([LogLine(self.workspace.clocks.now(), "", "info", MARK)])
        self.show_panes()

    # Filter and search.

    def action_filter(self) -> None:
        """Let an expression be typed."""
        self._open("filter")

    def action_find(self) -> None:
        """Let a text be typed that is looked for."""
        self._open("find")

    def _open(self, name: str) -> None:
        body = self.query_one("#logs-body")
        body.set_class(name == "filter", "-filtering")
        body.set_class(name == "find", "-finding")
        self.query_one(f"#{name}", Input).focus()

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self.filter_by(event.value)

    @on(Input.Changed, "#find")
    def _find_changed(self, event: Input.Changed) -> None:
        self.log_pane.view.found = event.value

    @on(Input.Submitted)
    def _line_done(self, event: Input.Submitted) -> None:
        if event.input.id == "filter" and self.problem:
            return
        self._close_lines()
        if event.input.id == "find":
            self.action_find_previous()

    def _close_lines(self) -> None:
        self.query_one("#logs-body").remove_class("-filtering", "-finding")
        if self.view == "logs":
            self.log_pane.view.focus()
        else:
            self._focus_table()

    def action_find_next(self) -> None:
        """Towards the newest."""
        self._find(1)

    def action_find_previous(self) -> None:
        """Towards the oldest."""
        self._find(-1)

    def _find(self, direction: int) -> None:
        view = self.log_pane.view
        if not view.found:
            self.workspace.say("Nothing is looked for yet: f takes a text.", "warning")
        elif not view.find(direction):
            self.workspace.say(f"No line has “{view.found}”.", "warning")

    def action_back(self) -> None:
        """Close what is open, one thing after the other."""
        if self._writing:
            if self.focused is self.query_one("#filter"):
                self.filter_by("")
            self._close_lines()
        elif self.zoomed:
            self.action_zoom()
        elif self.detail.has_focus_within:
            self._focus_table()
        elif self.expression or self.problem:
            self.filter_by("")
        elif self.log_pane.view.found:
            self.log_pane.view.found = ""
        self.refresh_hints()

    def _focus_table(self) -> None:
        self.requests_pane.table.focus()

    # What is done to requests.

    @work(group="request", exit_on_error=False)
    async def action_fix(self) -> None:
        """Do what helps against the failure of this request."""
        record = self.requests_pane.current
        if record is not None:
            await jobs.repair(self.workspace, record)

    @work(group="request", exit_on_error=False)
    async def action_replay(self) -> None:
        """Ask the same again."""
        record = self.requests_pane.current
        if record is not None:
            await jobs.replay(self.workspace, record)

    @work(group="request", exit_on_error=False)
    async def action_open_chat(self) -> None:
        """Go on with this request in the chat."""
        record = self.requests_pane.current
        if record is None:
            return
        try:
            bodies = await self.workspace.runner.bodies(record.id)
            request = await asyncio.to_thread(jobs.chat_so_far, record, bodies)
        except DmrError as error:
            self.workspace.fail(error)
            return
        self.post_message(ContinueRequest(record.model, request))

    def action_copy_curl(self) -> None:
        """Copy the request as a command."""
        if self.detail.command:
            self.app.copy_to_clipboard(self.detail.command)
            needs = "." if self.served else "; E turns the endpoint on."
            self.workspace.say(f"Copied the request as a curl command{needs}")

    @work(group="request", exit_on_error=False)
    async def action_export(self) -> None:
        """Write the listed requests to a file in the current folder."""
        if self.requests_pane.shown:
            await jobs.export(self.workspace, self.requests_pane.shown[::-1], Path.cwd())

    @work(group="request", exit_on_error=False)
    async def action_clear_requests(self) -> None:
        """Forget the requests that have ended."""
        if self.requests_pane.shown:
            await jobs.clear(self.workspace)

    @work(group="request", exit_on_error=False)
    async def action_toggle_bodies(self) -> None:
        """Keep texts, or none."""
        await jobs.keep_bodies(self.workspace, not self.workspace.feed.bodies)
