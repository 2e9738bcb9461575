"""What is looked after while a worker lives: that it says something, and the size of its log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from dmr_tui.engine.rotation import rotate

SILENCE = 300.0
"""Seconds without a word from a worker that has requests, after which it is taken for stuck.

A worker says something after every pass of its batch; the longest pass is 512 tokens of a prompt.
"""

HEALTH_SILENCE = 10.0
"""Seconds in which a server that is asked for its health has to say something, and in which a
worker that is silent has to do something."""

LAST_PATIENCE = 10.0
"""Seconds in which a killed process has to be gone: one that hangs in a driver may never be."""

UNKILLABLE = "the worker hangs and cannot be killed"


class Watchdog:
    """Watches one worker."""

    def __init__(
        self, log: Path, *, busy: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare to watch.

        Args:
            log: the worker's log.
            busy: whether the worker owes an answer.
            clock: seconds; time that the machine sleeps must not count.
        """
        self._log = log
        self._busy = busy
        self._clock = clock
        self._heard = clock()

    def hear(self) -> None:
        """The worker has said something, or has been asked the first of its requests."""
        self._heard = self._clock()

    @property
    def stuck(self) -> bool:
        """The worker has requests and has not said anything for too long."""
        return self._busy() and self._clock() - self._heard > SILENCE

    async def watch(self) -> None:
        """Look after the worker until it is stuck; costs a moment every few seconds."""
        while not self.stuck:
            rotate(self._log)
            await asyncio.sleep(min(SILENCE / 4, 10.0))


async def ends_within(ended: asyncio.Event, seconds: float) -> bool:
    """Whether a process's end comes in so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError:
        return False
    return True


async def responds(socket: Path, path: str) -> bool:
    """Whether an HTTP server says anything at all when it is asked for `path`.

    One that does not listen yet, or hangs up, is not stuck.

    Args:
        socket: where it listens, a Unix domain socket.
        path: a route that costs it nothing.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(HEALTH_SILENCE):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(request.encode())
                await reader.read(1)
            finally:
                writer.close()
    except (FileNotFoundError, ConnectionError):
        return True
    except OSError:  # it took too long, or as many as may wait for it wait already
        return False
    return True


async def works(pid: int, *, computing_counts: bool) -> bool:
    """Whether a process that says nothing is at work all the same.

    A model that is larger than memory is read from disk again for every pass, which can take long.

    Args:
        pid: the process.
        computing_counts: it is at work, too, if it computes; else that may be in a circle.
    """
    before = _work(pid, computing_counts)
    await asyncio.sleep(HEALTH_SILENCE)
    return _work(pid, computing_counts) != before


def _work(pid: int, computing_counts: bool) -> tuple[float, float]:
    """What a process has read from disk and, if that counts, how long it has computed."""
    read, computed = 0.0, 0.0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        times = process.cpu_times()
        computed = times.user + times.system if computing_counts else 0.0
        if hasattr(process, "io_counters"):
            read = process.io_counters().read_bytes
        else:  # macOS: pages
            read = getattr(process.memory_info(), "pageins", 0)
    return read, computed
