"""Counts and speeds of an answer."""

from __future__ import annotations

from msgspec import Struct


class TurnStats(Struct, frozen=True):
    """Counts and speeds of one answer; a speed is None where it cannot be known."""

    prompt_tokens: int
    """Tokens of the prompt, cached ones included."""
    cached_tokens: int
    """Those of them that did not have to be evaluated."""
    completion_tokens: int
    """Generated tokens."""
    first_token_seconds: float | None
    """From the end of loading to the first text; None before it came."""
    prompt_rate: float | None
    """Evaluated prompt tokens per second."""
    generation_rate: float | None
    """Generated tokens per second."""
    total_seconds: float
    """From the question to now or to the end, loading included."""


def stats_text(stats: TurnStats) -> str:
    """One line for each count and speed that is known."""

    def rate(tokens: int, per_second: float | None) -> str:
        return f"{tokens} tokens" + (f", {per_second:.2f} tokens/s" if per_second else "")

    first = stats.first_token_seconds
    rows = [
        ("prompt", rate(stats.prompt_tokens, stats.prompt_rate)),
        ("cached", f"{stats.cached_tokens} tokens" if stats.cached_tokens else ""),
        ("first token", "" if first is None else f"{first:.3f} s"),
        ("generation", rate(stats.completion_tokens, stats.generation_rate)),
        ("total", f"{stats.total_seconds:.3f} s"),
    ]
    return "\n".join(f"{name + ':':<13}{value}" for name, value in rows if value)
