"""Wait longer each time before a worker that dies, and answers nothing, is started again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from dmr_tui.errors import DmrError, EngineError

FREE_TRIES = 2
"""Deaths in a row that cost no waiting."""

FIRST_WAIT = 5.0
LONGEST_WAIT = 300.0
"""Seconds; each wait is twice the one before."""


@dataclass(frozen=True)
class _Deaths:
    count: int
    last: float
    error: DmrError


class BackOff:
    """Remembers which models' workers die before they have answered."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing has died yet."""
        self._clock = clock
        self._deaths: dict[str, _Deaths] = {}

    def check(self, model_id: str, name: str) -> None:
        """Refuse a load that would be too soon.

        Raises:
            EngineError: says when, and how the last try ended.
        """
        deaths = self._deaths.get(model_id)
        if deaths is None or deaths.count < FREE_TRIES:
            return
        wait = min(FIRST_WAIT * 2 ** (deaths.count - FREE_TRIES), LONGEST_WAIT)
        left = deaths.last + wait - self._clock()
        if left > 0:
            raise EngineError(
                f"{name} died {deaths.count} times and answered nothing; "
                f"the next try is possible in {left:.0f} s. The last time: {deaths.error.message}",
                deaths.error.hint,
            )

    def died(self, model_id: str, error: DmrError) -> None:
        """A worker died that nobody had ended."""
        before = self._deaths.get(model_id)
        count = 1 if before is None else before.count + 1
        self._deaths[model_id] = _Deaths(count, self._clock(), error)

    def lived(self, model_id: str) -> None:
        """A worker has answered: what was before does not count any more."""
        self._deaths.pop(model_id, None)
