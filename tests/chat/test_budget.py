from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from dmr_tui.chat.budget import context_window, drop_oldest, make_room, measure
from dmr_tui.chat.compaction import compact
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.stats import TurnStats
from dmr_tui.chat.turn import Turn
from dmr_tui.engine.profile import Profile, RunningModel
from dmr_tui.engine.request import ChatRequest, Event, GenerateRequest, Limits, Message, Sampling
from dmr_tui.errors import ContextLengthError, EngineError, InvalidRequestError
from dmr_tui.paths import Paths
from dmr_tui.runner.local import LocalRunner
from dmr_tui.settings import Settings
from tests.support.fake_runner import MODEL, NAMES, FakeRunner

PROSE = "the quick brown fox jumps over the lazy dog " * 5


def long_talk(turns: int, words: str = PROSE) -> Conversation:
    talk = Conversation(NAMES[0], "be brief")
    for number in range(turns):
        talk.ask(f"{number} {words}")
        talk.answer(words)
    return talk


def stats(prompt: int, completion: int) -> TurnStats:
    return TurnStats(prompt, 0, completion, None, None, None, 1.0)


async def drain(turn: Turn) -> None:
    async for _ in turn.stream():
        pass


def sent(talk: Conversation) -> list[str]:
    return [str(message.content).split(" ")[0] for message in talk.request().messages]


def test_what_the_engine_counted_is_shown_as_it_is() -> None:
    talk = long_talk(1)
    talk.tip.stats = stats(300, 50)
    budget = measure(talk, 1000)
    assert (budget.used, budget.measured, budget.fraction) == (350, True, 0.35)
    typed = measure(talk, 1000, "and what about the other one?")
    assert 5 < typed.typed < 30
    assert typed.fraction > budget.fraction


def test_thoughts_are_generated_but_not_sent_again() -> None:
    talk = Conversation(NAMES[0])
    talk.ask("hi")
    talk.answer("hello", reasoning=PROSE).stats = stats(20, 80)
    assert 20 < measure(talk, 1000).used < 60


def test_without_a_count_it_is_estimated() -> None:
    talk = long_talk(2)
    budget = measure(talk, 0)
    assert not budget.measured
    assert 150 < budget.used < 450
    assert (budget.fraction, budget.drops) == (0.0, 0)


def test_the_oldest_turns_go_in_pairs_and_the_system_message_stays() -> None:
    talk = long_talk(8)
    talk.ask("now")
    assert make_room(talk, 600) > 0
    roles = [message.role for message in talk.request().messages]
    assert roles[0] == "system"
    assert roles[1:] == ["user", "assistant"] * (len(roles) // 2 - 1) + ["user"]
    assert talk.request().messages[0].content == "be brief"
    assert len(talk.path) == 17  # Nothing is lost from what is shown.
    assert measure(talk, 600).left_out == 17 - len(talk.sent())


def test_room_is_made_for_several_turns_at_a_time() -> None:
    """So that the beginning of the prompt, which the engine has read already, stays the same."""
    talk = long_talk(8)
    talk.ask("now")
    make_room(talk, 1200)
    assert measure(talk, 1200).used <= 1200 - 1200 // 4 - 1200 // 8
    first = talk.sent()[0]
    talk.answer("ok")
    talk.ask("and now")
    assert make_room(talk, 1200) == 0
    assert talk.sent()[0] is first


def test_the_question_itself_is_never_left_out() -> None:
    talk = long_talk(3)
    talk.ask(PROSE * 50)
    make_room(talk, 256)
    assert [node.role for node in talk.sent()] == ["user"]


def test_a_short_answer_needs_less_room() -> None:
    talk = long_talk(4)
    used = measure(talk, 10_000).used
    talk.ask("now")
    talk.limits = Limits(max_tokens=8)
    assert make_room(talk, used + 60) == 0
    talk.limits = Limits()
    assert make_room(talk, used + 60) > 0


def test_what_sending_would_drop_is_known_before() -> None:
    talk = long_talk(4)
    window = measure(talk, 10_000).used * 4 // 3
    assert measure(talk, window).drops == 0
    assert measure(talk, window, PROSE).drops >= 2


def test_another_branch_is_sent_whole() -> None:
    talk = long_talk(4)
    first = talk.question(1)
    drop_oldest(talk)
    assert len(talk.sent()) == 4
    talk.ask("other", replaces=first)
    assert sent(talk) == ["be", "other"]


async def test_the_window_is_that_of_the_loaded_model() -> None:
    runner = FakeRunner()
    assert await context_window(runner, Conversation(MODEL.tags[0])) == 4096
    assert await context_window(runner, Conversation("llama3.2:1B-Q8_0")) == 4096
    assert await context_window(runner, Conversation(MODEL.id)) == 4096
    assert (
        await context_window(runner, Conversation("file.gguf")) == 4096
    )  # The runner knows it by its id.
    assert await context_window(runner, Conversation("nobody")) == 0
    assert await context_window(runner, Conversation("sha256:" + "00" * 32)) == 0
    assert await context_window(runner, Conversation("busy")) == 0  # Still loading: not known yet.


async def test_the_window_is_the_one_that_the_chat_asks_for() -> None:
    # The model is loaded with 4096, and is loaded anew with the next question.
    talk = Conversation(MODEL.tags[0], profile=Profile(context_size=8192))
    assert await context_window(FakeRunner(), talk) == 8192


class Narrow(FakeRunner):
    """Takes `room` messages; says nothing of its context, as a runner elsewhere may."""

    room = 4

    async def running(self) -> list[RunningModel]:
        return []

    def generate(
        self, model: str, request: GenerateRequest, *, profile: Profile | None = None
    ) -> AsyncGenerator[Event, None]:
        assert isinstance(request, ChatRequest)
        fits = len(request.messages) <= self.room
        self.failure = None if fits else ContextLengthError("too long")
        return super().generate(model, request, profile=profile)


async def test_a_turn_makes_room_before_it_asks() -> None:
    talk, runner = long_talk(60), FakeRunner(words=("ok",))
    turn = Turn(talk, runner, "now")
    await drain(turn)
    assert turn.left_out > 40
    assert len(runner.chat.messages) == 1 + 121 - turn.left_out


async def test_what_the_engine_refuses_as_too_long_is_asked_with_less() -> None:
    talk, runner = long_talk(6, "short"), Narrow(words=("ok",))
    turn = Turn(talk, runner, "now")
    await drain(turn)
    assert talk.tip.text == "ok"
    assert sent(talk) == ["be", "5", "short", "now", "ok"]
    assert turn.left_out == 10
    assert [node.text for node in talk.path][-2:] == ["now", "ok"]


async def test_a_question_that_never_fits_is_an_error() -> None:
    talk, runner = long_talk(2, "short"), Narrow()
    runner.room = 1
    with pytest.raises(ContextLengthError):
        await drain(Turn(talk, runner, "now"))
    assert len(talk.path) == 4


async def test_the_engines_count_corrects_the_estimate() -> None:
    talk = Conversation(NAMES[0])
    await drain(Turn(talk, FakeRunner(words=("ok",)), PROSE * 4))  # 11 tokens, says the runner.
    assert talk.tokens_per_byte == 0.1
    assert measure(talk, 4096, PROSE).typed < 40


async def test_compact_sends_a_summary_in_place_of_the_older_turns() -> None:
    talk, runner = long_talk(3, "words"), FakeRunner(words=("they ", "counted "))
    talk.limits = Limits(max_tokens=5, stop=["x"])
    assert await compact(talk, runner) == 4
    asked = runner.chat
    assert asked.messages[0] == Message("system", "be brief")
    assert len(asked.messages) == 1 + 4 + 1
    assert "Summarize" in str(asked.messages[-1].content)
    assert (asked.limits.stop, asked.limits.max_tokens) == ([], 400)
    assert len(talk.path) == 6
    request = talk.ask("and?")
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user"]
    assert request.messages[0].content == (
        "be brief\n\nSummary of the conversation so far:\nthey counted"
    )
    assert str(request.messages[1].content).startswith("2 ")


async def test_compact_twice_sums_up_the_summary_too() -> None:
    talk = long_talk(3, "words")
    await compact(talk, FakeRunner(words=("first summary",)))
    talk.ask("3")
    talk.answer("words")
    runner = FakeRunner(words=("second summary",))
    assert await compact(talk, runner) == 2
    assert "first summary" in str(runner.chat.messages[0].content)
    assert talk.instructions().endswith("second summary")


async def test_the_meter_falls_after_compact() -> None:
    talk = long_talk(4)
    talk.tip.stats = stats(600, 60)
    before = measure(talk, 4096)
    await compact(talk, FakeRunner(words=("brief",)))
    after = measure(talk, 4096)
    assert after.used < before.used / 2
    assert not after.measured


async def test_nothing_to_compact() -> None:
    with pytest.raises(InvalidRequestError):
        await compact(long_talk(1), FakeRunner())
    with pytest.raises(EngineError):
        await compact(long_talk(2), FakeRunner(words=(" ",)))


async def test_a_real_engine_is_never_sent_too_much(tiny_gguf: Path) -> None:
    paths = Paths.default()
    runner = LocalRunner.open(paths, Settings())
    talk = Conversation(
        str(tiny_gguf),
        "be brief",
        Sampling(temperature=0.0),
        Limits(max_tokens=30),
        Profile(context_size=256),
    )
    left_out = 0
    try:
        for number in range(8):
            turn = Turn(talk, runner, f"question {number}: what is the weather like today?")
            await drain(turn)
            assert turn.stats().completion_tokens == 30 or turn.reason == "stop"
            left_out += turn.left_out
        window = await context_window(runner, Conversation(talk.model))
    finally:
        await runner.close()
    assert window == 256
    assert left_out > 0
    assert measure(talk, window).measured
    assert len(talk.path) == 16
