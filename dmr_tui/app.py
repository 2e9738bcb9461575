"""The full-screen program: modes, global keys, themes; everything else is a screen's."""

from __future__ import annotations

import gc
import importlib
import sys
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.worker import Worker, WorkerState

from dmr_tui.actions import bindings
from dmr_tui.errors import DmrError
from dmr_tui.paths import Paths
from dmr_tui.screens.alarms import Alarms
from dmr_tui.screens.endpoint import openai_base_url
from dmr_tui.screens.messages import (
    ContinueRequest,
    FindModels,
    GetModel,
    OpenChat,
    OpenRequests,
    ShowModels,
)
from dmr_tui.screens.models.screen import ModelsScreen
from dmr_tui.screens.palette import Actions, Models, Wishes
from dmr_tui.screens.pull_view import farewell
from dmr_tui.screens.shell import NARROW, ShellScreen, report
from dmr_tui.screens.workspace import Alert, Clocks, Meter, OpenRunner, Workspace
from dmr_tui.settings import Settings, load_settings
from dmr_tui.system import threads
from dmr_tui.widgets.alt_digits import read_alt_digits
from dmr_tui.widgets.printable import printable
from dmr_tui.widgets.terminal import attentive
from dmr_tui.widgets.themes import THEMES
from dmr_tui.widgets.type_ahead import TypeAhead

if TYPE_CHECKING:
    from textual.driver import Driver

    from dmr_tui.screens.chat.screen import ChatScreen

_TURN_SECONDS = 0.001
_QUIT_SECONDS = 3.0
_ALERT_SECONDS = 10.0
_WIDTHS = [(0, "-narrow"), (NARROW, "-wide")]
_HEIGHTS = [(0, "-short"), (30, "-tall")]
_SCREENS = {
    "get": "GetScreen",
    "chat": "ChatScreen",
    "monitor": "MonitorScreen",
    "logs": "LogsScreen",
}
"""The screens that are made when they are first shown, by their mode."""


class DmrApp(TypeAhead):
    """`dmr` without a command."""

    TITLE = "dmr"
    # The first screen's sheet too: reading it later would mean reading all sheets again.
    CSS_PATH: ClassVar = ["theme.tcss", "screens/models/models.tcss"]
    BINDINGS = bindings("app")
    COMMANDS: ClassVar = {Actions, Models, Wishes}
    DEFAULT_MODE = "models"
    PAUSE_GC_ON_SCROLL = True
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS

    def __init__(
        self,
        settings: Settings | None = None,
        paths: Paths | None = None,
        *,
        open_runner: OpenRunner | None = None,
        meter: Meter | None = None,
        clocks: Clocks | None = None,
        goes_on: bool = False,
    ) -> None:
        """The program, not yet running.

        Args:
            settings: by default the user's own.
            paths: by default the user's own.
            open_runner: finds or makes the runner; see `Workspace`.
            meter: looks at the machine; see `Workspace`.
            clocks: where the time is from.
            goes_on: begin with the chat that was used last.

        Raises:
            InvalidRequestError: the user's settings cannot be used.
        """
        super().__init__()
        read_alt_digits()
        paths = paths or Paths.default()
        self.workspace = Workspace(
            settings or load_settings(paths),
            paths,
            changed=self._workspace_changed,
            alert=self._alert,
            open_runner=open_runner,
            meter=meter,
            clocks=clocks,
        )
        self._shells: dict[str, ShellScreen] = {}
        self._previous = ""
        self._goes_on = goes_on
        self._told = True
        self._asked_to_quit = -_QUIT_SECONDS
        for mode in _SCREENS:
            self.add_mode(mode, partial(self._make_screen, mode))
        for theme in THEMES:
            self.register_theme(theme)
        # Before the sheets are read: to set a theme afterwards is to read them again.
        remembered = self.workspace.memory.state.theme
        known = remembered in [theme.name for theme in THEMES]
        self.set_reactive(DmrApp.theme, remembered if known else THEMES[0].name)
        self.stylesheet.set_variables(self.get_css_variables())

    def get_driver_class(self) -> type[Driver]:
        """What draws, and notices that the terminal is gone."""
        return attentive(super().get_driver_class())

    def on_mount(self) -> None:
        """Show the first frame, then look for the runner."""
        threads.make_room()
        self.add_mode("models", self.get_default_screen)
        # After ^z and `fg` the terminal is empty, and Textual draws only what changes.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True))
        self.call_after_refresh(self._open)

    async def on_unmount(self) -> None:
        """Leave nothing behind: pulls keep what they have, workers end."""
        await self.workspace.close()

    @work(group="runner", exit_on_error=False)
    async def _open(self) -> None:
        last = self.workspace.memory.state.screen
        if self._goes_on:
            (await self._show_chat()).continue_last()
        elif last in _SCREENS:
            await self._show(last)
        workspace = self.workspace
        await workspace.open()
        workspace.feed.listen(Alarms(self._alert, workspace.clocks.now()).hear)
        await self._serve_again()
        # What is there now stays for good; without it each collection is a few milliseconds.
        gc.collect()
        gc.freeze()
        # Threads read files and headers meanwhile: a key must not wait long for its turn.
        sys.setswitchinterval(_TURN_SECONDS)

    async def _serve_again(self) -> None:
        """Let other programs in if they were let in last time."""
        workspace = self.workspace
        alone = workspace.status is not None and workspace.status.kind == "embedded"
        if alone and workspace.endpoint.was_on:
            try:
                url = await workspace.endpoint.start(workspace.runner)
            except DmrError as error:
                workspace.fail(error)
            else:
                workspace.say(f"Other programs: OPENAI_BASE_URL={openai_base_url(url)}")

    # Screens.

    def get_default_screen(self) -> ShellScreen:
        """The first screen. Not made as a mode: that would read all style sheets again."""
        self._shells["models"] = ModelsScreen(self.workspace)
        return self._shells["models"]

    def _make_screen(self, mode: str) -> ShellScreen:
        # Not imported before it is needed: the first frame comes sooner.
        module = importlib.import_module(f"dmr_tui.screens.{mode}.screen")
        screen: ShellScreen = getattr(module, _SCREENS[mode])(self.workspace)
        self._shells[mode] = screen
        return screen

    def _workspace_changed(self) -> None:
        """Tell the screens, once for all changes of one turn of the loop."""
        if self._told and self.is_running:
            self._told = False
            self.call_next(self._tell_screens)

    def _tell_screens(self) -> None:
        self._told = True
        for screen in self._all_shells():
            if screen.is_mounted:
                screen.workspace_changed()
                screen.refresh_all()

    def _all_shells(self) -> list[ShellScreen]:
        """The screen that is shown, which may lie over that of its mode, and the others."""
        shells = dict.fromkeys([self.screen, *self._shells.values()])
        return [screen for screen in shells if isinstance(screen, ShellScreen)]

    def _alert(self, alert: Alert) -> None:
        """Show a notification over whatever is on the screen."""
        self.notify(
            printable(alert.text),
            title=printable(alert.title),
            severity=alert.severity,
            timeout=_ALERT_SECONDS,
            markup=False,
        )

    async def _show(self, mode: str) -> None:
        if mode != self.current_mode:
            self._previous = self.current_mode
            self.workspace.forget_old_notice()
            await self.switch_mode(mode)
            self.workspace.memory.update(screen=mode)

    async def action_show_models(self) -> None:
        """Go to the models."""
        await self._show("models")

    async def action_show_get(self) -> None:
        """Go to where models are found."""
        await self._show("get")

    async def action_show_monitor(self) -> None:
        """Go to what runs."""
        await self._show("monitor")

    async def action_show_logs(self) -> None:
        """Go to requests and logs."""
        await self._show("logs")

    async def action_show_chat(self) -> None:
        """Go to the chat."""
        await self._show("chat")

    async def action_show_previous(self) -> None:
        """Go to the screen before."""
        if self._previous:
            await self._show(self._previous)

    @on(ShowModels)
    async def _models_wanted(self) -> None:
        await self._show("models")

    @on(OpenRequests)
    async def _requests_wanted(self, event: OpenRequests) -> None:
        await self._show("logs")
        from dmr_tui.screens.logs.screen import LogsScreen

        cast("LogsScreen", self._shells["logs"]).filter_by(event.expression)

    @on(ContinueRequest)
    async def _request_wanted(self, event: ContinueRequest) -> None:
        await self._show("chat")

        cast("ChatScreen", self._shells["chat"]).open_request(event.model, event.request)

    @on(OpenChat)
    async def _chat_wanted(self, event: OpenChat) -> None:
        chat = await self._show_chat()
        if event.anew:
            chat.begin_with(event.model)
        else:
            chat.use_model(event.model)

    async def _show_chat(self) -> ChatScreen:
        """Go to the chat."""
        await self._show("chat")
        return cast("ChatScreen", self._shells["chat"])

    @on(FindModels)
    async def _models_sought(self, event: FindModels) -> None:
        await self._show("get")
        from dmr_tui.screens.get.screen import GetScreen

        cast("GetScreen", self._shells["get"]).find(event.text)

    @on(GetModel)
    async def _model_wanted(self, event: GetModel) -> None:
        try:
            self.workspace.pull(event.name)
        except DmrError as error:
            self.workspace.fail(error)
        await self._show("get")

    # Global actions.

    def action_help(self) -> None:
        """Show what the keys do."""
        from dmr_tui.screens.help import HelpScreen

        if isinstance(self.screen, ShellScreen):
            self.push_screen(HelpScreen(self.screen.MODE, self.screen.hint_scopes()))

    def action_next_theme(self) -> None:
        """Next theme."""
        names = [theme.name for theme in THEMES]
        place = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(place + 1) % len(names)]
        self.workspace.memory.update(theme=self.theme)
        self.workspace.say(f"Theme: {self.theme}.")

    def action_pick_model(self) -> None:
        """Choose the model to chat with."""
        entries = self.workspace.library.entries
        if not entries:
            hint = "There is no model yet: Models suggests some, Get finds more."
            self.workspace.say(hint, "warning")
            return
        commands = [
            (
                f"{'●' if entry.running else '○'} {entry.names}",
                lambda name=entry.name: self.post_message(OpenChat(name)),
                f"{entry.model.config.parameters} {entry.model.config.quantization}".strip(),
            )
            for entry in entries
        ]
        self.search_commands(commands, placeholder="Chat with …")

    def action_endpoint(self) -> None:
        """Show the endpoint's panel."""
        from dmr_tui.screens.endpoint_panel import EndpointPanel

        if isinstance(self.screen, ShellScreen):
            self.push_screen(EndpointPanel(self.workspace))

    @work(group="endpoint", exclusive=True, exit_on_error=False)
    async def action_toggle_endpoint(self) -> None:
        """Let other programs in, or not any more."""
        workspace = self.workspace
        if workspace.endpoint.url:
            await workspace.endpoint.stop()
            workspace.say("The endpoint is off.")
            return
        status = workspace.status
        if status is not None and status.endpoint:
            base = openai_base_url(status.endpoint)
            workspace.say(f"Another dmr serves already: OPENAI_BASE_URL={base}")
            return
        try:
            url = await workspace.endpoint.start(workspace.runner)
        except DmrError as error:
            self.notify(error.hint or "", title=error.message, severity="error", markup=False)
            workspace.say(error.message, "error")
            return
        workspace.say(f"Other programs: OPENAI_BASE_URL={openai_base_url(url)}")

    def action_interrupt(self) -> None:
        """Copy what is selected; else stop the answer; else, the second time, quit."""
        selected = self.screen.get_selected_text()
        # Text inputs keep a selection of their own.
        selected = selected or getattr(self.focused, "selected_text", "")
        if selected:
            self.copy_to_clipboard(selected)
            self.screen.clear_selection()
            self.workspace.say("Copied.")
            return
        if any(shell.interrupt() for shell in self._all_shells()):
            return
        now = self.workspace.clocks.monotonic()
        if now - self._asked_to_quit < _QUIT_SECONDS:
            self.exit_politely()
        else:
            self._asked_to_quit = now
            self.workspace.say("Press ^c again to quit.", "warning")

    async def action_quit(self) -> None:
        """Leave."""
        self.exit_politely()

    def exit_politely(self) -> None:
        """Leave, and say below the shell's prompt what can be gone on with."""
        self.exit(message=farewell(self.workspace.pulls.unfinished) or None)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """See `ShellScreen.on_worker_state_changed`."""
        if event.state is WorkerState.ERROR:
            report(self, event.worker.error)
