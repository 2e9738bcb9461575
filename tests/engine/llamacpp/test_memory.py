"""What sequences share, what stays of them, and what gives way: over a real model's KV memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmr_tui.engine.llamacpp.batcher import Batcher, Happening
from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.memory import Memory
from dmr_tui.engine.llamacpp.model import Model
from dmr_tui.engine.llamacpp.native import NativeLog, llama
from dmr_tui.engine.request import Started
from tests.engine.llamacpp.test_batcher import Steady, load, run, sequence

SYSTEM = list(range(300, 400))


@pytest.fixture(scope="module")
def model(tiny_gguf: Path) -> Model:
    llama.llama_backend_init()
    return load(tiny_gguf)


@pytest.fixture
def context(model: Model) -> Context:
    """Room for 512 tokens."""
    return room(model, 512)


def room(model: Model, tokens: int) -> Context:
    return Context(model, tokens=tokens, sequences=4, threads=1, log=NativeLog(sys.stderr))


@pytest.fixture
def batcher(context: Context, model: Model) -> Batcher:
    return Batcher(context, model.vocabulary, Steady())


def answer(batcher: Batcher, context: Context, number: int, prompt: list[int]) -> list[int]:
    """All tokens of a short answer."""
    one = sequence(context, number, prompt, 12)
    batcher.add(one)
    run(batcher, context)
    return one.tokens


def cached(happenings: list[Happening]) -> dict[int, int]:
    """By request: the tokens that were not computed."""
    return {
        number: event.cached_tokens for number, event in happenings if isinstance(event, Started)
    }


def test_what_begins_alike_is_computed_once(batcher: Batcher, context: Context) -> None:
    batcher.add(sequence(context, 1, [*SYSTEM, 1, 2, 3], 5))
    first = run(batcher, context)
    before = batcher._memory.used
    batcher.add(sequence(context, 2, [*SYSTEM, 7, 8, 9], 5))
    second = run(batcher, context)
    assert cached(first) == {1: 0}
    assert cached(second) == {2: len(SYSTEM)}
    assert before == 103 + 4
    assert batcher._memory.used == before + 3 + 4


def test_the_last_token_is_always_computed(batcher: Batcher, context: Context) -> None:
    once = answer(batcher, context, 1, SYSTEM)
    batcher.add(again := sequence(context, 2, SYSTEM, 12))
    assert cached(run(batcher, context)) == {2: len(SYSTEM) - 1}
    assert again.tokens == once


def test_a_conversation_goes_on_in_its_own_place(batcher: Batcher, context: Context) -> None:
    turn = answer(batcher, context, 1, SYSTEM)
    batcher.add(sequence(context, 2, [*turn, 5, 6], 3))
    assert cached(run(batcher, context)) == {2: len(turn) - 1}
    assert batcher._memory.kept == 1


def test_those_that_come_together_wait_for_one_of_them(batcher: Batcher, context: Context) -> None:
    for number in range(4):
        batcher.add(sequence(context, number, [*SYSTEM, number, 9], 3))
    batcher.step()
    assert [each.begun for each in batcher._running] == [True, False, False, False]
    happenings = run(batcher, context)
    assert cached(happenings) == {number: len(SYSTEM) for number in range(1, 4)}
    assert batcher._memory.used == len(SYSTEM) + 4 * (2 + 2)


def test_when_the_one_leaves_another_computes(batcher: Batcher, context: Context) -> None:
    long = SYSTEM + SYSTEM[::-1] * 4
    batcher._pace = Steady()
    batcher.add(sequence(context, 0, [5], 100))
    batcher.step()
    for number in (1, 2, 3):
        batcher.add(sequence(context, number, [*long[:200], number], 3))
    batcher.step()
    waiting = [each.request for each in batcher._running if not each.begun]
    assert waiting == [2, 3]
    batcher.cancel(1)
    kept = batcher._memory._kept
    done = next(iter(kept.values())).computed
    assert 0 < done < 200
    batcher.cancel(0)
    assert cached(run(batcher, context)) == {2: done, 3: 200}


def test_little_is_not_waited_for(batcher: Batcher, context: Context) -> None:
    for number in range(2):
        batcher.add(sequence(context, number, [*SYSTEM[:31], number], 3))
    batcher.step()
    assert all(each.begun for each in batcher._running)
    run(batcher, context)


def test_the_longest_unused_gives_way(batcher: Batcher, context: Context) -> None:
    prompts = {number: [400 + number] * 110 for number in range(4)}
    for number in (0, 1, 2, 3):
        answer(batcher, context, number, prompts[number])
    memory = batcher._memory
    assert (memory.kept, memory.used) == (4, 4 * 121)
    assert answer(batcher, context, 10, [*prompts[0], 1])
    assert answer(batcher, context, 11, [500] * 110)
    batcher.add(sequence(context, 12, [*prompts[0], 2], 2))
    batcher.add(sequence(context, 13, [*prompts[1], 2], 2))
    found = cached(run(batcher, context))
    assert found == {12: 110, 13: 0}


def test_the_running_come_before_the_kept(batcher: Batcher, context: Context) -> None:
    for number in range(4):
        answer(batcher, context, number, [400 + number] * 110)
    one = sequence(context, 9, [600] * 300, 200)
    batcher.add(one)
    run(batcher, context)
    assert one.generated == 200
    assert batcher._memory.kept == 1


def test_there_are_always_ids(batcher: Batcher, context: Context, model: Model) -> None:
    """More finished sequences than llama.cpp can tell apart."""
    for number in range(context.ids + 3):
        batcher.add(sequence(context, number, [300 + number], 1))
        run(batcher, context)
    assert batcher._memory.kept == context.ids


PROMPTS = st.lists(
    st.tuples(st.integers(0, 90), st.integers(0, 3), st.integers(1, 30), st.integers(1, 30)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=PROMPTS, together=st.booleans(), data=st.data())
def test_whatever_is_asked_the_memory_is_what_is_believed(
    model: Model, asked: list[tuple[int, int, int, int]], together: bool, data: st.DataObject
) -> None:
    """`run` compares every position; here requests also leave at any time."""
    context = room(model, 256)
    batcher = Batcher(context, model.vocabulary, Steady())
    for number, (shared, tail, length, limit) in enumerate(asked):
        batcher.add(sequence(context, number, SYSTEM[:shared] + [tail + 5] * length, limit))
        if not together:
            for _ in range(data.draw(st.integers(0, 6))):
                if not batcher.idle:
                    batcher.step()
            batcher.cancel(data.draw(st.integers(0, number)))
    run(batcher, context)
    assert batcher._memory.used == len(
        {
            cell
            for slot, holding in batcher._memory._kept.items()
            for cell in cells(batcher._memory, slot, holding.computed)
        }
    )
    llama.llama_free(context.handle)


def cells(memory: Memory, slot: int, computed: int) -> list[tuple[int, int]]:
    """Who computed each token of a sequence, and where in it: one cell in KV memory."""
    runs = memory._kept[slot].runs
    starts = [*(run.start for run in runs[1:]), computed]
    return [
        (run.author, at)
        for run, end in zip(runs, starts, strict=True)
        for at in range(run.start, end)
    ]


@pytest.mark.parametrize("cut", [1, 40, 99])
def test_answers_are_those_without_sharing(model: Model, context: Context, cut: int) -> None:
    """Greedy, from prompts that are computed by the same kernels."""
    sharing = Batcher(context, model.vocabulary, Steady())
    answer(sharing, context, 0, SYSTEM)
    prompt = [*SYSTEM[:cut], 11, 12, 13]
    shared = answer(sharing, context, 1, prompt)
    fresh = room(model, 512)
    alone = answer(Batcher(fresh, model.vocabulary, Steady()), fresh, 1, prompt)
    assert shared == alone
