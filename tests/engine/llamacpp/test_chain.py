"""Each way of drawing, over a real model's logits: what it changes, and what it leaves alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dmr_tui.engine.llamacpp.batcher import Batcher
from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.model import Model
from dmr_tui.engine.llamacpp.native import NativeLog, llama
from dmr_tui.engine.llamacpp.sampling import Sampler
from dmr_tui.engine.llamacpp.sequence import Sequence
from dmr_tui.engine.request import Sampling
from dmr_tui.errors import InvalidRequestError
from tests.engine.llamacpp.test_batcher import load

PROMPT = [310, 320, 330]
TOKENS = 40


@pytest.fixture(scope="module")
def model(tiny_gguf: Path) -> Model:
    llama.llama_backend_init()
    return load(tiny_gguf)


@pytest.fixture
def context(model: Model) -> Iterator[Context]:
    made = Context(model, tokens=512, sequences=1, threads=1, log=NativeLog(sys.stderr))
    yield made
    llama.llama_free(made.handle)


def drawn(context: Context, sampling: Sampling, prompt: list[int] | None = None) -> list[int]:
    """The tokens of an answer."""
    prompt = PROMPT if prompt is None else prompt
    sampler = Sampler(sampling, context=context, prompt=prompt)
    one = Sequence(1, prompt, sampler=sampler, limit=TOKENS)
    llama.llama_memory_clear(context._memory, True)
    batcher = Batcher(context, context.vocabulary)
    batcher.add(one)
    while not batcher.idle:
        batcher.step()
    return one.tokens[len(prompt) :]


def greedy(**values: object) -> Sampling:
    """The likeliest token each time, after what `values` do to the odds."""
    return msgspec.convert({"temperature": 0.0, **values}, Sampling)


def seeded(**values: object) -> Sampling:
    """A free draw from all tokens, but for `values`."""
    free = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 5}
    return msgspec.convert({**free, **values}, Sampling)


@pytest.mark.parametrize(
    "sampling",
    [
        seeded(top_k=1),
        seeded(top_p=0.0),
        seeded(min_p=1.0),
        seeded(top_n_sigma=1e-6),
    ],
    ids=["top_k", "top_p", "min_p", "top_n_sigma"],
)
def test_the_sharpest_cut_leaves_the_likeliest(context: Context, sampling: Sampling) -> None:
    assert drawn(context, sampling) == drawn(context, greedy())
    assert drawn(context, seeded()) != drawn(context, greedy())


@pytest.mark.parametrize(
    "sampling",
    [
        seeded(),
        seeded(typical_p=0.5),
        seeded(mirostat=1),
        seeded(mirostat=2),
        seeded(xtc_probability=1.0, xtc_threshold=0.01),
    ],
    ids=["plain", "typical", "mirostat 1", "mirostat 2", "xtc"],
)
def test_a_seed_repeats_what_is_drawn_and_nothing_else_does(
    context: Context, sampling: Sampling
) -> None:
    once, again = drawn(context, sampling), drawn(context, sampling)
    assert once == again
    others = [seeded(), seeded(typical_p=0.5), seeded(mirostat=1), greedy()]
    assert all(drawn(context, other) != once for other in others if other != sampling)


def test_a_bias_forces_or_bans_a_token(context: Context) -> None:
    usual = drawn(context, greedy())
    forced = drawn(context, greedy(logit_bias={777: 100.0}))
    assert forced == [777] * TOKENS
    banned = drawn(context, greedy(logit_bias={usual[0]: -100.0}))
    assert usual[0] not in banned


def test_a_bias_for_a_token_that_there_is_not(context: Context) -> None:
    with pytest.raises(InvalidRequestError, match="token 1024 is not one of the model's 1024"):
        Sampler(Sampling(logit_bias={1024: 1.0}), context=context, prompt=PROMPT)


def test_mirostat_without_surprise_takes_the_likeliest(context: Context) -> None:
    assert drawn(context, seeded(mirostat=2, mirostat_tau=0.1)) == drawn(context, greedy())


@pytest.mark.parametrize(
    "penalty", [{"frequency_penalty": 2.0}, {"repeat_penalty": 4.0}], ids=["frequency", "repeat"]
)
def test_penalties_hold_single_tokens_back(context: Context, penalty: dict[str, float]) -> None:
    forced = {777: 80.0, 778: 40.0}
    plain = drawn(context, greedy(logit_bias=forced))
    held = drawn(context, greedy(logit_bias=forced, **penalty))
    blind = drawn(context, greedy(logit_bias=forced, repeat_last_n=0, **penalty))
    assert plain == blind == [777] * TOKENS
    assert 778 in held


def test_dry_holds_repeated_sequences_back(context: Context) -> None:
    forced = {777: 60.0}
    plain = drawn(context, greedy(logit_bias=forced))
    dry = drawn(context, greedy(logit_bias=forced, dry_multiplier=5.0))
    assert plain == [777] * TOKENS
    assert set(dry) > {777}
    lax = greedy(logit_bias=forced, dry_multiplier=5.0, dry_allowed_length=TOKENS)
    assert drawn(context, lax) == plain
    breaker = context.vocabulary.text(777).decode("utf-8", "replace")
    broken = greedy(logit_bias=forced, dry_multiplier=5.0, dry_sequence_breakers=[breaker])
    assert drawn(context, broken) == plain


def test_xtc_drops_the_likelier_of_two(context: Context) -> None:
    """That leaves no choice: the seed makes no difference any more."""
    two = {"temperature": 20.0, "top_k": 2, "logit_bias": {400: 100.0, 401: 100.0}}
    assert drawn(context, seeded(**two)) != drawn(context, seeded(**two, seed=6))
    dropped = {**two, "xtc_probability": 1.0, "xtc_threshold": 0.0}
    once = drawn(context, seeded(**dropped))
    assert once == drawn(context, seeded(**dropped, seed=6))
    assert set(once) <= {400, 401}
