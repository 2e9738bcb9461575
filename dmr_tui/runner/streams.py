"""A blocking job's progress as an async iterator.

Transfers block (sockets, hashing, disk), so they run in a thread and report by a callback. The
consumer iterates; leaving the iteration sets the job's `cancelled` event and waits for its end, so
that nothing of it is still writing afterwards.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

T = TypeVar("T")

Job = Callable[[Callable[[T], None], threading.Event], object]
"""Called with `report` and `cancelled`; its result is not used, its exception is raised."""


async def follow(job: Job[T]) -> AsyncGenerator[T, None]:
    """Run `job` in a thread and yield what it reports, then raise what it raised."""
    loop = asyncio.get_running_loop()
    cancelled = threading.Event()
    reports: asyncio.Queue[T] = asyncio.Queue()

    def report(item: T) -> None:
        loop.call_soon_threadsafe(reports.put_nowait, item)

    work = asyncio.ensure_future(asyncio.to_thread(job, report, cancelled))
    try:
        while not work.done() or not reports.empty():
            waiting = asyncio.ensure_future(reports.get())
            done, _ = await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if waiting in done:
                yield waiting.result()
            else:
                waiting.cancel()
        work.result()
    finally:
        cancelled.set()
        # Shielded: a consumer that is cancelled again must not leave the thread writing alone.
        await asyncio.shield(asyncio.wait({work}))
        if not work.cancelled():
            work.exception()
