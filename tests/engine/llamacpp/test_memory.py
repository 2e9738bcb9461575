"""What sequences share, what stays of them, and what gives way: over a real model's KV memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmr_tui.engine.llamacpp import parking
from dmr_tui.engine.llamacpp.batcher import Batcher, Happening
from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.memory import CLUTTER, WORTH_WAITING, Memory
from dmr_tui.engine.llamacpp.model import Model
from dmr_tui.engine.llamacpp.native import NativeLog, llama
from dmr_tui.engine.llamacpp.sampling import Sampler
from dmr_tui.engine.llamacpp.sequence import Sequence
from dmr_tui.engine.request import Sampling, Started
from dmr_tui.system.memory import MemoryReading
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
    assert cached(first) == {1: 0}
    assert batcher._memory.used == 103 + 4
    batcher.add(sequence(context, 2, [*SYSTEM, 7, 8, 9], 5))
    batcher.add(sequence(context, 3, [*SYSTEM, 5, 6], 5))
    second = run(batcher, context)
    assert cached(second) == {2: len(SYSTEM), 3: len(SYSTEM)}
    assert batcher._memory.used == len(SYSTEM) + (3 + 4) + (2 + 4)


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


def test_who_runs_alone_has_the_memory_alone(batcher: Batcher, context: Context) -> None:
    """What lies in it would make each of its passes slower."""
    for number in range(4):
        answer(batcher, context, number, [400 + number] * 100)
        assert (batcher._memory.kept, batcher._memory.used) == (1, 111)
    assert batcher._memory.parked == 3


def test_what_was_parked_is_known(batcher: Batcher, context: Context) -> None:
    first = answer(batcher, context, 0, SYSTEM)
    answer(batcher, context, 1, [500] * 40)
    batcher.add(again := sequence(context, 2, SYSTEM, 12))
    assert cached(run(batcher, context)) == {2: len(SYSTEM) - 1}
    assert again.tokens == first


def test_what_was_parked_is_given_back(batcher: Batcher, context: Context) -> None:
    answer(batcher, context, 0, SYSTEM)
    answer(batcher, context, 1, [500] * 40)
    size = batcher.release()
    assert size > len(SYSTEM)
    assert (batcher._memory.parked, batcher.release()) == (0, 0)
    batcher.add(sequence(context, 2, SYSTEM, 12))
    assert cached(run(batcher, context)) == {2: 0}


def test_what_was_parked_comes_back_beside_others(batcher: Batcher, context: Context) -> None:
    first = answer(batcher, context, 0, SYSTEM)
    batcher.add(sequence(context, 1, [500] * 40, 30))
    batcher.step()
    batcher.add(again := sequence(context, 2, SYSTEM, 12))
    assert cached(run(batcher, context)) == {2: len(SYSTEM) - 1}
    assert again.tokens == first


def test_a_little_is_not_worth_the_way_back(batcher: Batcher, context: Context) -> None:
    answer(batcher, context, 0, SYSTEM)
    answer(batcher, context, 1, [500] * 40)
    batcher.add(sequence(context, 2, [*SYSTEM[: WORTH_WAITING - 1], 7, 8], 2))
    assert cached(run(batcher, context)) == {2: 0}


def test_the_longest_unused_gives_way(batcher: Batcher, context: Context) -> None:
    prompts = {number: [400 + number] * 110 for number in range(5)}
    for number in range(5):
        answer(batcher, context, number, prompts[number])
    # The first four were parked: as many tokens as the context has.
    answer(batcher, context, 10, [*prompts[0], 1])
    answer(batcher, context, 11, [500] * 110)
    batcher.add(sequence(context, 12, [*prompts[0], 2], 2))
    assert cached(run(batcher, context)) == {12: 110}
    batcher.add(sequence(context, 13, [*prompts[1], 2], 2))
    assert cached(run(batcher, context)) == {13: 0}


def test_a_conversation_is_parked_once(batcher: Batcher, context: Context) -> None:
    turn = answer(batcher, context, 0, SYSTEM)
    answer(batcher, context, 1, [500] * 40)
    answer(batcher, context, 2, [*turn, 5, 6])
    answer(batcher, context, 3, [600] * 40)
    assert batcher._memory.parked == 2  # the longer one, and the one between
    batcher.add(sequence(context, 4, [*turn, 5, 6, 7], 2))
    assert cached(run(batcher, context)) == {4: len(turn) + 2}


def test_nothing_is_parked_that_memory_is_short_of(
    batcher: Batcher, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking, "RESERVE", 1.0)
    answer(batcher, context, 0, SYSTEM)
    answer(batcher, context, 1, [500] * 40)
    assert batcher._memory.parked == 0


def test_nothing_is_parked_that_a_container_has_no_memory_for(
    batcher: Batcher, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = MemoryReading(10**9, 10**7)
    monkeypatch.setattr(parking, "read_memory", lambda: reading)
    answer(batcher, context, 0, SYSTEM)
    answer(batcher, context, 1, [500] * 40)
    assert batcher._memory.parked == 0


LONG = [300 + at * 7 % 400 for at in range(300)]


def drawn(batcher: Batcher, context: Context, prompt: list[int], *, exact: bool = True) -> Sequence:
    """An answer that a tiny difference would change."""
    sampler = Sampler(Sampling(temperature=2.0, seed=7, top_k=0), context=context, prompt=prompt)
    one = Sequence(1, list(prompt), sampler=sampler, limit=100, exact=exact)
    batcher.add(one)
    run(batcher, context)
    return one


@pytest.mark.parametrize("length", [2, 63, 64, 127, 128, 129, 300])
@pytest.mark.parametrize("threads", [1, 2])
def test_what_must_repeat_does_so_whatever_was_asked_before(
    model: Model, length: int, threads: int
) -> None:
    context = Context(model, tokens=1024, sequences=4, threads=threads, log=NativeLog(sys.stderr))
    batcher = Batcher(context, model.vocabulary, Steady())
    prompt = LONG[:length]
    first = drawn(batcher, context, prompt)
    before: list[list[int]] = [first.tokens, [], [*prompt, 9, 9, 9], LONG, LONG[:200], [5] * 700]
    for tokens in before:
        if tokens:
            answer(batcher, context, 2, tokens)
        batcher.add(sequence(context, 3, [6] * 90, 8))
        batcher.add(sequence(context, 4, [*prompt, 8], 20))
        run(batcher, context)
        again = drawn(batcher, context, prompt)
        assert again.tokens == first.tokens
    llama.llama_free(context.handle)


def test_what_must_repeat_uses_what_was_computed_so(batcher: Batcher, context: Context) -> None:
    prompt = LONG[:300]
    for known in (0, 256, 256):
        batcher.add(sequence(context, 2, [5] * 50, 3))
        run(batcher, context)
        one = sequence(context, 1, prompt, 3)
        one.exact = True
        batcher.add(one)
        assert cached(run(batcher, context)) == {1: known}


def test_the_running_come_before_the_kept(batcher: Batcher, context: Context) -> None:
    for number in range(4):
        batcher.add(sequence(context, number, [400 + number] * 110, 2 + number))
    run(batcher, context)
    assert batcher._memory.kept == 4
    one = sequence(context, 9, [600] * 300, 200)
    batcher.add(one)
    run(batcher, context)
    assert one.generated == 200
    assert batcher._memory.kept == 1


def test_there_are_always_ids(batcher: Batcher, context: Context, model: Model) -> None:
    """More finished sequences beside a running one than llama.cpp can tell apart."""
    batcher.add(sequence(context, 0, [299], 200))
    for number in range(context.ids + 3):
        batcher.add(sequence(context, number, [300 + number], 1))
        batcher.step()
    assert batcher._memory.kept == context.ids - 1
    assert batcher._memory.parked > 0


def test_running_ones_have_few_finished_ones_beside_them(model: Model) -> None:
    context = room(model, 4096)
    batcher = Batcher(context, model.vocabulary, Steady())
    batcher.add(sequence(context, 0, [299], 200))
    for number in range(8):
        batcher.add(sequence(context, 1 + number, [300 + number] * 400, 1))
        batcher.step()
        while len(batcher._running) > 1:
            batcher.step()
    memory = batcher._memory
    assert sum(holding.computed for holding in memory._kept.values()) <= CLUTTER
    assert memory.kept + memory.parked == 8
    llama.llama_free(context.handle)


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


def test_cells_that_were_computed_twice_count_twice(model: Model) -> None:
    """What is alike is shared only by those that came later."""
    memory = Memory(room(model, 256))
    alike = [300] * (WORTH_WAITING - 1)
    slots = [memory.admit(alike) for _ in range(4)]
    assert [memory.begin(slot, alike) for slot in slots] == [0] * 4
    for slot in slots:
        memory.grow(slot, len(alike))
    assert memory.held == 4 * len(alike)
    assert not memory.fits([500] * 20)


def test_who_goes_on_with_a_finished_one_is_waited_for_only_once_it_computes(model: Model) -> None:
    """Else two of them, alike, wait for each other."""
    memory = Memory(room(model, 512))
    other = memory.admit([5])
    turn = memory.admit(SYSTEM)
    assert [memory.begin(other, [5]), memory.begin(turn, SYSTEM)] == [0, 0]
    memory.grow(turn, len(SYSTEM))
    memory.keep(turn, SYSTEM)
    longer = [*SYSTEM, *range(500, 500 + WORTH_WAITING), 7]
    assert memory.admit(longer) == turn
    second = memory.admit(longer)
    assert memory.begin(second, longer) == len(SYSTEM)
    assert memory.begin(turn, longer) is None
