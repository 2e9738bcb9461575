"""Token counts and times, as OpenAI's clients and llama-server's read them.

Source: OpenAI API reference, the `usage` object. `timings` is llama-server's.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from dmr_tui.engine.request import Usage


class PromptDetails(Struct, frozen=True):
    """How the prompt's tokens were had."""

    cached_tokens: int


class UsageBody(Struct, frozen=True):
    """Token counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class Timings(Struct, frozen=True):
    """Token counts and times; `prompt_n` leaves out the tokens that came from the cache."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_second: float


def total(usages: Sequence[Usage], choices: int = 1) -> Usage:
    """The sum over all answers; a prompt counts once, however many `choices` answer it."""
    # Which choice comes first is chance: the one that knew least has computed the prompt, and the
    # others have copied it.
    prompts = [
        min(usages[at : at + choices], key=lambda usage: usage.cached_tokens)
        for at in range(0, len(usages), choices)
    ]
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in prompts),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in prompts),
        prompt_seconds=sum(usage.prompt_seconds for usage in prompts),
        generation_seconds=sum(usage.generation_seconds for usage in usages),
    )


def usage_body(usage: Usage) -> UsageBody:
    """OpenAI's `usage` object."""
    return UsageBody(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        prompt_tokens_details=PromptDetails(usage.cached_tokens),
    )


def timings(usage: Usage) -> Timings:
    """llama-server's `timings` object."""
    fresh = usage.prompt_tokens - usage.cached_tokens
    return Timings(
        cache_n=usage.cached_tokens,
        prompt_n=fresh,
        prompt_ms=usage.prompt_seconds * 1000,
        prompt_per_second=_rate(fresh, usage.prompt_seconds),
        predicted_n=usage.completion_tokens,
        predicted_ms=usage.generation_seconds * 1000,
        predicted_per_second=_rate(usage.completion_tokens, usage.generation_seconds),
    )


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0
