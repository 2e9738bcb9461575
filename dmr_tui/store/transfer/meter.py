"""How fast a transfer is and how long it will take: one computation for every display."""

from __future__ import annotations

from collections import deque

from dmr_tui.store.transfer.progress import TransferProgress

_WINDOW = 5.0
"""Seconds over which the speed is the mean: short enough to follow, long enough to be calm."""


class Meter:
    """Takes a transfer's lines and the time of each; knows no clock itself.

    Attributes:
        total: bytes of all layers; 0 until the source has said it.
        layers: bytes so far of each layer, by its digest.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.total = 0
        self.layers: dict[str, int] = {}
        self._past: deque[tuple[float, int]] = deque()

    @property
    def done(self) -> int:
        """Bytes that are there."""
        return sum(self.layers.values())

    @property
    def speed(self) -> float:
        """Bytes per second; 0 until it can be told. What was there before does not count."""
        if len(self._past) < 2:
            return 0.0
        (first, before), (last, after) = self._past[0], self._past[-1]
        return max(after - before, 0) / (last - first) if last > first else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time until all is there at the present speed; None while nobody can tell."""
        if not self.speed or not self.total:
            return None
        return max(self.total - self.done, 0) / self.speed

    def note(self, line: TransferProgress, now: float) -> None:
        """Take a line.

        Args:
            line: of the transfer.
            now: seconds of a monotonic clock.
        """
        self.total = max(self.total, line.total)
        known = line.layer.id in self.layers
        if line.layer.id:
            self.layers[line.layer.id] = line.layer.current
        if line.layer.id and not known:
            # What a layer begins with was there: the count of the past grows by it too.
            self._past = deque((when, count + line.layer.current) for when, count in self._past)
        self._past.append((now, self.done))
        while len(self._past) > 2 and self._past[1][0] <= now - _WINDOW:
            self._past.popleft()
