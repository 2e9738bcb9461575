"""Progress of transfers and loads, on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from dmr_tui.cli.output import redraw, size_text, talk
from dmr_tui.store.transfer.meter import Meter
from dmr_tui.store.transfer.progress import TransferProgress

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


async def show_transfer(lines: AsyncGenerator[TransferProgress, None]) -> str:
    """Show a transfer until its end.

    Returns:
        The message of its `success` line.
    """
    message = ""
    display: _Display = _Bars() if sys.stderr.isatty() else _Lines()
    with closing(display):
        async with aclosing(lines):
            async for line in lines:
                if line.type == "success":
                    message = line.message
                elif line.type == "progress":
                    display.update(line)
                else:
                    display.say(f"{line.type.capitalize()}: {line.message}")
    return message


class _Display(Protocol):
    def update(self, line: TransferProgress) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


class _Bars:
    """One bar for each layer, as Docker shows them, and one for all, with speed and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        self._progress: Progress = Progress(
            TextColumn("{task.description}"),
            TextColumn("{task.fields[state]:<13}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[pace]}"),
            console=Console(stderr=True),
        )
        self._layers: dict[str, TaskID] = {}
        self._meter = Meter()
        self._whole = self._progress.add_task("Total", total=None, state="", pace="")
        self._progress.start()

    def update(self, line: TransferProgress) -> None:
        layer = line.layer
        if layer.id not in self._layers:
            self._layers[layer.id] = self._progress.add_task(
                _short(layer.id), total=layer.size or None, state="Waiting", pace=""
            )
        self._progress.update(
            self._layers[layer.id], completed=layer.current, state=_state(line), total=layer.size
        )
        self._meter.note(line, time.monotonic())
        self._progress.update(
            self._whole,
            completed=self._meter.done,
            total=self._meter.total or None,
            pace=_pace(self._meter),
        )

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()


class _Lines:
    """A line for each tenth of the whole, for logs."""

    def __init__(self) -> None:
        self._current: dict[str, int] = {}
        self._tenths = -1

    def update(self, line: TransferProgress) -> None:
        self._current[line.layer.id] = line.layer.current
        done = sum(self._current.values())
        total = max(line.total, done)
        tenths = 10 * done // total if total else 0
        if tenths > self._tenths:
            self._tenths = tenths
            verb = "Uploaded" if line.mode == "push" else "Downloaded"
            self.say(f"{verb} {size_text(done)} of {size_text(total)}")

    def say(self, text: str) -> None:
        talk(text)

    def close(self) -> None:
        """Nothing is held."""


def _pace(meter: Meter) -> str:
    """How fast, and how long still: `52.10MB/s, 0:01:12 left`."""
    if not meter.speed:
        return ""
    left = meter.seconds_left
    rest = "" if left is None else f", {timedelta(seconds=int(left))} left"
    return f"{size_text(meter.speed)}/s{rest}"


def _short(layer_id: str) -> str:
    return layer_id.removeprefix("sha256:")[:12]


def _state(line: TransferProgress) -> str:
    push = line.mode == "push"
    if line.layer.current >= line.layer.size:
        return "Push complete" if push else "Pull complete"
    if line.layer.current == 0:
        return "Waiting"
    return "Uploading" if push else "Downloading"


class Waiting:
    """A status line on stderr for a wait that a person would notice.

    It appears after `DELAY` seconds, only on a terminal, and leaves no trace.

        async with Waiting("Loading smollm2") as waiting:
            waiting.show("Loading smollm2", 0.5)
    """

    DELAY = 0.3
    _FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

    def __init__(self, text: str) -> None:
        self._text = text
        self._task: asyncio.Task[None] | None = None

    def show(self, text: str, fraction: float | None = None) -> None:
        """Say what is waited for, and how far it is (0 to 1) where that is known."""
        self._text = text if fraction is None else f"{text} {fraction:.0%}"

    def say(self, text: str) -> None:
        """Print a line above it that stays, for a person who watches."""
        if self._task is not None:
            sys.stderr.write(f"\r\x1b[2K{text}\n")
            sys.stderr.flush()

    async def __aenter__(self) -> Waiting:
        if sys.stderr.isatty():
            self._task = asyncio.create_task(self._draw())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.done()

    async def done(self) -> None:
        """Take the line away; the wait is over."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _draw(self) -> None:
        await asyncio.sleep(self.DELAY)
        try:
            for frame in itertools.cycle(self._FRAMES):
                redraw(f"{frame} {self._text}")
                await asyncio.sleep(0.1)
        finally:
            redraw()
