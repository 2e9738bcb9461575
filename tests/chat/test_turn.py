from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.turn import Turn
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import Event, Finished, Message, Started
from dmr_tui.errors import EngineError, ModelNotFoundError
from tests.support.fake_runner import NAMES, FakeRunner

MODEL = NAMES[0]


async def drain(turn: Turn) -> list[Event]:
    return [event async for event in turn.stream()]


async def test_an_answer_is_gathered_and_kept() -> None:
    runner = FakeRunner(words=("Hel", "lo"), thoughts=("hm",))
    talk = Conversation(MODEL, profile=Profile(context_size=512))
    turn = Turn(talk, runner, "hi")
    events = await drain(turn)
    assert isinstance(events[-1], Finished)
    assert (turn.text, turn.reasoning, turn.reason) == ("Hello", "hm", "stop")
    assert (turn.loading, turn.stopped) == (0.5, False)
    assert talk.turns == [
        Message("user", "hi"),
        Message("assistant", "Hello", reasoning_content="hm"),
    ]
    ((model, _, profile),) = runner.asked
    assert (model, profile) == (MODEL, Profile(context_size=512))


async def test_a_stopped_answer_is_kept_and_its_sequence_freed() -> None:
    runner = FakeRunner(words=("Hel", "lo"), endless=True)
    talk = Conversation(MODEL)
    turn = Turn(talk, runner, "hi")
    task = asyncio.create_task(drain(turn))
    await runner.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert turn.stopped
    assert turn.reason is None
    assert talk.turns[-1] == Message("assistant", "Hello")
    assert runner.open_streams == 0


async def test_closing_the_stream_early_closes_the_runners_too() -> None:
    runner = FakeRunner(endless=True)
    turn = Turn(Conversation(MODEL), runner, "hi")
    async with aclosing(turn.stream()) as events:
        async for event in events:
            if isinstance(event, Started):
                break
    assert runner.open_streams == 0


async def test_a_question_without_any_answer_is_taken_back() -> None:
    runner = FakeRunner(failure=EngineError("dead"), fails_at=0)
    talk = Conversation(MODEL)
    turn = Turn(talk, runner, "hi")
    with pytest.raises(EngineError, match="dead"):
        await drain(turn)
    assert talk.turns == []
    assert turn.prompt == "hi"


async def test_a_failure_leaves_a_path_that_was_taken_back() -> None:
    talk = Conversation(MODEL)
    for question in ("one", "two"):
        talk.ask(question)
        talk.answer("ok")
    talk.take_back()
    with pytest.raises(EngineError):
        await drain(Turn(talk, FakeRunner(failure=EngineError("dead")), "three"))
    assert [message.content for message in talk.turns] == ["one", "ok"]


async def test_an_answer_does_not_come_into_a_conversation_that_was_cleared() -> None:
    runner = FakeRunner(words=("Hel", "lo"), endless=True)
    talk = Conversation(MODEL)
    task = asyncio.create_task(drain(Turn(talk, runner, "hi")))
    await runner.waiting.wait()
    talk.clear()
    talk.ask("new")
    task.cancel()
    await asyncio.wait({task})
    assert [message.content for message in talk.turns] == ["new"]
    assert set(talk.unsaved) == {talk.tip.id}


async def test_what_came_before_a_failure_is_kept() -> None:
    runner = FakeRunner(words=("Hel", "lo"), failure=EngineError("dead"), fails_at=2)
    talk = Conversation(MODEL)
    with pytest.raises(EngineError):
        await drain(Turn(talk, runner, "hi"))
    assert talk.turns[-1] == Message("assistant", "Hel")


async def test_an_empty_answer_is_an_answer() -> None:
    talk = Conversation(MODEL)
    await drain(Turn(talk, FakeRunner(words=()), "hi"))
    assert talk.turns[-1] == Message("assistant", "")


async def test_an_unknown_model_leaves_the_conversation_as_it_was() -> None:
    talk = Conversation("nobody")
    with pytest.raises(ModelNotFoundError):
        await drain(Turn(talk, FakeRunner(), "hi"))
    assert talk.turns == []


def ticking() -> Iterator[float]:
    now = 100.0
    while True:
        yield now
        now += 1.0


async def test_speeds_of_a_finished_answer_are_the_engines_own() -> None:
    clock = ticking()
    turn = Turn(Conversation(MODEL), FakeRunner(), "hi", clock=lambda: next(clock))
    await drain(turn)
    stats = turn.stats()
    assert (stats.prompt_tokens, stats.cached_tokens, stats.completion_tokens) == (11, 4, 3)
    assert stats.prompt_rate == pytest.approx((11 - 4) / 0.5)
    assert stats.generation_rate == pytest.approx((3 - 1) / 2.0)
    # Two ticks after the load's end: a request may be accepted only with its first token.
    assert stats.first_token_seconds == 2.0


async def test_speeds_of_a_running_answer_are_measured() -> None:
    clock = ticking()
    runner = FakeRunner(words=("a", "b", "c"), endless=True)
    turn = Turn(Conversation(MODEL), runner, "hi", clock=lambda: next(clock))
    before = turn.stats()
    assert (before.first_token_seconds, before.generation_rate) == (None, None)
    task = asyncio.create_task(drain(turn))
    await runner.waiting.wait()
    stats = turn.stats()
    assert stats.completion_tokens == 3
    # One second between two events, and the first token took none of the time.
    assert stats.generation_rate == pytest.approx(1.0)
    assert stats.prompt_rate == pytest.approx((11 - 4) / 2.0)
    task.cancel()
    await asyncio.wait({task})
