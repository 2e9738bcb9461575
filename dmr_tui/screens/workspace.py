"""What all screens share: the runner, its models, the pulls, the endpoint, the last message."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from dmr_tui.errors import DmrError, UnavailableError
from dmr_tui.paths import Paths
from dmr_tui.screens.endpoint import EndpointSwitch
from dmr_tui.screens.feed import Feed
from dmr_tui.screens.history import History
from dmr_tui.screens.library import Library, familiar_name
from dmr_tui.screens.pulls import Pull, Pulls
from dmr_tui.screens.remembered import Memory
from dmr_tui.screens.tasks import Tasks
from dmr_tui.settings import Settings
from dmr_tui.widgets.figures import long_size
from dmr_tui.widgets.printable import printable

if TYPE_CHECKING:
    from dmr_tui.chat.sessions import Sessions
    from dmr_tui.runner.base import Runner, RunnerStatus
    from dmr_tui.system.sampler import Machine, Reading

_NOTICE_SECONDS = 5.0
"""So long a result is said on every screen; later only where it was said."""
_LOOKS = 5
"""One look of so many reads the stored models too: other programs may get and remove some."""

Severity = Literal["information", "warning", "error"]
OpenRunner = Callable[[], Awaitable["Runner"]]


class Meter(Protocol):
    """What looks at the machine; called in a thread. See `system.sampler.Sampler`."""

    def read(self, *, closely: bool = False) -> Reading:
        """How busy it is; `closely`: with all that the GPUs' drivers tell."""
        ...

    def machine(self, folder: Path) -> Machine:
        """What it has."""
        ...


@dataclass(frozen=True)
class Clocks:
    """Where the screens have the time from.

    Attributes:
        monotonic: seconds, for speeds and spans.
        now: Unix time, for the time of day and for ages.
    """

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time


@dataclass(frozen=True)
class Alert:
    """What a person has to know on whichever screen they are, and what to do about it."""

    title: str
    text: str
    severity: Severity = "information"


@dataclass(frozen=True)
class Notice:
    """The last result, as the status bar shows it."""

    text: str = ""
    severity: Severity = "information"
    since: float = 0.0
    """By the clock that measures spans."""
    deed: str = ""
    """What it asks whether to do; empty: it is no question."""
    names: tuple[str, ...] = ()
    """What the deed would be done to."""


class Workspace:
    """Plain state with one owner, the app. Screens read it and are told when it has changed."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        *,
        changed: Callable[[], None],
        alert: Callable[[Alert], None] = lambda alert: None,
        open_runner: OpenRunner | None = None,
        meter: Meter | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        """A workspace without a runner yet.

        Args:
            settings: the user's.
            paths: the user's.
            changed: called when anything here has become different.
            alert: called with what should be seen wherever one is.
            open_runner: finds or makes the runner; by default `runner.contexts.open_runner`.
            meter: looks at the machine.
            clocks: where the time is from.
        """
        self.settings = settings
        self.paths = paths
        self.clocks = clocks or Clocks()
        self.memory = Memory(paths.screen_state)
        self.library = Library(changed)
        self.pulls = Pulls(
            changed,
            clock=lambda: self.clocks.monotonic(),
            now=lambda: self.clocks.now(),
            at_once=settings.pulls_at_once,
            ended=self._pull_ended,
            troubled=self.fail,
        )
        self.tasks = Tasks(changed)
        self.endpoint = EndpointSwitch(settings, paths, self.memory)
        self.feed = Feed()
        self.history = History()
        """What was read of the machine and of the models in memory."""
        self.reading: Reading | None = None
        """The machine when it was last looked at."""
        self.lost_at: float | None = None
        """When the runner stopped to answer, by the clock that measures spans; None: it answers."""
        self.status: RunnerStatus | None = None
        """Who answers; None while that is being found out."""
        self.failure: DmrError | None = None
        """Why there is no runner."""
        self.notice = Notice()
        self._changed = changed
        self._alert = alert
        self._opening = False
        self._looks = 0
        self._open_runner = open_runner or self._default_runner
        self._runner: Runner | None = None
        self._sessions: Sessions | None = None
        self._meter = meter

    @property
    def runner(self) -> Runner:
        """Where the models run.

        Raises:
            UnavailableError: there is none (yet).
        """
        if self._runner is None:
            if self.failure is not None:
                raise self.failure
            raise UnavailableError("the runner is still starting", "try again in a moment")
        return self._runner

    @property
    def ready(self) -> bool:
        """Whether there is a runner."""
        return self._runner is not None

    @property
    def sessions(self) -> Sessions:
        """The saved chats; nothing is read before they are asked for."""
        if self._sessions is None:
            from dmr_tui.chat.sessions import Sessions  # not before the first frame

            self._sessions = Sessions(self.paths.chats)
        return self._sessions

    def say(self, text: str, severity: Severity = "information") -> None:
        """Put a result, a question or a failure into the status bar."""
        self.notice = Notice(printable(text), severity, self.clocks.monotonic())
        self._changed()

    def confirmed(self, deed: str, names: Iterable[str], question: str) -> bool:
        """Ask in the status bar; the same once more, while it still asks that, is the answer."""
        about = deed, tuple(names)
        if (self.notice.deed, self.notice.names) == about:
            self.say("")
            return True
        self.notice = Notice(printable(question), "warning", self.clocks.monotonic(), *about)
        self._changed()
        return False

    def forget_old_notice(self) -> None:
        """Say no more what was said a while ago: what is shown now is not what it was about.

        A question goes at once: its keys are those of the screen that is left.
        """
        old = self.clocks.monotonic() - self.notice.since > _NOTICE_SECONDS
        if old or self.notice.deed:
            self.notice = Notice()
            self._changed()

    def fail(self, error: DmrError) -> None:
        """Put a failure and its remedy into the status bar."""
        self.say(f"{error.message}  {error.hint}" if error.hint else error.message, "error")

    async def open(self) -> None:
        """Find or make the runner, in place of one that is gone, and read its models.

        A failure is kept in `failure`.
        """
        self.failure = self.lost_at = None
        self._changed()
        if self._runner is not None:
            await self.feed.close()
            await self._runner.close()
            self._runner = self.status = None
        await self._try_to_find_runner()
        self._changed()

    async def _try_to_find_runner(self) -> None:
        self._opening = True
        try:
            await self._find_runner()
        except DmrError as error:
            self.failure = error
        finally:
            self._opening = False

    async def _find_runner(self) -> None:
        runner = await self._open_runner()
        try:
            self.status = await runner.status()
        except DmrError:
            await runner.close()
            raise
        self._runner, self.failure = runner, None
        await self.feed.follow(runner)
        await self.library.refresh(runner)
        await self._restore_pulls(runner)

    async def look(self) -> None:
        """See which models are in memory, and whether the runner answers; try again if not.

        Once in a while also which are stored: they may come and go without us. A runner that is
        back is as good as before; that it was away is told once, and its return.
        """
        if self._opening:
            return
        if self._runner is None:
            await self._look_for_runner()
            return
        self._looks = (self._looks + 1) % _LOOKS
        if self._looks:
            await self.library.refresh_running(self._runner)
        else:
            await self.library.refresh(self._runner)
        failure = self.library.failure
        if failure is None:
            self.history.note_running(self.clocks.monotonic(), self.library.running)
        if failure is not None and self.lost_at is None:
            self.lost_at = self.clocks.monotonic()
            text = "What you see is from before; the connection is tried again and again."
            self._alert(Alert(failure.message, text, "error"))
        elif failure is None and self.lost_at is not None:
            self.lost_at = None
            if self.notice.severity == "error":
                self.notice = Notice()  # What could not be done then can be now.
            await self.library.refresh(self._runner)
            self._alert(Alert("The runner is back", "Everything can be used again."))
        if self.lost_at is not None:
            self._changed()

    async def _look_for_runner(self) -> None:
        """Where nobody answered at the start, somebody may by now."""
        if not isinstance(self.failure, UnavailableError):
            return
        await self._try_to_find_runner()
        if self._runner is not None:
            self._changed()

    async def _restore_pulls(self, runner: Runner) -> None:
        from dmr_tui.runner.unfinished import UnfinishedPulls  # not before the first frame

        await self.pulls.restore(runner, UnfinishedPulls(self.paths.pulls))

    def pull(self, name: str) -> Pull:
        """Have a model fetched when it is its turn; the status bar tells how that ends.

        Raises:
            UnavailableError: there is no runner.
        """
        pull = self.pulls.start(self.runner, familiar_name(name), name)
        turn = "Getting" if pull.state == "running" else "In line:"
        self.say(f"{turn} {pull.name} …")
        return pull

    async def _pull_ended(self, pull: Pull) -> None:
        if pull.failure is not None:
            self.fail(pull.failure)
        elif pull.state == "cancelled":
            kept = f"; {long_size(pull.done)} are kept; a new pull goes on" if pull.done else ""
            self.say(f"Cancelled {pull.name}{kept}.")
        elif self._runner is not None:
            await self.library.refresh(self._runner)
            self.say(f"{pull.name} is here.")

    async def close(self) -> None:
        """Stop pulls, endpoint and runner, in this order, and finish saving."""
        await self.pulls.close()
        await self.feed.close()
        await self.endpoint.close()
        if self._runner is not None:
            await self._runner.close()
        if self._sessions is not None:
            await self._sessions.close()

    async def sample(self, *, closely: bool = False) -> Reading:
        """How busy the machine is now; see `Meter.read`."""
        meter = await self._opened_meter()
        self.reading = await asyncio.to_thread(meter.read, closely=closely)
        self.history.note(self.clocks.monotonic(), self.reading)
        return self.reading

    async def machine(self) -> Machine:
        """What the machine has for models."""
        meter = await self._opened_meter()
        return await asyncio.to_thread(meter.machine, self.paths.models)

    async def _opened_meter(self) -> Meter:
        if self._meter is None:
            module = await asyncio.to_thread(importlib.import_module, "dmr_tui.system.sampler")
            meter: Meter = await asyncio.to_thread(module.Sampler)
            self._meter = meter
        return self._meter

    async def _default_runner(self) -> Runner:
        # In a thread, so that the screen stays alive while the modules are read.
        for name in ("dmr_tui.runner.contexts", "dmr_tui.runner.local"):
            await asyncio.to_thread(importlib.import_module, name)
        from dmr_tui.runner.contexts import open_runner

        return await open_runner(self.settings, self.paths, client="tui")
