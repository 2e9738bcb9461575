"""Pulls under way: started on one screen, seen on all, alive when a screen is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from dmr_tui.errors import DmrError

if TYPE_CHECKING:
    from dmr_tui.runner.base import Runner
    from dmr_tui.store.transfer.progress import TransferProgress

PullState = Literal["running", "done", "cancelled", "failed"]
_INTERVAL = 0.2
_SMOOTHING = 0.3


@dataclass
class Pull:
    """One pull.

    Attributes:
        name: of the model, as it was typed.
        state: how it stands.
        total: bytes of the whole model; 0 until the registry has said it.
        layers: size and bytes so far of each layer, by its digest.
        rate: bytes per second, smoothed; 0 until it can be told.
        message: what the runner said last.
        failure: why it failed.
    """

    name: str
    state: PullState = "running"
    total: int = 0
    layers: dict[str, tuple[int, int]] = field(default_factory=dict)
    rate: float = 0.0
    message: str = ""
    failure: DmrError | None = None
    _measured: tuple[float, int] | None = None

    @property
    def done(self) -> int:
        """Bytes that are here."""
        return sum(current for _, current in self.layers.values())

    @property
    def fraction(self) -> float:
        """0 to 1; 0 while the size is unknown."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @property
    def arrived(self) -> bool:
        """Whether the model is there."""
        return self.state == "done"

    @property
    def seconds_left(self) -> float | None:
        """Time until all layers are here, at the present rate."""
        return (self.total - self.done) / self.rate if self.rate and self.total else None

    def note(self, line: TransferProgress, now: float) -> None:
        """Take one line of the runner's stream."""
        self.message = line.message
        self.total = max(self.total, line.total)
        if line.layer.id:
            self.layers[line.layer.id] = (line.layer.size, line.layer.current)
        self._measure(now)

    def _measure(self, now: float) -> None:
        if self._measured is None:
            # What was there already when the pull began does not count as speed.
            self._measured = (now, self.done)
            return
        before, bytes_before = self._measured
        if now - before >= 1.0:
            rate = max(self.done - bytes_before, 0) / (now - before)
            self.rate = rate if not self.rate else self.rate + _SMOOTHING * (rate - self.rate)
            self._measured = (now, self.done)


class Pulls:
    """All pulls of this program, the newest last."""

    def __init__(
        self, changed: Callable[[], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """None yet.

        Args:
            changed: called when a pull starts, ends, and several times a second while it runs.
            clock: seconds, for speeds.
        """
        self._changed = changed
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.all: list[Pull] = []

    @property
    def active(self) -> list[Pull]:
        """Those that are running."""
        return [pull for pull in self.all if pull.state == "running"]

    def find(self, name: str) -> Pull | None:
        """The running pull of a model."""
        return next((pull for pull in self.active if pull.name == name), None)

    def start(self, runner: Runner, name: str) -> Pull:
        """Pull a model; a pull of the same name that runs already is given back."""
        running = self.find(name)
        if running is not None:
            return running
        pull = Pull(name)
        self.all = [old for old in self.all if old.name != name]
        self.all.append(pull)
        self._tasks[name] = asyncio.create_task(self._run(runner, pull), name=f"pull {name}")
        self._changed()
        return pull

    def cancel(self, pull: Pull) -> None:
        """Stop a pull; what has come of it is kept, and the next pull goes on from there."""
        if task := self._tasks.get(pull.name):
            task.cancel()

    async def wait(self, pull: Pull) -> None:
        """Until a pull has ended, one way or another."""
        if task := self._tasks.get(pull.name):
            await asyncio.wait({task})

    async def close(self) -> None:
        """Stop all pulls and wait until nothing is written any more."""
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, runner: Runner, pull: Pull) -> None:
        told: float | None = None
        try:
            async with aclosing(runner.pull(pull.name)) as lines:
                async for line in lines:
                    now = self._clock()
                    pull.note(line, now)
                    if told is None or now - told >= _INTERVAL:
                        told = now
                        self._changed()
            pull.state = "done"
        except DmrError as error:
            pull.failure, pull.state = error, "failed"
        except asyncio.CancelledError:
            pull.state = "cancelled"
        finally:
            self._changed()
