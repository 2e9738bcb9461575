"""The batcher over a real model in this process, where its state can be seen after every step."""

from __future__ import annotations

import sys
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path

import pytest

from dmr_tui.engine.llamacpp.batcher import Batcher
from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.crew import Crew
from dmr_tui.engine.llamacpp.model import Model
from dmr_tui.engine.llamacpp.native import NativeLog, llama
from dmr_tui.engine.llamacpp.pace import FIRST_CHUNK, Pace
from dmr_tui.engine.llamacpp.sampling import Sampler
from dmr_tui.engine.llamacpp.sequence import Sequence
from dmr_tui.engine.request import Delta, Event, Finished, Sampling, Started
from dmr_tui.errors import EngineError

SIZE = 256


@pytest.fixture(scope="module")
def model(tiny_gguf: Path) -> Model:
    """The tiny model; its memory stays until the end of the tests."""
    llama.llama_backend_init()
    return load(tiny_gguf)


@pytest.fixture
def context(model: Model) -> Context:
    """Room for 256 tokens."""
    return Context(model, tokens=SIZE, sequences=4, threads=1, log=NativeLog(sys.stderr))


@pytest.fixture
def batcher(context: Context, model: Model) -> Batcher:
    """Four places in that room."""
    return Batcher(context, model.vocabulary, Steady())


class Steady(Pace):
    """Learns nothing, so that every run is alike."""

    def note(self, answering: int, prompt_tokens: int, seconds: float, passes: int = 1) -> None:
        assert seconds > 0


class Patient(Steady):
    """Reads no prompt beside an answer."""

    def chunk(self, wants: Many[int], answering: int) -> int:
        return 0 if answering else sum(wants)


def sequence(context: Context, number: int, prompt: Many[int], limit: int) -> Sequence:
    """A greedy answer."""
    sampler = Sampler(Sampling(temperature=0.0), context=context, prompt=prompt)
    return Sequence(number, list(prompt), sampler=sampler, limit=limit)


def stored(context: Context, slot: int) -> tuple[int, int]:
    """The first and the last position that the KV memory holds for a sequence."""
    return (
        int(llama.llama_memory_seq_pos_min(context._memory, slot)),
        int(llama.llama_memory_seq_pos_max(context._memory, slot)),
    )


def run(batcher: Batcher, context: Context) -> list[tuple[int, Event]]:
    """Step until all is done, comparing the KV memory with what the batcher believes."""
    happenings = []
    while not batcher.idle:
        happenings += batcher.step()
        for running in batcher._running:
            last = running.computed - 1
            assert stored(context, running.slot) == (min(0, last), last)
        memory = batcher._memory
        assert {running.slot for running in batcher._running} == set(memory._running)
        for kept, holding in memory._kept.items():
            assert stored(context, kept) == (0, holding.computed - 1)
        for free in memory._free:
            assert stored(context, free) == (-1, -1)
        assert len(memory._free) + len(memory._kept) + len(memory._running) == context.ids
        assert memory.used <= context.size
    return happenings


def test_memory_holds_what_the_batcher_believes(batcher: Batcher, context: Context) -> None:
    """Twelve answers of 140 tokens in four places and 256 tokens of room."""
    for number in range(12):
        batcher.add(sequence(context, number, [300 + number] * (1 + number % 3), 140))
    happenings = run(batcher, context)
    started = [number for number, event in happenings if isinstance(event, Started)]
    finished = [number for number, event in happenings if isinstance(event, Finished)]
    assert started == list(range(12))
    # Who lost a place was the next to get one: nobody was overtaken.
    assert finished == list(range(12))


def test_few_lose_their_place(
    batcher: Batcher, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newcomer waits until the others have some room to grow."""
    outcomes = []
    decode = context.decode

    def noted() -> bool:
        outcomes.append(decode())
        return outcomes[-1]

    monkeypatch.setattr(context, "decode", noted)
    for number in range(12):
        batcher.add(sequence(context, number, [300 + number] * (1 + number % 3), 140))
    run(batcher, context)
    assert 0 < outcomes.count(False) <= 12


def test_who_is_admitted_too_soon_does_not_hold_up_the_others(
    batcher: Batcher, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However wrong the guess of what fits, every pass but those that find it out goes on."""
    monkeypatch.setattr(batcher._memory, "fits", lambda _: True)
    for number in range(6):
        batcher.add(sequence(context, number, [300 + number] * 30, 140))
    finished = 0
    for _ in range(4000):
        finished += sum(isinstance(event, Finished) for _, event in batcher.step())
        if batcher.idle:
            break
    assert finished == 6


def test_a_long_prompt_is_read_in_parts(batcher: Batcher, context: Context) -> None:
    batcher.add(sequence(context, 1, [300], 100))
    batcher.step()
    batcher.add(sequence(context, 2, [301] * 150, 5))
    computed = []
    while not batcher.idle:
        before = {running.request: running.generated for running in batcher._running}
        batcher.step()
        after = {running.request: running for running in batcher._running}
        if 1 in after:
            assert after[1].generated == before[1] + 1
        if 2 in after and not after[2].generated:
            computed.append(after[2].computed)
    assert computed == [FIRST_CHUNK, 2 * FIRST_CHUNK]


def test_answers_go_on_alone_where_it_is_their_turn(context: Context, model: Model) -> None:
    batcher = Batcher(context, model.vocabulary, Patient())
    batcher.add(sequence(context, 1, [300], 40))
    batcher.step()
    batcher.add(sequence(context, 2, [301] * 100, 5))
    order = [number for number, event in run(batcher, context) if isinstance(event, Delta)]
    assert order == sorted(order)
    assert set(order) == {1, 2}


def test_who_lost_its_place_does_not_count_as_an_answer(context: Context, model: Model) -> None:
    """It is read anew: with nobody else there is nothing to wait for."""
    batcher = Batcher(context, model.vocabulary, Patient())
    for number in range(6):
        batcher.add(sequence(context, number, [300 + number] * 3, 140))
    happenings = run(batcher, context)
    assert sum(isinstance(event, Finished) for _, event in happenings) == 6


def test_cancelled_ones_leave_nothing(batcher: Batcher, context: Context) -> None:
    for number in range(6):
        batcher.add(sequence(context, number, [300] * 10, 100))
    batcher.step()
    for number in (0, 3, 5, 77):
        batcher.cancel(number)
    happenings = run(batcher, context)
    finished = {number for number, event in happenings if isinstance(event, Finished)}
    assert finished == {1, 2, 4}


def test_who_comes_and_goes_while_answers_flow_leaves_the_others_as_they_are(
    batcher: Batcher, context: Context
) -> None:
    def texts(happenings: list[tuple[int, Event]]) -> dict[int, str]:
        found: dict[int, str] = {}
        for number, event in happenings:
            if isinstance(event, Delta):
                found[number] = found.get(number, "") + event.text
        return found

    def flow() -> list[tuple[int, Event]]:
        happenings = []
        while not batcher.steady:
            happenings += batcher.step()
        return happenings + batcher.step()

    alone: dict[int, str] = {}
    for number in range(4):
        batcher.add(sequence(context, number, [300 + number] * 3, 30))
        alone |= texts(run(batcher, context))
    for number in range(3):
        batcher.add(sequence(context, number, [300 + number] * 3, 30))
    happenings = flow()
    batcher.cancel(0)
    happenings += flow()
    batcher.add(sequence(context, 3, [303] * 3, 30))
    joined = batcher.step()
    assert {number for number, _ in joined} >= {3}
    happenings += joined + flow()
    happenings += run(batcher, context)
    seen = texts(happenings)
    assert 0 < len(seen.pop(0)) < len(alone.pop(0))
    assert seen == alone


def test_what_flows_is_told_at_any_time(batcher: Batcher, context: Context) -> None:
    batcher.add(sequence(context, 1, [300] * 5, 100))
    batcher.add(sequence(context, 2, [301] * 7, 100))
    for passes in range(1, 40):
        batcher.step()
        if passes % 3 == 0:
            stats = batcher.stats()
            assert (stats.passes, stats.generated_tokens) == (passes, 2 * passes)
            assert stats.prompt_tokens == 12
            assert stats.kv_used == 12 + 2 * (passes - 1)
            assert stats.generation_seconds > 0
    assert batcher.steady


def test_what_flows_takes_the_room_of_the_finished(batcher: Batcher, context: Context) -> None:
    batcher.add(one := sequence(context, 1, [300], 1000))
    while len(one.tokens) < 50:
        batcher.step()
    for number in (2, 3):
        batcher.add(sequence(context, number, [400 + number] * 60, 2))
        while not batcher.steady or len(batcher._running) > 1:
            batcher.step()
    kept = []
    while len(one.tokens) < context.size:
        batcher.step()
        assert not batcher._full
        kept.append(batcher._memory.kept)
    assert (kept[0], kept[-1]) == (2, 0)


class Restless(Crew):
    """Wants another number of threads after each pass that it is told of, two of which it skips."""

    def __init__(self) -> None:
        super().__init__(4)
        self.wanted = 1

    def threads(self, tokens: int) -> int:
        return self.wanted

    def note(self, tokens: int, seconds: float, busy: float) -> None:
        self.wanted = self.wanted % 4 + 1

    def skip(self) -> int:
        return 2


def test_answers_get_the_threads_that_the_crew_wants(
    batcher: Batcher, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = [0]
    monkeypatch.setattr(context, "use_threads", lambda count: used.append(count))
    batcher._crew = Restless()
    batcher.add(sequence(context, 1, [300] * 5, 100))
    batcher.step()  # its prompt
    each = []
    for _ in range(13):
        batcher.step()
        each.append(used[-1])
    # Whatever a pass had, what is set after it is for those that follow.
    assert each == [2] * 3 + [3] * 3 + [4] * 3 + [1] * 3 + [2]


def test_a_failed_computation_is_an_error_and_not_the_end(
    batcher: Batcher, context: Context
) -> None:
    for number in range(5):
        batcher.add(sequence(context, number, [300 + number], 10))
    batcher.step()
    # A hole between two positions of a sequence: llama.cpp refuses the batch.
    batcher._running[0].computed += 1
    batcher._running[0].tokens += [300, 300]
    with pytest.raises(EngineError, match=r"llama_decode gave -1") as raised:
        batcher.step()
    batcher.drop_all(raised.value)
    assert batcher.failed == [(number, raised.value) for number in range(4)]
    happenings = run(batcher, context)
    assert {number for number, _ in happenings} == {4}


def test_the_end_token_ends_an_answer(tiny_gguf: Path, tmp_path: Path) -> None:
    """It counts as generated, and nothing of it is shown."""
    plain = load(tiny_gguf)
    prompt = plain.vocabulary.tokenize("Hello world this is")
    whole = answer(plain, prompt)
    drawn = whole.tokens[len(prompt) :]
    end = next(at for at, token in enumerate(drawn) if at and token not in drawn[:at])
    key = b"tokenizer.ggml.eos_token_id" + (4).to_bytes(4, "little")
    old, new = key + (2).to_bytes(4, "little"), key + drawn[end].to_bytes(4, "little")
    file = tmp_path / "ends.gguf"
    file.write_bytes(tiny_gguf.read_bytes().replace(old, new))
    ended = answer(load(file), prompt)
    assert ended.tokens[len(prompt) :] == drawn[: end + 1]
    assert ended.finished.reason == "stop"
    assert ended.finished.usage.completion_tokens == end + 1
    assert ended.text == b"".join(map(plain.vocabulary.text, drawn[:end])).decode(errors="replace")


@dataclass(frozen=True)
class Whole:
    """One answer and the tokens behind it."""

    tokens: list[int]
    events: list[Event]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    @property
    def finished(self) -> Finished:
        event = self.events[-1]
        assert isinstance(event, Finished)
        return event


def load(file: Path) -> Model:
    return Model(file, gpu_layers=0, on_progress=lambda fraction: None, log=NativeLog(sys.stderr))


def answer(model: Model, prompt: list[int]) -> Whole:
    context = Context(model, tokens=SIZE, sequences=1, threads=1, log=NativeLog(sys.stderr))
    batcher = Batcher(context, model.vocabulary)
    one = sequence(context, 1, prompt, 60)
    batcher.add(one)
    events = [event for _, event in run(batcher, context)]
    return Whole(one.tokens, events)


def test_a_full_context_forgets_its_older_half(batcher: Batcher, context: Context) -> None:
    """Off unless asked for: here the limit lies behind the edge."""
    other = sequence(context, 2, [400], 30)
    batcher.add(one := sequence(context, 1, [300, 301, 302], 600))
    batcher.add(other)
    happenings = run(batcher, context)
    assert one.generated == 600
    assert one.tokens[:3] == [300, 301, 302]
    assert len(one.tokens) <= SIZE + 1
    (started,) = (
        event for number, event in happenings if number == 1 and isinstance(event, Started)
    )
    assert started.prompt_tokens == 3
    finished = happenings[-1][1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.usage.completion_tokens) == ("length", 600)


def test_a_long_prompt_keeps_its_first_quarter(batcher: Batcher, context: Context) -> None:
    prompt = [300 + at for at in range(200)]
    batcher.add(one := sequence(context, 1, prompt, 100))
    run(batcher, context)
    assert one.generated == 100
    assert one.tokens[: SIZE // 4] == prompt[: SIZE // 4]
    assert one.tokens[SIZE // 4] != prompt[SIZE // 4]
