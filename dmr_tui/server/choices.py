"""Several answers to one request: asked for at once, heard as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from dmr_tui.engine.request import ChatRequest, CompletionRequest, Event
from dmr_tui.errors import DmrError

MAX_CHOICES = 16
"""Answers to one prompt at most: as many as the engine works on at a time."""

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


@dataclass(frozen=True)
class _End:
    """One answer has ended, well or not."""

    error: DmrError | None


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
    heard: asyncio.Queue[tuple[int, Event] | _End] = asyncio.Queue(_WAITING)

    async def listen(number: int, events: AsyncGenerator[Event, None]) -> None:
        end = _End(None)
        try:
            async with aclosing(events):
                async for event in events:
                    await heard.put((number, event))
        except DmrError as error:
            end = _End(error)
        await heard.put(end)

    listeners = [asyncio.create_task(listen(*each)) for each in enumerate(answers)]
    try:
        ended = 0
        while ended < len(answers):
            item = await heard.get()
            if not isinstance(item, _End):
                yield item
                continue
            if item.error is not None:
                raise item.error
            ended += 1
    finally:
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
