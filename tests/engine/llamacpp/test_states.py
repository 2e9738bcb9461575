"""Sharing with models that keep more than a list of keys and values."""

from __future__ import annotations

import sys

import pytest

from dmr_tui.engine.llamacpp.batcher import Batcher
from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.model import Model
from dmr_tui.engine.llamacpp.native import NativeLog, llama
from tests.engine.llamacpp.test_batcher import Steady, load, sequence
from tests.engine.llamacpp.test_memory import cached
from tests.support.gguf_states import write_tiny_gemma, write_tiny_mamba

PROMPT = list(range(300, 400))
WINDOW = 32


@pytest.fixture(scope="module")
def mamba(tmp_path_factory: pytest.TempPathFactory) -> Model:
    llama.llama_backend_init()
    return load(write_tiny_mamba(tmp_path_factory.mktemp("mamba") / "mamba.gguf"))


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Model:
    llama.llama_backend_init()
    return load(write_tiny_gemma(tmp_path_factory.mktemp("gemma") / "gemma.gguf", window=WINDOW))


def opened(model: Model, tokens: int = 512) -> tuple[Batcher, Context]:
    context = Context(model, tokens=tokens, sequences=4, threads=1, log=NativeLog(sys.stderr))
    return Batcher(context, model.vocabulary, Steady()), context


def ask(
    batcher: Batcher, context: Context, prompt: list[int], limit: int = 10
) -> tuple[list[int], int]:
    """All tokens of an answer, and how many of the prompt's were known."""
    batcher.add(one := sequence(context, 1, prompt, limit))
    happenings = []
    while not batcher.idle:
        happenings += batcher.step()
    return one.tokens, cached(happenings)[1]


def alone(model: Model, prompt: list[int], limit: int = 10) -> list[int]:
    """The answer of a model that remembers nothing."""
    tokens, _ = ask(*opened(model), prompt, limit)
    return tokens


def test_a_recurrent_state_is_not_cut(mamba: Model) -> None:
    assert not mamba.divisible
    batcher, context = opened(mamba)
    ask(batcher, context, PROMPT)
    for prompt in (PROMPT, [*PROMPT[:60], 7, 8], PROMPT[:50]):
        tokens, known = ask(batcher, context, prompt)
        assert known == 0
        assert tokens == alone(mamba, prompt)


def test_a_recurrent_state_is_gone_on_with(mamba: Model) -> None:
    batcher, context = opened(mamba)
    turn, _ = ask(batcher, context, PROMPT)
    tokens, known = ask(batcher, context, [*turn, 5, 6])
    assert known == len(turn) - 1
    assert tokens == alone(mamba, [*turn, 5, 6])
    # Its state has moved on: from the first turn's end nobody can go on any more.
    assert ask(batcher, context, [*turn, 9])[1] == 0


def test_recurrent_ones_do_not_wait_for_each_other(mamba: Model) -> None:
    batcher, context = opened(mamba)
    for number in range(6):
        batcher.add(sequence(context, number, PROMPT, 5))
    happenings = []
    while not batcher.idle:
        happenings += batcher.step()
    assert set(cached(happenings).values()) == {0}
    assert len(cached(happenings)) == 6


def test_layers_with_a_window_share_what_they_still_hold(gemma: Model) -> None:
    assert gemma.window == WINDOW
    batcher, context = opened(gemma)
    turn, _ = ask(batcher, context, PROMPT)
    for prompt in ([*PROMPT[:60], 7, 8], [*turn, 5, 6], PROMPT[:20]):
        tokens, known = ask(batcher, context, prompt)
        assert tokens == alone(gemma, prompt)
        assert known > 0


def test_layers_with_a_window_do_not_share_what_has_slid_out(
    gemma: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if llama.cpp had put something else into the cells of the first 50 tokens."""
    batcher, context = opened(gemma)
    ask(batcher, context, PROMPT)
    monkeypatch.setattr(context, "first_position", lambda slot: 50)
    # The next token after 82 looks back at the 32 from position 50 on.
    assert ask(batcher, context, [*PROMPT[:81], 7, 8])[1] == 0
    assert ask(batcher, context, [*PROMPT[:82], 9, 8])[1] == 82


def test_no_more_states_are_parked_than_the_context_has(mamba: Model) -> None:
    batcher, context = opened(mamba)
    turns = [ask(batcher, context, [500 + number] * 40, 2)[0] for number in range(12)]
    assert batcher._memory.parked == context.ids == 4
    # The last ones are those that are known still.
    assert ask(batcher, context, [*turns[9], 7])[1] == len(turns[9]) - 1
    assert ask(batcher, context, [*turns[6], 7])[1] == 0
