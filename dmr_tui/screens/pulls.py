"""The queue of pulls: filled on one screen, seen on all, alive when a screen is left.

It also survives the program: what has not ended is written down, and goes on at the next start.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from dmr_tui.errors import DmrError

if TYPE_CHECKING:
    from dmr_tui.runner.base import Runner
    from dmr_tui.runner.unfinished import Unfinished, UnfinishedPulls
    from dmr_tui.store.transfer.meter import Meter
    from dmr_tui.store.transfer.progress import TransferProgress

PullState = Literal["queued", "running", "paused", "done", "cancelled", "failed"]
Halt = Literal["queued", "paused", "cancelled"]
"""What becomes of a pull that is broken off."""

_INTERVAL = 0.2
_SPEEDS = 24
_UNFINISHED = ("queued", "running", "paused")


@dataclass(eq=False)
class Pull:
    """One pull.

    Attributes:
        name: of the model, the shortest that means it.
        source: the name as the runner is to be asked for it.
        state: how it stands.
        total: bytes of the whole model; 0 until the registry has said it.
        layers: size and bytes so far of each layer, by its digest.
        message: what the runner said last.
        failure: why it failed.
        speeds: bytes per second of the last seconds, one each, the newest last.
        ended: Unix time at which it was done, was cancelled or failed.
    """

    name: str
    source: str = ""
    state: PullState = "queued"
    total: int = 0
    layers: dict[str, tuple[int, int]] = field(default_factory=dict)
    message: str = ""
    failure: DmrError | None = None
    speeds: deque[float] = field(default_factory=lambda: deque(maxlen=_SPEEDS))
    ended: float | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    _meter: Meter | None = None
    _measured: tuple[float, int] | None = None

    @property
    def unfinished(self) -> bool:
        """Whether it runs, waits or is halted."""
        return self.state in _UNFINISHED

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
    def rate(self) -> float:
        """Bytes per second; 0 until it can be told."""
        return self._meter.speed if self._meter else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time until all layers are here, at the present rate."""
        return max(self.total - self.done, 0) / self.rate if self.rate and self.total else None

    def measure(self, meter: Meter | None) -> None:
        """Begin to measure the speed, or end it."""
        self._meter, self._measured = meter, None
        self.speeds.clear()

    def note(self, line: TransferProgress, now: float) -> bool:
        """Take one line of the runner's stream; whether it tells of a new layer."""
        self.message = line.message
        self.total = max(self.total, line.total)
        layer = line.layer
        new = bool(layer.id) and layer.id not in self.layers
        if layer.id:
            self.layers[layer.id] = (layer.size, layer.current)
        if self._meter is not None:
            if layer.id and layer.id not in self._meter.layers and self._measured is not None:
                # What a layer begins with was there.
                self._measured = (self._measured[0], self._measured[1] + layer.current)
            self._meter.note(line, now)
            self._sample(self._meter.done, now)
        return new

    def _sample(self, done: int, now: float) -> None:
        if self._measured is None:
            self._measured = (now, done)
        elif now - self._measured[0] >= 1.0:
            before, bytes_before = self._measured
            self.speeds.append(max(done - bytes_before, 0) / (now - before))
            self._measured = (now, done)


async def _nothing(pull: Pull) -> None:
    """Do nothing about a pull that has ended."""


def _silent(error: DmrError) -> None:
    """Do nothing about a list that cannot be kept."""


class Pulls:
    """All pulls of this program. The unfinished ones are in the order in which they are to run."""

    def __init__(
        self,
        changed: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        at_once: int = 2,
        ended: Callable[[Pull], Awaitable[None]] = _nothing,
        troubled: Callable[[DmrError], None] = _silent,
    ) -> None:
        """None yet.

        Args:
            changed: called when a pull starts, ends, and several times a second while it runs.
            clock: seconds, for speeds.
            now: Unix time, for when a pull has ended.
            at_once: how many run at the same time; the others wait for their turn.
            ended: called with each pull that is done, cancelled or failed.
            troubled: told when the list of unfinished pulls cannot be read or written.
        """
        self._changed = changed
        self._clock = clock
        self._now = now
        self._at_once = max(at_once, 1)
        self._ended = ended
        self._troubled = troubled
        self._runner: Runner | None = None
        self._tasks: dict[Pull, asyncio.Task[None]] = {}
        self._halts: dict[Pull, Halt] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._list: UnfinishedPulls | None = None
        self._writing: asyncio.Task[None] | None = None
        self._unwritten = False
        self.all: list[Pull] = []

    @property
    def active(self) -> list[Pull]:
        """Those that run or wait for their turn."""
        return [pull for pull in self.all if pull.state in ("running", "queued")]

    @property
    def unfinished(self) -> list[Pull]:
        """Those that run, wait or are halted."""
        return [pull for pull in self.all if pull.unfinished]

    @property
    def finished(self) -> list[Pull]:
        """Those that are done, cancelled or failed, the newest first."""
        return [pull for pull in reversed(self.all) if not pull.unfinished]

    def find(self, name: str) -> Pull | None:
        """The unfinished pull of a model."""
        return next((pull for pull in self.unfinished if pull.name == name), None)

    def without_result(self, name: str) -> Pull | None:
        """The last pull of a model if it has failed or was cancelled."""
        last = next((pull for pull in self.finished if pull.name == name), None)
        return None if last is None or last.arrived else last

    # What a person does.

    def start(self, runner: Runner, name: str, source: str = "") -> Pull:
        """Pull a model as soon as it is its turn.

        A pull of the same name that has not ended is given back, and goes on if it was halted.

        Args:
            runner: does it.
            name: the model's shortest name.
            source: the name that the runner is asked for, where that is spelled otherwise.
        """
        self._runner = runner
        pull = self.find(name)
        if pull is None:
            pull = Pull(name, source or name)
            self.all = [old for old in self.all if old.name != name]
            self.all.append(pull)
        elif pull.state == "paused":
            pull.state = "queued"
        self._go_on()
        return pull

    def pause(self, pull: Pull) -> None:
        """Halt a pull; what has come is kept."""
        if pull.state in ("running", "queued"):
            self._halt(pull, "paused")

    def resume(self, pull: Pull) -> None:
        """Let a halted pull go on when it is its turn."""
        if pull.state == "paused":
            pull.state = "queued"
            self._go_on()

    def cancel(self, pull: Pull) -> None:
        """Stop a pull; what has come of it is kept, and the next pull goes on from there."""
        if pull.unfinished:
            self._halt(pull, "cancelled")

    def forget(self, pull: Pull) -> None:
        """Take a pull that has ended off the list."""
        if not pull.unfinished:
            self.all.remove(pull)
            self._changed()

    def move(self, pull: Pull, step: int) -> None:
        """Move an unfinished pull towards the front (-1) or the end (1) of the queue."""
        queue = self.unfinished
        place = queue.index(pull) + step if pull in queue else -1
        if 0 <= place < len(queue):
            here, there = self.all.index(pull), self.all.index(queue[place])
            self.all[here], self.all[there] = self.all[there], self.all[here]
            self._go_on()

    async def wait(self, pull: Pull) -> None:
        """Until a pull has ended, one way or another."""
        await pull.over.wait()

    # The program's begin and end.

    async def restore(self, runner: Runner, kept: UnfinishedPulls) -> None:
        """Go on with what an earlier program left, unless a program that still runs has it."""
        self._runner = runner
        if self._list is None:
            try:
                if not await asyncio.to_thread(kept.own):
                    return
                self._list = kept
                left = await asyncio.to_thread(kept.read)
            except DmrError as error:
                self._troubled(error)
                return
            known = {pull.name for pull in self.all}
            self.all[:0] = [_restored(each) for each in left if each.name not in known]
        self._go_on()

    async def close(self) -> None:
        """Stop all pulls and wait until nothing is written any more; they are kept."""
        self._runner = None
        running = list(self._tasks.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        if self._telling:
            await asyncio.wait(self._telling)
        self._keep()
        if self._writing is not None:
            await self._writing
        if self._list is not None:
            self._list.disown()

    # The queue at work.

    def _go_on(self) -> None:
        """Start what may run now, and tell of the change."""
        free = self._at_once - len(self._tasks)
        waiting = [pull for pull in self.all if pull.state == "queued"]
        if self._runner is not None:
            for pull in waiting[: max(free, 0)]:
                self._begin(self._runner, pull)
        self._keep()
        self._changed()

    def _begin(self, runner: Runner, pull: Pull) -> None:
        from dmr_tui.store.transfer.meter import Meter  # not before the first frame

        pull.state = "running"
        pull.measure(Meter())
        task = asyncio.create_task(self._follow(runner, pull), name=f"pull {pull.name}")
        self._tasks[pull] = task
        task.add_done_callback(partial(self._settle, pull))

    async def _follow(self, runner: Runner, pull: Pull) -> None:
        told: float | None = None
        async with aclosing(runner.pull(pull.source)) as lines:
            async for line in lines:
                now = self._clock()
                new = pull.note(line, now)
                if new:
                    self._keep()
                if new or told is None or now - told >= _INTERVAL:
                    told = now
                    self._changed()

    def _halt(self, pull: Pull, how: Halt) -> None:
        if pull in self._tasks:
            # It changes its state when nothing of it is written any more.
            self._halts[pull] = how
            self._tasks[pull].cancel()
        else:
            self._conclude(pull, how)

    def _settle(self, pull: Pull, task: asyncio.Task[None]) -> None:
        """A pull's task has ended: give the pull the state that this means."""
        del self._tasks[pull]
        pull.measure(None)
        halt = self._halts.pop(pull, "queued")
        if task.cancelled():
            self._conclude(pull, halt)
        elif (error := task.exception()) is None:
            self._conclude(pull, "done")
        else:
            pull.failure = (
                error
                if isinstance(error, DmrError)
                else DmrError(f"{type(error).__name__}: {error}")
            )
            self._conclude(pull, "failed")

    def _conclude(self, pull: Pull, state: PullState) -> None:
        """Give a pull its state, let the next one run, and tell of the end if this is one."""
        pull.state = state
        if not pull.unfinished:
            pull.ended = self._now()
            telling = asyncio.create_task(self._tell(pull), name=f"end of pull {pull.name}")
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)
        self._go_on()

    async def _tell(self, pull: Pull) -> None:
        try:
            await self._ended(pull)
        finally:
            pull.over.set()

    # What is written down.

    def _keep(self) -> None:
        """Write the unfinished pulls down, soon and in a thread."""
        self._unwritten = self._list is not None
        if self._unwritten and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write(), name="write the pulls")

    async def _write(self) -> None:
        while self._unwritten and self._list is not None:
            self._unwritten = False
            try:
                await asyncio.to_thread(self._list.write, _to_keep(self.unfinished))
            except DmrError as error:
                self._troubled(error)


def _restored(left: Unfinished) -> Pull:
    state: PullState = "paused" if left.paused else "queued"
    return Pull(left.name, left.source or left.name, state, left.total, dict(left.layers))


def _to_keep(pulls: list[Pull]) -> list[Unfinished]:
    from dmr_tui.runner.unfinished import Unfinished  # not before the first frame

    return [
        Unfinished(
            name=pull.name,
            source=pull.source if pull.source != pull.name else "",
            paused=pull.state == "paused",
            total=pull.total,
            layers=dict(pull.layers),
        )
        for pull in pulls
    ]
