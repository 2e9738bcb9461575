"""Several answers to one request: asked for at once, heard as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TypeAlias, TypeVar

import msgspec

from dmr_tui.engine.request import ChatRequest, CompletionRequest, Event, Loading
from dmr_tui.errors import BusyError
from dmr_tui.runner.activity.exchange import asks_again

MAX_CHOICES = 16
"""Answers to one prompt at most: as many as the engine works on at a time."""

_AT_A_TIME = MAX_CHOICES
"""Answers of one request that are asked for before others have ended: more would only fill the
line that all requests share."""

_AGAIN = 0.1
"""Seconds after which one more answer that found the line full is asked for again."""

_WAITING = 64
"""Events that may wait for a slow client before the answers are held up."""

Request = TypeVar("Request", ChatRequest, CompletionRequest)
Ask: TypeAlias = Callable[[], AsyncGenerator[Event, None]]
"""Asks for one answer; it can be called again for what was refused."""


def multiply(requests: Sequence[Request], count: int) -> list[Request]:
    """Each request so many times, in its place; the engine computes their common prompt once.

    A seed that was given is counted up: the answers differ, and are the same the next time.
    """
    return [_numbered(request, number) for request in requests for number in range(count)]


def _numbered(request: Request, number: int) -> Request:
    seed = request.sampling.seed
    if seed is None or seed < 0 or number == 0:
        return request
    sampling = msgspec.structs.replace(request.sampling, seed=seed + number)
    return msgspec.structs.replace(request, sampling=sampling)


class _Asking:
    """The answers to one request, once it has been taken, wait for room instead of failing."""

    def __init__(self) -> None:
        self._taken = False
        self._turn = asyncio.Lock()

    async def answer(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """The events of an answer.

        Raises:
            BusyError: the line is full, and none of the request's answers has been begun.
        """
        while True:
            begun = False
            try:
                async with aclosing(ask()) as events:
                    async for event in events:
                        begun = begun or not isinstance(event, Loading)
                        self._taken = self._taken or begun
                        yield event
                return
            except BusyError:
                if begun or not self._taken:
                    raise
            asks_again()
            async with self._turn:
                await asyncio.sleep(_AGAIN)


async def merge(asks: Sequence[Ask]) -> AsyncGenerator[tuple[int, Event], None]:
    """The events of all answers as they come, each with its answer's number.

    The first failure ends all of them; that the line is full is one only until an answer has begun.
    Closing the generator closes every answer.
    """
    if len(asks) == 1:
        async with aclosing(asks[0]()) as events:
            async for event in events:
                yield 0, event
        return
    heard: asyncio.Queue[tuple[int, Event] | asyncio.Task[None]] = asyncio.Queue()
    room, asking, left = asyncio.Semaphore(_WAITING), _Asking(), iter(enumerate(asks))

    async def listen() -> None:
        for number, ask in left:
            async with aclosing(asking.answer(ask)) as events:
                async for event in events:
                    await room.acquire()
                    heard.put_nowait((number, event))

    listeners = [asyncio.create_task(listen()) for _ in asks[:_AT_A_TIME]]
    for listener in listeners:
        listener.add_done_callback(heard.put_nowait)
    try:
        ended = 0
        while ended < len(listeners):
            item = await heard.get()
            if isinstance(item, asyncio.Task):
                item.result()
                ended += 1
            else:
                room.release()
                yield item
    finally:
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
