"""How fast a model reads and writes on this machine, measured with answers to made-up prompts."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmr_tui.engine.request import GenerateRequest
    from dmr_tui.runner.base import Runner

ROUNDS = 3
_WORDS = 300
_TOKENS = 128
_CONTEXT_PER_WORD = 12
"""A word is one token for most models, and six for those that read letters."""
_VOCABULARY = """
river stone window letter morning paper garden music silver winter answer number street bridge
yellow machine summer forest table engine kitchen doctor market island planet shadow ladder mirror
""".split()  # noqa: SIM905  # as a list it would be thirty lines


@dataclass(frozen=True)
class Speeds:
    """What was measured, in tokens per second; 0: nothing."""

    prompt: float
    generation: float


async def measure_speeds(
    runner: Runner,
    name: str,
    told: Callable[[float, str], None],
    *,
    context: int = 8192,
    seeds: random.Random | None = None,
) -> Speeds:
    """Measure one model, which is loaded if need be.

    Args:
        runner: where it runs.
        name: the model.
        told: called with the part that is done and with a few words.
        context: tokens that the model attends to; the prompt is a small part of it.
        seeds: makes the prompts. Each begins with other words than all before, so that nothing
            that was computed for one can be used for another.

    Raises:
        DmrError: the model cannot be loaded, or fails.
    """
    from dmr_tui.engine.request import Delta, Finished, Loading, ReasoningDelta

    seeds = seeds or random.Random()
    words_each = max(min(_WORDS, context // _CONTEXT_PER_WORD), 1)
    prompts: list[float] = []
    answers: list[float] = []
    for number in range(ROUNDS):
        written = 0
        words = f"round {number + 1} of {ROUNDS}"
        async with aclosing(runner.generate(name, _request(seeds, words_each))) as events:
            async for event in events:
                if isinstance(event, Loading):
                    told(0.0, "loading the model")
                elif isinstance(event, Delta | ReasoningDelta):
                    written += event.tokens
                    told((number + min(written / _TOKENS, 1.0)) / ROUNDS, words)
                elif isinstance(event, Finished):
                    usage = event.usage
                    computed = usage.prompt_tokens - usage.cached_tokens
                    prompts += _rate(computed, usage.prompt_seconds)
                    answers += _rate(usage.completion_tokens - 1, usage.generation_seconds)
    return Speeds(_middle(prompts), _middle(answers))


def _request(seeds: random.Random, count: int) -> GenerateRequest:
    from dmr_tui.engine.request import ChatRequest, Limits, Message, Sampling

    words = " ".join(seeds.choices(_VOCABULARY, k=count))
    text = f"{words}\n\nTell a long story in which all of these words occur."
    return ChatRequest(
        [Message("user", text)],
        sampling=Sampling(temperature=1.0, seed=seeds.randrange(1 << 31)),
        limits=Limits(max_tokens=_TOKENS),
    )


def _rate(tokens: int, seconds: float) -> list[float]:
    return [tokens / seconds] if tokens > 0 and seconds > 0 else []


def _middle(rates: list[float]) -> float:
    return statistics.median(rates) if rates else 0.0
