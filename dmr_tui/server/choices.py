"""Several answers to one request: asked for at once, heard as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

import msgspec

from dmr_tui.engine.request import ChatRequest, CompletionRequest, Event

MAX_CHOICES = 16
"""Answers to one prompt at most: as many as the engine works on at a time."""

_AT_A_TIME = 2 * MAX_CHOICES
"""Answers that are asked for before others have ended: some are in line for those that end, but
not so many that the line is full."""

_WAITING = 64
"""Events that may wait for a slow client before the answers are held up."""

Request = TypeVar("Request", ChatRequest, CompletionRequest)


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


async def merge(
    answers: Sequence[AsyncGenerator[Event, None]],
) -> AsyncGenerator[tuple[int, Event], None]:
    """The events of all answers as they come, each with its answer's number.

    The first failure ends all of them. Closing the generator closes every answer.
    """
    if len(answers) == 1:
        async with aclosing(answers[0]) as events:
            async for event in events:
                yield 0, event
        return
    heard: asyncio.Queue[tuple[int, Event] | asyncio.Task[None]] = asyncio.Queue()
    room, turn = asyncio.Semaphore(_WAITING), asyncio.Semaphore(_AT_A_TIME)

    async def listen(number: int, events: AsyncGenerator[Event, None]) -> None:
        async with turn, aclosing(events):
            async for event in events:
                await room.acquire()
                heard.put_nowait((number, event))

    listeners = [asyncio.create_task(listen(*each)) for each in enumerate(answers)]
    for listener in listeners:
        listener.add_done_callback(heard.put_nowait)
    try:
        ended = 0
        while ended < len(answers):
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
