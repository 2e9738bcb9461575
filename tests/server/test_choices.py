"""Several answers to one request, and how they are heard together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import pytest

from dmr_tui.engine.request import ChatRequest, Delta, Event, Loading, Message, Sampling, Started
from dmr_tui.errors import BusyError, EngineError
from dmr_tui.server.choices import MAX_CHOICES, Ask, merge, multiply


class Answers:
    """Each says its words when it is told to."""

    def __init__(self, count: int) -> None:
        self.turns = [asyncio.Event() for _ in range(count)]
        self.open = set[int]()

    def all(self) -> list[Ask]:
        return [partial(self._say, number) for number in range(len(self.turns))]

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


class Line:
    """A line with room for so many answers; who comes when it is full is refused."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.refused = 0

    async def answer(self) -> AsyncGenerator[Event, None]:
        yield Loading(0.5)
        if not self.room:
            self.refused += 1
            raise BusyError("the line is full")
        self.room -= 1
        try:
            yield Started(1)
            await asyncio.sleep(0)
            yield Delta("x")
        finally:
            self.room += 1


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
    assert most == MAX_CHOICES


async def test_what_has_begun_waits_for_room_in_the_line() -> None:
    line = Line(7)
    async with aclosing(merge([line.answer] * 40)) as events:
        said = [number async for number, event in events if isinstance(event, Delta)]
    assert sorted(said) == list(range(40))
    assert line.refused == MAX_CHOICES - 7
    assert line.room == 7


async def test_what_has_not_begun_is_refused() -> None:
    line = Line(0)
    with pytest.raises(BusyError):
        async for _ in merge([line.answer] * 40):
            pass
    assert line.refused <= MAX_CHOICES


async def test_those_who_wait_ask_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        if seconds:
            pauses.append(seconds)
            line.room += len(pauses) == 20
        await sleep(0)

    line = Line(1)
    monkeypatch.setattr(asyncio, "sleep", pause)

    async def keep() -> AsyncGenerator[Event, None]:
        line.room -= 1
        yield Started(1)

    async with aclosing(merge([keep, *[line.answer] * 15])) as events:
        assert len([event async for event in events]) == 1 + 3 * 15 + line.refused
    assert len(pauses) == line.refused >= 20
    assert min(pauses) >= 0.05


async def test_a_defect_ends_all_too() -> None:
    async def broken() -> AsyncGenerator[Event, None]:
        yield Delta("x")
        raise ZeroDivisionError

    answers = Answers(1)
    events = merge([*answers.all(), broken])
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
