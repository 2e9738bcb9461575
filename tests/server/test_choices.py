"""Several answers to one request, and how they are heard together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from dmr_tui.engine.request import ChatRequest, Delta, Event, Message, Sampling
from dmr_tui.errors import EngineError
from dmr_tui.server.choices import merge, multiply


class Answers:
    """Each says its words when it is told to."""

    def __init__(self, count: int) -> None:
        self.turns = [asyncio.Event() for _ in range(count)]
        self.open = set[int]()

    def all(self) -> list[AsyncGenerator[Event, None]]:
        return [self._say(number) for number in range(len(self.turns))]

    async def _say(self, number: int) -> AsyncGenerator[Event, None]:
        self.open.add(number)
        try:
            for word in ("first", "second"):
                await self.turns[number].wait()
                yield Delta(f"{word} of {number}")
            if number == 2:
                raise EngineError("the third one fails")
        finally:
            self.open.remove(number)


def chats(seed: int | None) -> list[ChatRequest]:
    return [ChatRequest([Message("user", text)], Sampling(seed=seed)) for text in ("a", "b")]


def test_seeds_are_counted_up() -> None:
    seeds = [each.sampling.seed for each in multiply(chats(7), 3)]
    assert seeds == [7, 8, 9, 7, 8, 9]


@pytest.mark.parametrize("seed", [None, -1])
def test_without_a_seed_all_are_free(seed: int | None) -> None:
    (a, b) = chats(seed)
    assert multiply([a, b], 2) == [a, a, b, b]


async def test_events_come_as_they_are_said() -> None:
    answers = Answers(2)
    async with aclosing(merge(answers.all())) as events:
        answers.turns[1].set()
        assert await anext(events) == (1, Delta("first of 1"))
        assert await anext(events) == (1, Delta("second of 1"))
        answers.turns[0].set()
        assert [number async for number, _ in events] == [0, 0]
    assert not answers.open


@pytest.mark.parametrize("count", [1, 2])
async def test_to_close_one_is_to_close_all(count: int) -> None:
    answers = Answers(count)
    answers.turns[0].set()
    async with aclosing(merge(answers.all())) as events:
        await anext(events)
        await asyncio.sleep(0)
        assert count - 1 in answers.open
    assert not answers.open


async def test_a_line_is_not_filled_by_one_request() -> None:
    answers = Answers(100)
    for turn in answers.turns:
        turn.set()
    answers.turns[2] = answers.turns[99] = asyncio.Event()  # of which the former fails
    async with aclosing(merge(answers.all())) as events:
        most = 0
        for _ in range(2 * 98):
            await anext(events)
            most = max(most, len(answers.open))
        assert answers.open == {2, 99}
    assert 16 <= most <= 32


async def test_a_defect_ends_all_too() -> None:
    async def broken() -> AsyncGenerator[Event, None]:
        yield Delta("x")
        raise ZeroDivisionError

    answers = Answers(1)
    events = merge([*answers.all(), broken()])
    assert await anext(events) == (1, Delta("x"))
    with pytest.raises(ZeroDivisionError):
        await anext(events)
    assert not answers.open


async def test_a_failure_ends_all() -> None:
    answers = Answers(4)
    answers.turns[2].set()
    events = merge(answers.all())
    assert [(await anext(events))[0] for _ in range(2)] == [2, 2]
    with pytest.raises(EngineError, match="third"):
        await anext(events)
    assert not answers.open
