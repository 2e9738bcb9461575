"""One model's place in memory: its worker, who uses it, and how long it stays."""

from __future__ import annotations

import asyncio
import copy
import math
import time
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any

import msgspec

from dmr_tui.engine.backend import Backend
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.plan import Verdict
from dmr_tui.engine.profile import Profile, RunningModel
from dmr_tui.engine.questions import ReleaseQuestion
from dmr_tui.engine.worker import BACKEND
from dmr_tui.errors import DmrError, UnavailableError

_PATIENCE = 2.0
"""Seconds that a worker has to give memory back."""


class Slot:
    """A worker and the requests that need it.

    The load is a task of its own: whoever waits for it may leave, it goes on.
    """

    def __init__(self, files: ModelFiles, worker: Backend, keep_alive: float) -> None:
        self.files = files
        self.worker = worker
        self.wish = worker.load
        """How it was asked to be loaded; the worker's own is what there was memory for."""
        self.keep_alive = keep_alive
        """Seconds to stay without a request; negative: for ever."""
        self.users = 0
        """Requests that are answered or wait."""
        self.leaving = False
        """Set by the manager that has taken it out of use."""
        self.verdict: Verdict | None = None
        """What it was loaded with, as far as the memory was planned."""
        self.idle_since = -math.inf
        """When its last answer ended, by a clock that nobody sets; before all if there was none."""
        self._last_used: float | None = None
        """The same as Unix time."""
        self._fraction = 0.0
        self._moved = asyncio.Event()
        self._loading: asyncio.Task[None] | None = None

    def load(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin to load; `work` ends when the worker is ready, or with the reason why not."""
        self._loading = asyncio.create_task(work)
        self._loading.add_done_callback(self._loaded)

    def report(self, fraction: float) -> None:
        """Note how far the load is."""
        self._fraction = fraction
        self._move()

    @property
    def ready(self) -> bool:
        """The worker can be asked."""
        return self.worker.facts is not None and not self.worker.ended.is_set()

    @property
    def dead(self) -> bool:
        """The worker is gone, or never came up."""
        done = self._loading is not None and self._loading.done()
        return self.worker.ended.is_set() or (done and not self.ready)

    def suits(self, profile: Profile) -> bool:
        """Whether what a profile asks for is what is loaded; what it leaves open suits."""
        load, facts, shift = self.wish, self.worker.facts, profile.context_shift
        contexts = {None, load.profile_context}
        if facts is not None:
            contexts.add(facts.context_size)
        return (
            profile.context_size in contexts
            and profile.threads in (None, load.threads)
            and profile.gpu_layers in (None, load.gpu_layers)
            and profile.backend in (None, self.worker.name)
            # The built-in engine shifts for one request and not for another.
            and (self.worker.name == BACKEND or shift in (None, load.context_shift))
        )

    def note_mode(self, mode: str) -> None:
        """Say what the model is for, as far as its header tells."""
        self.wish = self.worker.load = msgspec.structs.replace(self.wish, mode=mode)

    def follow(self, verdict: Verdict) -> None:
        """Load as planned; what was forced is loaded as wished."""
        self.verdict = verdict
        if verdict.fits:
            planned = msgspec.structs.replace(self.wish, most_context=verdict.context)
            if verdict.memory.device:
                planned = msgspec.structs.replace(planned, gpu_layers=verdict.gpu_layers)
            self.worker.load = planned

    @contextmanager
    def used(self) -> Iterator[None]:
        """Count a request while it lasts."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1
            self._last_used, self.idle_since = time.time(), time.monotonic()

    async def progress(self) -> AsyncGenerator[float, None]:
        """The share of the load that is done, each time it moves; ends when the model is ready.

        Raises:
            DmrError: the load failed, or was called off.
        """
        while self._loading is not None and not self._loading.done():
            moved = self._moved
            yield self._fraction
            await moved.wait()
        if self._loading is None or self._loading.cancelled():
            raise UnavailableError(f"{self.files.name} was unloaded while it was loading")
        error = self._loading.exception()
        if error is not None:
            # Several may wait: one error that is raised twice gathers the traces of both.
            raise copy.copy(error)

    async def wait_ready(self) -> None:
        """Wait for the load's end.

        Raises:
            DmrError: the load failed, or was called off.
        """
        async with aclosing(self.progress()) as fractions:
            async for _ in fractions:
                pass

    async def release(self) -> None:
        """Have the worker give back what only saves time; waits for that, but not for long."""
        if self.worker.name != BACKEND:
            return
        with suppress(DmrError, TimeoutError):  # a model may have no such, or its worker hang
            async with asyncio.timeout(_PATIENCE):
                await self.worker.ask(ReleaseQuestion())

    async def stop(self) -> None:
        """Call the load off if it still runs, and end the worker."""
        if self._loading is not None and not self._loading.done():
            self._loading.cancel()
            await asyncio.wait({self._loading})
        await self.worker.stop()

    def describe(self) -> RunningModel:
        """The line of `ps`."""
        facts, plan = self.worker.facts, self.verdict
        state = "unloading" if self.leaving else "loading" if facts is None else "ready"
        return RunningModel(
            id=self.files.id,
            name=self.files.name,
            backend=self.worker.name,
            mode="completion" if facts is None else facts.mode,
            state=state,
            in_use=self.users,
            keep_alive=self.keep_alive,
            last_used=None if self.users else self._last_used,
            context_size=0 if facts is None else facts.context_size,
            memory=self.worker.memory,
            gpu_layers=0 if facts is None else facts.gpu_layers,
            pid=self.worker.pid,
            layers=0 if facts is None else facts.layers,
            slots=0 if facts is None else facts.slots,
            planned=0 if plan is None or not plan.fits else plan.host.total + plan.device.total,
            progress=self._fraction if state == "loading" else None,
            stats=self.worker.stats,
        )

    def _loaded(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            # Looked at here, so that asyncio does not complain when everybody has left.
            task.exception()
        self._move()

    def _move(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
