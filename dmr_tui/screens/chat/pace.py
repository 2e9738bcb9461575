"""How fast an answer has come in its last moments."""

from __future__ import annotations

from collections import deque

_SAMPLES = 10
_SECONDS = 0.5


class Pace:
    """Tokens per second over a few short spans, for a small graph."""

    def __init__(self) -> None:
        """Nothing has been measured."""
        self._rates: deque[float] = deque(maxlen=_SAMPLES)
        self._since: tuple[float, int] | None = None

    @property
    def rates(self) -> tuple[float, ...]:
        """The oldest span first."""
        return tuple(self._rates)

    def begin(self) -> None:
        """Another answer is on its way."""
        self._rates.clear()
        self._since = None

    def note(self, now: float, tokens: int) -> None:
        """Tell how many tokens have come so far.

        Args:
            now: seconds of a monotonic clock.
            tokens: of the whole answer.
        """
        if self._since is None:
            if tokens:
                self._since = (now, tokens)
            return
        begun, before = self._since
        if now - begun >= _SECONDS:
            self._rates.append((tokens - before) / (now - begun))
            self._since = (now, tokens)
