"""Requests and events of the runner, heard once for all screens that show them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from dmr_tui.errors import DmrError

if TYPE_CHECKING:
    from dmr_tui.runner.activity.records import Activity, RequestRecord, RunnerEvent
    from dmr_tui.runner.base import Runner

MOST_REQUESTS = 10_000
MOST_EVENTS = 2_000

_RETRY_SECONDS = 2.0
"""Seconds before a lost connection is tried again."""

Heard = Callable[["Activity"], None]


class Feed:
    """What a runner tells, mirrored; nothing is heard before a screen listens."""

    def __init__(self) -> None:
        self.requests: OrderedDict[str, RequestRecord] = OrderedDict()
        """By their ids, the oldest first."""
        self.events: deque[RunnerEvent] = deque(maxlen=MOST_EVENTS)
        """The oldest first."""
        self.bodies = True
        """Whether the runner keeps the texts of requests."""
        self.failure: DmrError | None = None
        """Why nothing is heard at the moment; what was heard before it is kept."""
        self._listeners: list[Heard] = []
        self._runner: Runner | None = None
        self._hearing: asyncio.Task[None] | None = None

    def listen(self, heard: Heard) -> None:
        """Call `heard` after every change, with what has changed; once for a failure, with none."""
        if heard not in self._listeners:
            self._listeners.append(heard)
        self._begin()

    async def follow(self, runner: Runner) -> None:
        """Hear another runner from now on."""
        await self.close()
        self._runner = runner
        if self._listeners:
            self._begin()

    async def close(self) -> None:
        """Hear nothing any more."""
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.wait({self._hearing})
        self._hearing = self._runner = None

    def _begin(self) -> None:
        if self._runner is not None and self._hearing is None:
            self._hearing = asyncio.create_task(self._hear(self._runner), name="feed")

    async def _hear(self, runner: Runner) -> None:
        while True:
            first = True
            try:
                async with aclosing(runner.activity()) as changes:
                    async for change in changes:
                        if first:
                            self._forget()
                        first, self.failure = False, None
                        self._take(change)
            except DmrError as error:
                self.failure = error
                self._tell(_nothing())
            await asyncio.sleep(_RETRY_SECONDS)

    def _forget(self) -> None:
        """What comes next is all that there is."""
        self.requests.clear()
        self.events.clear()

    def _take(self, change: Activity) -> None:
        if change.cleared:
            self.requests.clear()
        for record in change.requests:
            self.requests[record.id] = record
        while len(self.requests) > MOST_REQUESTS:
            self.requests.popitem(last=False)
        self.events.extend(change.events)
        self.bodies = change.bodies
        self._tell(change)

    def _tell(self, change: Activity) -> None:
        for heard in self._listeners:
            heard(change)


def _nothing() -> Activity:
    from dmr_tui.runner.activity.records import Activity  # not before the first frame

    return Activity()
