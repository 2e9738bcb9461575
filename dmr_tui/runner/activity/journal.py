"""What happened in a runner lately: its requests, its events, and who wants to hear of them.

One journal belongs to one runner and to one event loop. It is bounded, and it is in memory only;
the lines that it writes to the runner's log tell of requests without their texts.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from dmr_tui.runner.activity.bodies import BodyStore, clipped
from dmr_tui.runner.activity.exchange import Exchange
from dmr_tui.runner.activity.records import (
    CLIENT_LEFT,
    LONGEST_NAME,
    LONGEST_TEXT,
    Activity,
    Bodies,
    EventKind,
    Level,
    LogLine,
    RequestRecord,
    RunnerEvent,
    shortened,
)

MOST_REQUESTS = 10_000
MOST_EVENTS = 2_000

_GATHER = 0.05
"""Seconds for which changes are gathered before watchers are told."""

_LIVE = 0.5
"""Seconds after which watchers are told how far running answers are."""

_LARGE = 64 * 1024
"""Bytes of a body above which it is cut in a thread."""


@dataclass
class _Watcher:
    """What somebody has not been told yet."""

    changed: dict[str, None] = field(default_factory=dict)
    events: list[RunnerEvent] = field(default_factory=list)
    cleared: bool = False
    moved: asyncio.Event = field(default_factory=asyncio.Event)


class Journal:
    """Requests and events of one runner."""

    def __init__(
        self,
        *,
        bodies: bool = True,
        write: Callable[[LogLine], None] | None = None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """An empty journal.

        Args:
            bodies: keep the texts of requests and answers.
            write: takes a line for the runner's log.
            now: Unix time.
            clock: seconds, to measure spans.
        """
        self._keeps = bodies
        self._write = write
        self._now = now
        self._clock = clock
        self._running: dict[str, Exchange] = {}
        self._ended: OrderedDict[str, RequestRecord] = OrderedDict()
        self._bodies = BodyStore()
        self._events: deque[RunnerEvent] = deque(maxlen=MOST_EVENTS)
        self._watchers: list[_Watcher] = []
        self._numbers = itertools.count(1)
        self._prefix = secrets.token_hex(3)
        self._cutting: set[asyncio.Task[None]] = set()

    # What happens.

    def prepare(
        self, *, client: str, protocol: str, method: str = "", path: str = "", stream: bool = False
    ) -> Exchange:
        """Something has come that may turn out to be a request; then `open` or `close` it."""
        return Exchange(
            id=f"{self._prefix}-{next(self._numbers)}",
            time=self._now(),
            arrived=self._clock(),
            client=client,
            method=method,
            path=path,
            protocol=protocol,
            keeps=self._keeps,
            clock=self._clock,
            moved=self._moved,
            stream=stream,
        )

    def open(self, exchange: Exchange) -> None:
        """A request runs from now on; `close` must follow."""
        self._running[exchange.id] = exchange
        self._moved(exchange)

    def close(self, exchange: Exchange, status: int) -> None:
        """A request has ended, with this HTTP status."""
        self._running.pop(exchange.id, None)
        exchange.status = status
        exchange.seconds = self._clock() - exchange.arrived
        keeps = exchange.keeps and self._keeps
        record = exchange.record(bodies=keeps)
        if keeps:
            self._keep(exchange)
        exchange.request = exchange.response = b""
        exchange.answers = []
        self._ended[record.id] = record
        while len(self._ended) > MOST_REQUESTS:
            self._ended.popitem(last=False)
        self._moved(exchange)
        self._tell_of(record)

    def tell(
        self,
        kind: EventKind,
        model: str,
        text: str,
        *,
        level: Level = "info",
        hint: str = "",
        request: str = "",
    ) -> None:
        """Something has happened to a model."""
        event = RunnerEvent(
            id=next(self._numbers),
            time=self._now(),
            kind=kind,
            model=shortened(model, LONGEST_NAME),
            text=shortened(text, LONGEST_TEXT),
            level=level,
            hint=shortened(hint, LONGEST_TEXT),
            request=request,
        )
        self._events.append(event)
        for watcher in self._watchers:
            watcher.events.append(event)
            watcher.moved.set()
        if not request:
            self._line(level, kind, f"{event.model}  {event.text}")

    # What is asked.

    @property
    def keeps_bodies(self) -> bool:
        """Whether the texts of requests and answers are kept."""
        return self._keeps

    @keeps_bodies.setter
    def keeps_bodies(self, keep: bool) -> None:
        self._keeps = keep
        if not keep:
            self._bodies.clear()
            for exchange in self._running.values():
                exchange.keeps = False
                exchange.request = b""
            for record in [each for each in self._ended.values() if each.bodies]:
                self._without_bodies(record.id)
        for watcher in self._watchers:
            watcher.moved.set()

    def requests(self) -> list[RequestRecord]:
        """All requests that are kept, in the order in which they came."""
        running = (each.record() for each in self._running.values())
        return sorted([*self._ended.values(), *running], key=lambda record: record.time)

    def find(self, request: str) -> RequestRecord | None:
        """The request with this id."""
        running = self._running.get(request)
        return running.record() if running else self._ended.get(request)

    def bodies(self, request: str) -> Bodies | None:
        """The texts of a request; None when they are not kept (any more)."""
        running = self._running.get(request)
        if running is not None and running.keeps:
            return Bodies(clipped(running.request), clipped(running.folded()))
        return self._bodies.get(request)

    def clear(self) -> None:
        """Forget the requests that have ended, and their texts."""
        self._ended.clear()
        self._bodies.clear()
        for watcher in self._watchers:
            watcher.cleared = True
            watcher.changed = dict.fromkeys(self._running)
            watcher.moved.set()

    async def watch(self) -> AsyncGenerator[Activity, None]:
        """All that is kept, and then what changes; ends when it is closed."""
        watcher = _Watcher()
        self._watchers.append(watcher)
        try:
            yield Activity(requests=self.requests(), events=list(self._events), bodies=self._keeps)
            while True:
                yield await self._next(watcher)
        finally:
            self._watchers.remove(watcher)

    async def _next(self, watcher: _Watcher) -> Activity:
        """What changes next; of running answers it is told now and then."""
        while not watcher.moved.is_set():
            before = {each.id: each.tokens for each in self._running.values()}
            try:
                async with asyncio.timeout(_LIVE if before else None):
                    await watcher.moved.wait()
            except TimeoutError:
                further = [
                    id_ for id_, each in self._running.items() if each.tokens != before.get(id_)
                ]
                if further:
                    watcher.changed.update(dict.fromkeys(further))
                    break
        await asyncio.sleep(_GATHER)
        watcher.moved.clear()
        found = [self.find(request) for request in watcher.changed]
        activity = Activity(
            requests=[record for record in found if record is not None],
            events=watcher.events,
            cleared=watcher.cleared,
            bodies=self._keeps,
        )
        watcher.changed, watcher.events, watcher.cleared = {}, [], False
        return activity

    def _moved(self, exchange: Exchange) -> None:
        for watcher in self._watchers:
            watcher.changed[exchange.id] = None
            watcher.moved.set()

    # Texts.

    def _keep(self, exchange: Exchange) -> None:
        request, response, model = exchange.request, exchange.folded(), exchange.model
        if len(request) + len(response) <= _LARGE:
            self._put(exchange.id, model, Bodies(clipped(request), clipped(response)))
            return

        async def cut() -> None:
            bodies = Bodies(
                await asyncio.to_thread(clipped, request),
                await asyncio.to_thread(clipped, response),
            )
            if self._keeps and exchange.id in self._ended:
                self._put(exchange.id, model, bodies)

        task = asyncio.create_task(cut())
        self._cutting.add(task)
        task.add_done_callback(self._cutting.discard)

    def _put(self, request: str, model: str, bodies: Bodies) -> None:
        for gone in self._bodies.put(request, model, bodies):
            self._without_bodies(gone)

    def _without_bodies(self, request: str) -> None:
        record = self._ended.get(request)
        if record is not None:
            self._ended[request] = replace(record, bodies=False)
            for watcher in self._watchers:
                watcher.changed[request] = None

    # The runner's log.

    def _tell_of(self, record: RequestRecord) -> None:
        error = record.error
        if error is not None and record.status != CLIENT_LEFT:
            self.tell(
                "warning",
                record.model,
                f"{record.client or 'a client'}: {error.message}",
                level="warn" if record.status < 500 else "error",
                hint=error.hint,
                request=record.id,
            )
        self._line(_level(record), "http" if record.path else "chat", describe(record))

    def _line(self, level: Level, source: str, text: str) -> None:
        if self._write is not None:
            self._write(LogLine(self._now(), text, level, source))


def describe(record: RequestRecord) -> str:
    """A request that has ended, in one line without its texts."""
    words = [str(record.status), record.protocol or record.path, record.model]
    if record.prompt_tokens is not None or record.completion_tokens:
        words.append(f"{record.prompt_tokens or 0}→{record.completion_tokens or 0} tokens")
    if record.seconds is not None:
        words.append(f"{record.seconds:.2f} s")
    if record.status == CLIENT_LEFT:
        words.append("the client hung up")
    elif record.error is not None:
        words.append(f"{record.error.code}: {record.error.message}")
    words += [f"client={record.client.replace(' ', '_')}" if record.client else ""]
    return "  ".join(word for word in [*words, f"req={record.id}"] if word)


def _level(record: RequestRecord) -> Level:
    if record.status >= 500:
        return "error"
    return "warn" if record.status >= 400 and record.status != CLIENT_LEFT else "info"
