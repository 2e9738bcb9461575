"""Several answers at a time: each is what it would be alone, and none waits for ever."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from dmr_tui.engine.context import SEQUENCES
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import CompletionRequest, Delta, Event, Finished, Sampling
from tests.engine.asking import ENDLESS, ask, ask_until_text, complete
from tests.support.gguf_maker import Shape, write_tiny_llama

SMALL = Profile(context_size=256)


def varied(count: int, *, max_tokens: int = 12) -> list[CompletionRequest]:
    """Requests whose answers differ.

    The prompts are short: batches of some dozens of tokens are computed by other kernels, which
    round otherwise, and random weights make much of that.
    """
    words = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "runs"]
    prompts = [" ".join(words[at % 9 :][: 1 + at % 2]) for at in range(count)]
    return [
        complete(prompt, sampling=Sampling(temperature=1.0, seed=seed), max_tokens=max_tokens)
        for seed, prompt in enumerate(prompts)
    ]


async def alone_and_together(
    manager: EngineManager, files: ModelFiles, requests: list[CompletionRequest], profile: Profile
) -> tuple[list[str], list[str]]:
    alone = [(await ask(manager, files, request, profile)).text for request in requests]
    together = await asyncio.gather(*(ask(manager, files, each, profile) for each in requests))
    return alone, [answer.text for answer in together]


def assert_alike(alone: list[str], together: list[str]) -> None:
    """Most answers are the same; were the sequences mixed up, next to none would be.

    Not all: the last bit of a logit may depend on the size of the batch.
    """
    same = sum(a == b for a, b in zip(alone, together, strict=True))
    assert same >= 0.6 * len(alone), list(zip(alone, together, strict=True))


async def test_eight_answers_at_once_are_what_each_is_alone(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    alone, together = await alone_and_together(manager, tiny, varied(8), Profile())
    assert len(set(alone)) >= 6
    assert_alike(alone, together)


async def test_more_requests_than_places_are_served_in_turn(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    requests = varied(2 * SEQUENCES + 3)
    alone, together = await alone_and_together(manager, tiny, requests, Profile())
    assert_alike(alone, together)


async def test_answers_that_outgrow_the_memory_still_come_whole(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path
) -> None:
    requests = [complete(request.prompt, max_tokens=150) for request in varied(6)]
    alone, together = await alone_and_together(manager, tiny, requests, SMALL)
    assert_alike(alone, together)
    log = (tmp_path / "logs" / "tiny.log").read_text()
    assert log.count("failed to find a memory slot") >= 3


async def test_full_contexts_side_by_side_all_end(manager: EngineManager, tiny: ModelFiles) -> None:
    answers = await asyncio.gather(*(ask(manager, tiny, ENDLESS, SMALL) for _ in range(4)))
    for answer in answers:
        usage = answer.finished.usage
        assert usage.prompt_tokens + usage.completion_tokens == 257


async def test_a_closed_answer_frees_its_place(manager: EngineManager, tiny: ModelFiles) -> None:
    for _ in range(2):
        await asyncio.gather(*(ask_until_text(manager, tiny) for _ in range(SEQUENCES)))
    # All places were taken twice over by answers without end; a short one is served.
    assert (await ask(manager, tiny, complete("Hello"))).text
    assert not manager.in_use(tiny.id)


async def test_a_cancelled_consumer_frees_its_place(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    running = asyncio.Event()

    async def consume() -> None:
        async for event in manager.generate(tiny, ENDLESS, Profile()):
            if isinstance(event, Delta):
                running.set()

    for _ in range(SEQUENCES + 1):
        running.clear()
        task = asyncio.create_task(consume())
        await running.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await ask(manager, tiny, complete("Hello"))).text
    assert not manager.in_use(tiny.id)


async def test_a_waiting_request_can_be_taken_back(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    """One without a place leaves; the one behind it gets the next place."""
    streams = [manager.generate(tiny, ENDLESS, Profile()) for _ in range(SEQUENCES)]
    for stream in streams:
        await anext(event async for event in stream if isinstance(event, Delta))
    waiting = asyncio.create_task(ask(manager, tiny, complete("first")))
    behind = asyncio.create_task(ask(manager, tiny, complete("second")))
    await anext(streams[0])
    waiting.cancel()
    await streams[1].aclose()
    assert (await behind).text
    for stream in streams:
        await stream.aclose()


async def test_running_answers_flow_while_a_long_prompt_is_read(
    manager: EngineManager, tmp_path: Path
) -> None:
    """Of a model for which it is long: what the tiny one reads in a moment, it reads at once."""
    shape = Shape(6, 512, 8, 4, 2048, 1024, context=4096)
    slow = ModelFiles("slow", "slow", write_tiny_llama(tmp_path / "slow.gguf", shape=shape))
    order: list[str] = []

    async def note(name: str, request: CompletionRequest) -> list[Event]:
        events = []
        async with aclosing(manager.generate(slow, request, Profile())) as stream:
            async for event in stream:
                events.append(event)
                if isinstance(event, Delta | Finished):
                    order.append(name)
                if name == "running" and "long" in order:
                    break
        return events

    running = asyncio.create_task(note("running", ENDLESS))
    await ask_until_text(manager, slow)
    before = len(order)
    await note("long", complete([300] * 2000, max_tokens=1))
    await running
    # 2000 tokens in chunks: the other answer went on between them.
    assert order.index("long") - before >= 20
