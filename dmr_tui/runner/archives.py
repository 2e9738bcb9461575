"""A blocking reader or writer of bytes, joined to an asynchronous stream.

Archives may be as large as models, so neither side may run ahead of the other: the thread waits for
the loop, and the loop for the thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import BinaryIO, TypeVar, cast

from dmr_tui.errors import StoppedError

T = TypeVar("T")

_AHEAD = 4
"""Chunks that may wait between the two sides."""


async def written(job: Callable[[BinaryIO], object]) -> AsyncGenerator[bytes, None]:
    """Run `job` in a thread and yield what it writes; leaving the iteration stops it.

    Args:
        job: writes to what it is given; its exception is raised after what it wrote.
    """
    sink = _Sink()

    def work() -> None:
        try:
            job(cast("BinaryIO", sink))
        finally:
            sink.put(None)

    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        while (chunk := await sink.chunks.get()) is not None:
            yield chunk
        await task
    finally:
        sink.stopped.set()
        # Shielded: a consumer that is cancelled again must not leave the thread behind.
        await asyncio.shield(_drain(sink, task))


async def _drain(sink: _Sink, task: asyncio.Task[None]) -> None:
    while not task.done():
        waiting = asyncio.ensure_future(sink.chunks.get())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    if not task.cancelled():
        task.exception()


class _Sink:
    """What the thread writes to; waits while the loop's side is behind."""

    def __init__(self) -> None:
        self.chunks: asyncio.Queue[bytes | None] = asyncio.Queue(_AHEAD)
        self.stopped = threading.Event()
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes) -> int:
        if self.stopped.is_set():
            raise StoppedError("nobody reads any more")
        self.put(bytes(data))
        return len(data)

    def put(self, chunk: bytes | None) -> None:
        asyncio.run_coroutine_threadsafe(self.chunks.put(chunk), self._loop).result()


async def read(chunks: AsyncIterable[bytes], job: Callable[[BinaryIO], T]) -> T:
    """Run `job` in a thread with a file that reads from an asynchronous stream.

    Cancelling stops it at its next read. What the stream raises, the job's read raises.
    """
    source = _Source(chunks)
    task = asyncio.ensure_future(asyncio.to_thread(job, cast("BinaryIO", source)))
    try:
        return await asyncio.shield(task)
    finally:
        source.stop()
        await asyncio.shield(asyncio.wait({task}))
        if not task.cancelled():
            task.exception()


class _Source:
    """What the thread reads from."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = aiter(chunks)
        self._loop = asyncio.get_running_loop()
        self._rest = memoryview(b"")
        self._asked: asyncio.Task[bytes] | None = None
        self._stopped = False

    def read(self, size: int) -> bytes:
        """At most so many bytes; none only at the end."""
        if not self._rest:
            chunk = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            self._rest = memoryview(chunk)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)

    def stop(self) -> None:
        """End the read that is waiting, and all later ones; called on the loop."""
        self._stopped = True
        if self._asked is not None:
            self._asked.cancel()

    async def _next(self) -> bytes:
        if self._stopped:
            raise StoppedError("nobody waits for it any more")
        self._asked = asyncio.ensure_future(self._some())
        try:
            return await self._asked
        except asyncio.CancelledError:
            raise StoppedError("nobody waits for it any more") from None

    async def _some(self) -> bytes:
        """The next bytes that are not none; empty at the end."""
        async for chunk in self._chunks:
            if chunk:
                return chunk
        return b""
