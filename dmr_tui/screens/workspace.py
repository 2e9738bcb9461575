"""What all screens share: the runner, its models, the pulls, the endpoint, the last message."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from dmr_tui.errors import DmrError, UnavailableError
from dmr_tui.paths import Paths
from dmr_tui.screens.endpoint import EndpointSwitch
from dmr_tui.screens.feed import Feed
from dmr_tui.screens.library import Library, familiar_name
from dmr_tui.screens.pulls import Pull, Pulls
from dmr_tui.screens.remembered import Memory
from dmr_tui.settings import Settings
from dmr_tui.widgets.figures import long_size
from dmr_tui.widgets.printable import printable

if TYPE_CHECKING:
    from dmr_tui.chat.sessions import Sessions
    from dmr_tui.runner.base import Runner, RunnerStatus
    from dmr_tui.system.sampler import Machine, Reading

Severity = Literal["information", "warning", "error"]
OpenRunner = Callable[[], Awaitable["Runner"]]


class Meter(Protocol):
    """What looks at the machine; called in a thread. See `system.sampler.Sampler`."""

    def read(self) -> Reading:
        """How busy it is."""
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
class Notice:
    """The last result, as the status bar shows it."""

    text: str = ""
    severity: Severity = "information"


class Workspace:
    """Plain state with one owner, the app. Screens read it and are told when it has changed."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        *,
        changed: Callable[[], None],
        open_runner: OpenRunner | None = None,
        meter: Meter | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        """A workspace without a runner yet.

        Args:
            settings: the user's.
            paths: the user's.
            changed: called when anything here has become different.
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
        self.endpoint = EndpointSwitch(settings, paths, self.memory)
        self.feed = Feed()
        self.status: RunnerStatus | None = None
        """Who answers; None while that is being found out."""
        self.failure: DmrError | None = None
        """Why there is no runner."""
        self.notice = Notice()
        self._changed = changed
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
        self.notice = Notice(printable(text), severity)
        self._changed()

    def fail(self, error: DmrError) -> None:
        """Put a failure and its remedy into the status bar."""
        self.say(f"{error.message}  {error.hint}" if error.hint else error.message, "error")

    async def open(self) -> None:
        """Find or make the runner, in place of one that is gone, and read its models.

        A failure is kept in `failure`.
        """
        self.failure = None
        self._changed()
        if self._runner is not None:
            await self.feed.close()
            await self._runner.close()
            self._runner = self.status = None
        try:
            runner = await self._open_runner()
        except DmrError as error:
            self.failure = error
            self._changed()
            return
        try:
            self.status = await runner.status()
        except DmrError as error:
            await runner.close()
            self.failure = error
        else:
            self._runner = runner
            await self.feed.follow(runner)
            await self.library.refresh(runner)
            await self._restore_pulls(runner)
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
            kept = f"; {long_size(pull.done)} are kept, p goes on" if pull.done else ""
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

    async def sample(self) -> Reading:
        """How busy the machine is now."""
        meter = await self._opened_meter()
        return await asyncio.to_thread(meter.read)

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
