"""The frame that every screen stands in: header, body, status bar, keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from dmr_tui.actions import Action, actions, display_key, is_typed
from dmr_tui.errors import DmrError
from dmr_tui.screens.library import short_name
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import short_size, span
from dmr_tui.widgets.header import GAP, Header
from dmr_tui.widgets.keybar import Hint, KeyBar
from dmr_tui.widgets.printable import printable
from dmr_tui.widgets.statusbar import StatusBar

_SAMPLING_SECONDS = 1.0
_LOOK_SECONDS = 2.0
_ALONE = "embedded"
"""What the runner is called that no other program can reach."""
_PULL_NAME = 24
"""Cells for the name of a pull in the header."""
NARROW = 100
"""Columns below which a screen is narrow: the header is terse, panes are stacked."""
_SEVERITY = {"information": "$text-muted", "warning": "$text-warning", "error": "$text-error"}


class ShellScreen(Screen[None]):
    """A screen of its own mode. Its timers rest while another screen is shown."""

    MODE: ClassVar[str]
    """Name of its mode, which is also the scope of its actions."""

    def __init__(self, workspace: Workspace) -> None:
        """A screen on a workspace."""
        super().__init__()
        self.workspace = workspace
        self._clockwork: list[Timer] = []

    def body(self) -> Iterable[Widget]:
        """The widgets between header and status bar."""
        raise NotImplementedError

    def show_workspace(self) -> None:
        """Show what the workspace holds now; called after every change while on screen."""

    def workspace_changed(self) -> None:
        """React to a change, on screen or not."""

    def interrupt(self) -> bool:
        """Stop what is being done for the user; whether there was anything to stop."""
        return False

    def hint(self, action: Action) -> str | None:
        """What an action is called here and now; None while it would do nothing."""
        return action.title

    def clockwork(self) -> list[Timer]:
        """The timers that rest while another screen is shown."""
        return [
            self.set_interval(_SAMPLING_SECONDS, self.sample),
            self.set_interval(_LOOK_SECONDS, self._look),
        ]

    def restart_clockwork(self) -> None:
        """Make the timers anew, at another rate."""
        for timer in self._clockwork:
            timer.stop()
        self._clockwork = self.clockwork()

    def compose(self) -> ComposeResult:
        """The frame around `body`."""
        yield Header(self.MODE)
        yield from self.body()
        yield StatusBar()
        yield KeyBar()

    def on_mount(self) -> None:
        """Begin to look around; the first reading comes after the first frame."""
        self._clockwork = self.clockwork()
        self.refresh_all()

    def on_screen_resume(self) -> None:
        """Show what has happened meanwhile."""
        for timer in self._clockwork:
            timer.resume()
        self.refresh_all()
        self.call_after_refresh(self.sample)

    def on_screen_suspend(self) -> None:
        """Rest."""
        for timer in self._clockwork:
            timer.pause()

    def refresh_all(self) -> None:
        """Show the workspace in the frame and in the body."""
        if not self.is_current:
            return
        notice = self.workspace.notice
        self.query_one(Header).state = self.header_state()
        self.query_one(StatusBar).message = Content.styled(notice.text, _SEVERITY[notice.severity])
        self.show_workspace()
        self.refresh_hints()

    def on_resize(self) -> None:
        """The header says more where there is room."""
        self.refresh_all()

    def refresh_hints(self) -> None:
        """Show the keys that do something now."""
        typing = self.focused is not None and self.focused.check_consume_key("a", "a")
        hints = []
        for action in sorted(actions(*self.hint_scopes(), "app"), key=lambda action: action.rank):
            # A letter would be typed, so it is no key while one writes.
            keys = [key for key in action.keys if not (typing and is_typed(key))]
            title = self.hint(action) if action.rank and keys else None
            if title:
                hints.append(Hint(display_key(keys[0]), title, action.target))
        self.query_one(KeyBar).hints = hints

    def on_descendant_focus(self) -> None:
        """Other keys mean something now."""
        self.refresh_hints()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """What nobody foresaw ends one job, not the program; it is said once."""
        if event.state is WorkerState.ERROR:
            report(self.app, event.worker.error)

    def hint_scopes(self) -> tuple[str, ...]:
        """Whose keys are shown besides those that work everywhere."""
        return (self.MODE,)

    def sample(self) -> None:
        """Look at the machine, for the gauges."""
        self._sample()

    @work(group="sample", exclusive=True, exit_on_error=False)
    async def _sample(self) -> None:
        reading = await self.workspace.sample()
        self.query_one(StatusBar).reading = reading

    @work(group="look", exclusive=True, exit_on_error=False)
    async def _look(self) -> None:
        await self.workspace.look()

    def header_state(self) -> Content:
        """Runner, endpoint, pulls and loaded models, as the header shows them."""
        workspace = self.workspace
        if workspace.failure is not None:
            return Content.styled("× no runner", "$text-error")
        if workspace.status is None:
            return Content.styled("◐ starting", "$text-warning")
        if workspace.lost_at is not None:
            seconds = workspace.clocks.monotonic() - workspace.lost_at
            retrying = "" if self._is_narrow else ", retrying"
            return Content.styled(f"× disconnected {span(seconds)} ago{retrying}", "$text-error")
        pulls, runner, loaded = self._pulls(), self._runner(), self._loaded()
        # That nothing is served is the least of it where there is much to tell.
        parts = [*pulls, *([] if pulls and runner.plain == _ALONE else [runner]), *loaded]
        gap = GAP if self._is_narrow else f" {GAP} "
        return Content.styled(gap, "$text-disabled").join(parts)

    @property
    def _is_narrow(self) -> bool:
        return self.app.size.width < NARROW

    def _pulls(self) -> list[Content]:
        active = self.workspace.pulls.active
        if not active:
            return []
        more = f" +{len(active) - 1}" if len(active) > 1 else ""
        pull = active[0]
        crowded = self._is_narrow and self.workspace.library.running
        name = "" if crowded else f"{printable(short_name(pull.name, _PULL_NAME))} "
        return [Content.styled(f"↓ {name}{pull.fraction:.0%}{more}", "$text-primary")]

    def _runner(self) -> Content:
        workspace = self.workspace
        if isinstance(workspace.library.failure, DmrError):
            return Content.styled("× disconnected", "$text-error")
        assert workspace.status is not None
        address = workspace.endpoint.url or workspace.status.endpoint
        shown = _short(address, narrow=self._is_narrow)
        if workspace.status.kind == "embedded":
            shown = f"{'on' if self._is_narrow else 'serving'} {shown}" if address else _ALONE
        return Content.styled(shown, "$text-success" if address else "$text-muted")

    def _loaded(self) -> list[Content]:
        library = self.workspace.library
        workers = library.running
        if not workers:
            return [Content.styled("○ no model", "$text-muted")]
        first = workers[0]
        entry = next((each for each in library.entries if each.running == first), None)
        name = entry.name if entry else first.name
        glyph = "●" if first.state == "ready" else "◐"
        more = f" +{len(workers) - 1}" if len(workers) > 1 else ""
        memory = sum(worker.memory for worker in workers)
        shown = Content.styled(f"{glyph} ", "$text-success") + Content(name + more)
        if memory:
            shown += Content.styled(f" {short_size(memory)}", "$text-muted")
        return [shown]


def report(app: App[None], error: BaseException | None) -> None:
    """Tell the user of a failure that no code expected."""
    app.notify(
        printable(f"{type(error).__name__}: {error}"),
        title="Something unexpected went wrong",
        severity="error",
        markup=False,
    )


def _short(url: str, *, narrow: bool) -> str:
    bare = url.removeprefix("http://").removeprefix("https://").rstrip("/")
    # The port says enough of this machine's own address.
    return bare.removeprefix("127.0.0.1") if narrow else bare
