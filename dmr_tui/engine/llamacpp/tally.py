"""Counts what a worker does: a few additions for each pass, and a report once a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic

from dmr_tui.engine.stats import Stats

INTERVAL = 1.0
"""Seconds between two reports."""

_REQUESTS = 100
"""So many of the last requests tell how long a first token takes."""

_WARM = 0.05
"""Seconds of work that a speed is told from at least."""


class Tally:
    """The totals of one worker, and when to tell them.

    A pass that reads prompts beside running answers counts as time of both: the speeds are what
    the waiting people see.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Begin at zero; the first report is due one interval from now."""
        self._clock = clock
        self._told_at = clock()
        self._told = Stats()
        self._passes = 0
        self._prompt_tokens = self._generated_tokens = self._cached_tokens = 0
        self._prompt_seconds = self._generation_seconds = 0.0
        self._first_tokens: deque[float] = deque(maxlen=_REQUESTS)

    def passed(
        self, prompt_tokens: int, generated_tokens: int, seconds: float, passes: int = 1
    ) -> None:
        """Count a pass of the batch, or several with all that they did together."""
        self._passes += passes
        if prompt_tokens > 0:
            self._prompt_tokens += prompt_tokens
            self._prompt_seconds += seconds
        if generated_tokens:
            self._generated_tokens += generated_tokens
            self._generation_seconds += seconds

    def shared(self, tokens: int) -> None:
        """Count prompt tokens that need not be computed."""
        self._cached_tokens += tokens

    def first_token(self, seconds: float) -> None:
        """Note how long a request waited for its first token."""
        self._first_tokens.append(seconds)

    @property
    def untold(self) -> bool:
        """Whether there is something to tell, now or when it is due."""
        told = self._told
        return self._passes != told.passes or bool(told.busy or told.waiting)

    @property
    def seconds_left(self) -> float:
        """Until the next report is due, at least 0."""
        return max(self._told_at + INTERVAL - self._clock(), 0.0)

    def report(self, *, busy: int, waiting: int, kv_used: int) -> Stats:
        """The figures as of now; the next report is due one interval later."""
        first = sorted(self._first_tokens)
        self._told_at = self._clock()
        self._told = Stats(
            busy=busy,
            waiting=waiting,
            kv_used=kv_used,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            generated_tokens=self._generated_tokens,
            prompt_seconds=self._prompt_seconds,
            generation_seconds=self._generation_seconds,
            passes=self._passes,
            prompt_speed=_speed(
                self._prompt_tokens - self._told.prompt_tokens,
                self._prompt_seconds - self._told.prompt_seconds,
                self._told.prompt_speed,
            ),
            generation_speed=_speed(
                self._generated_tokens - self._told.generated_tokens,
                self._generation_seconds - self._told.generation_seconds,
                self._told.generation_speed,
            ),
            first_token_p50=first[len(first) // 2] if first else None,
            first_token_p95=first[len(first) * 19 // 20] if first else None,
        )
        return self._told


def _speed(tokens: int, seconds: float, before: float) -> float:
    """Tokens per second; what it was before, when there was too little to tell."""
    if not tokens or (before and seconds < _WARM):
        return before
    return tokens / seconds if seconds > 0 else before
