"""What is kept of requests, for how long, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from dmr_tui.engine.request import (
    ChatRequest,
    CompletionRequest,
    Delta,
    Event,
    Finished,
    Loading,
    Message,
    ReasoningDelta,
    Started,
    ToolCallDelta,
    Usage,
)
from dmr_tui.errors import ContextLengthError
from dmr_tui.runner.activity import bodies, journal
from dmr_tui.runner.activity.answering import Answering
from dmr_tui.runner.activity.bodies import BodyStore, clipped
from dmr_tui.runner.activity.exchange import Exchange
from dmr_tui.runner.activity.journal import Journal, describe
from dmr_tui.runner.activity.records import Activity, Bodies, LogLine, RequestRecord

ASK = ChatRequest([Message("user", "hi")])
ANSWER: list[Event] = [
    Started(prompt_tokens=11, cached_tokens=4),
    ReasoningDelta("Hm. "),
    Delta("Hel", tokens=2),
    Delta("lo"),
    ToolCallDelta(0, "call_1", "look", '{"a"'),
    ToolCallDelta(0, arguments=":1}"),
    Finished("stop", Usage(11, 7, 4, 0.5, 2.0)),
]


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines() -> list[LogLine]:
    return []


@pytest.fixture
def kept(clock: Clock, lines: list[LogLine]) -> Journal:
    return Journal(write=lines.append, now=lambda: 1000.0 + clock(), clock=clock)


def test_an_event_is_kept_in_a_bounded_length(kept: Journal, lines: list[LogLine]) -> None:
    kept.tell("pull", "m" * 10_000, "failed: " + "m" * 10_000, level="error", hint="m" * 10_000)
    (line,) = lines
    assert line.text == "m" * 255 + "…  failed: " + "m" * 3992 + "…"


def ask(kept: Journal, *events: Event, error: BaseException | None = None) -> None:
    try:
        with Answering(kept, "dmr tui", "smollm2", ASK, None) as answer:
            for event in events:
                answer.see(event)
            if error is not None:
                raise error
    except BaseException as raised:
        if raised is not error:
            raise


def arrive(kept: Journal, model: str = "m", **facts: Any) -> Exchange:
    exchange = kept.prepare(client="curl/8.5", protocol="chat", **facts)
    exchange.model = model
    kept.open(exchange)
    return exchange


def test_an_answer_leaves_its_facts(kept: Journal, clock: Clock) -> None:
    with Answering(kept, "dmr tui", "smollm2", ASK, None) as answer:
        answer.see(Loading(0.5))
        clock.seconds = 2
        answer.see(ANSWER[0])
        clock.seconds = 2.5
        for event in ANSWER[1:]:
            answer.see(event)
        clock.seconds = 4.5
    (record,) = kept.requests()
    assert record == RequestRecord(
        id=record.id,
        time=1000.0,
        client="dmr tui",
        protocol="chat",
        model="smollm2",
        stream=True,
        status=200,
        seconds=4.5,
        load_seconds=2.0,
        first_token_seconds=2.5,
        prompt_seconds=0.5,
        generation_seconds=2.0,
        prompt_tokens=11,
        completion_tokens=7,
        cached_tokens=4,
        reason="stop",
        bodies=True,
    )


def test_the_texts_are_those_that_openai_would_have(kept: Journal) -> None:
    ask(kept, *ANSWER)
    texts = kept.bodies(kept.requests()[0].id)
    assert texts is not None
    asked, answered = (msgspec.json.decode(text) for text in (texts.request, texts.response))
    assert asked["messages"] == [{"role": "user", "content": "hi"}]
    assert asked["model"] == "smollm2"
    (choice,) = answered["choices"]
    assert choice["message"]["content"] == "Hello"
    assert choice["message"]["reasoning_content"] == "Hm. "
    assert choice["message"]["tool_calls"][0]["function"] == {
        "name": "look",
        "arguments": '{"a":1}',
    }
    assert answered["usage"]["total_tokens"] == 18


def test_a_completion_is_called_so(kept: Journal) -> None:
    with Answering(kept, "dmr", "m", CompletionRequest("x"), None):
        pass
    assert kept.requests()[0].protocol == "completions"


@pytest.mark.parametrize(
    ("error", "status"),
    [(ContextLengthError("too long", "less"), 400), (GeneratorExit(), 499), (ValueError(), 500)],
)
def test_how_it_ended(kept: Journal, error: BaseException, status: int) -> None:
    ask(kept, ANSWER[0], Delta("x"), error=error)
    (record,) = kept.requests()
    assert (record.status, record.completion_tokens) == (status, 1)


def test_a_failure_is_an_event_with_its_remedy(kept: Journal, lines: list[LogLine]) -> None:
    ask(kept, error=ContextLengthError("too long", "less"))
    ask(kept, error=GeneratorExit())
    (record, _) = kept.requests()
    assert record.error is not None
    assert (record.error.code, record.error.hint) == ("context_length_exceeded", "less")


async def test_the_log_tells_of_each_request_without_its_texts(
    kept: Journal, lines: list[LogLine]
) -> None:
    ask(kept, *ANSWER)
    ask(kept, error=ContextLengthError("too long"))
    kept.tell("evict", "smollm2", "idle for 300 s")
    assert [(line.level, line.source) for line in lines] == [
        ("info", "chat"),
        ("warn", "chat"),
        ("info", "evict"),
    ]
    assert "11→7 tokens" in lines[0].text
    assert "context_length_exceeded: too long" in lines[1].text
    assert not any("hi" in line.text.split() for line in lines)


async def changes(kept: Journal, count: int) -> AsyncIterator[Activity]:
    async with aclosing(kept.watch()) as stream:
        async for change in stream:
            yield change
            count -= 1
            if not count:
                return


async def test_who_watches_is_told_of_all_and_then_of_changes(kept: Journal) -> None:
    ask(kept, *ANSWER)
    heard = changes(kept, 3)
    assert [each.status for each in (await anext(heard)).requests] == [200]
    exchange = arrive(kept)
    assert [each.status for each in (await anext(heard)).requests] == [0]
    kept.close(exchange, 499)
    kept.tell("crash", "m", "killed", level="error")
    change = await anext(heard)
    assert [each.status for each in change.requests] == [499]
    assert [event.text for event in change.events] == ["killed"]


async def test_a_running_answer_is_told_of_while_it_grows(
    kept: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_LIVE", 0.01)
    heard = changes(kept, 4)
    await anext(heard)
    exchange = arrive(kept)
    answer = exchange.asks("m")
    answer.see(Delta("a"))
    assert [each.completion_tokens for each in (await anext(heard)).requests] == [1]
    following = asyncio.ensure_future(anext(heard))
    await asyncio.sleep(0.02)
    answer.see(Delta("b"))
    answer.see(Delta("c"))
    assert [each.completion_tokens for each in (await following).requests] == [3]


async def test_clearing_forgets_what_has_ended(kept: Journal) -> None:
    ask(kept, *ANSWER)
    running = arrive(kept)
    heard = changes(kept, 2)
    await anext(heard)
    gone = kept.requests()[0].id
    kept.clear()
    change = await anext(heard)
    assert change.cleared
    assert [each.id for each in change.requests] == [each.id for each in kept.requests()]
    assert [each.id for each in kept.requests()] == [running.id]
    assert kept.bodies(gone) is None


async def test_without_texts_none_are_kept_and_the_old_ones_go(kept: Journal) -> None:
    ask(kept, *ANSWER)
    kept.keeps_bodies = False
    ask(kept, *ANSWER)
    assert [(each.bodies, kept.bodies(each.id)) for each in kept.requests()] == [(False, None)] * 2


def test_requests_are_bounded(kept: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST_REQUESTS", 3)
    for _ in range(5):
        ask(kept, *ANSWER)
    numbers = [int(each.id.rpartition("-")[2]) for each in kept.requests()]
    assert numbers == [3, 4, 5]


def test_texts_are_bounded_for_each_model_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_OF_A_MODEL", 2)
    monkeypatch.setattr(bodies, "MOST", 100)
    store = BodyStore()
    assert [store.put(f"a{n}", "a", Bodies("x" * 10)) for n in range(3)] == [[], [], ["a0"]]
    assert store.put("b0", "b", Bodies("x" * 70, "y" * 10)) == []
    assert store.put("b1", "b", Bodies("x" * 10)) == ["a1"]
    assert store.put("b2", "c", Bodies("x" * 500)) == ["a2", "b0", "b1"]
    assert "b2" in store


async def test_large_texts_are_cut_and_media_first(kept: Journal) -> None:
    image = "A" * 500_000
    exchange = arrive(kept)
    exchange.request = msgspec.json.encode({"url": f"data:image/png;base64,{image}"})
    kept.close(exchange, 200)
    while kept.bodies(exchange.id) is None:
        await asyncio.sleep(0.01)
    texts = kept.bodies(exchange.id)
    assert texts is not None
    expected = f"data:image/png;base64,{'A' * 100}...[truncated 499900 chars]"
    assert msgspec.json.decode(texts.request) == {"url": expected}
    long = clipped(b"word " * 300_000)
    assert long.endswith(f"...[truncated {1_500_000 - bodies.LONGEST} chars]")


def test_a_line_for_every_kind_of_end() -> None:
    record = RequestRecord(id="ab-1", time=0, client="curl/8.5", protocol="chat", model="m")
    said = describe(msgspec.structs.replace(record, status=499, seconds=0.5))
    assert said == "499  chat  m  0.50 s  the client hung up  client=curl/8.5  req=ab-1"
