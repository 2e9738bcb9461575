"""How much goes through disks and network, in bytes per second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

_LOOPBACK = ("lo", "lo0", "Loopback")


@dataclass(frozen=True)
class Traffic:
    """Bytes per second since the reading before.

    Attributes:
        inward: read from disks, or received.
        outward: written to disks, or sent.
    """

    inward: float
    outward: float


Counter = Callable[[], tuple[int, int] | None]
"""Totals of both directions, in bytes; None where the system keeps none."""


class TrafficMeter:
    """Tells a counter's speed from one reading to the next."""

    def __init__(self, counter: Counter, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin; the first reading is of the time from here on."""
        self._counter = counter
        self._clock = clock
        self._at, self._before = clock(), counter()

    def read(self) -> Traffic | None:
        """The speed since the last reading; None where there is no counter."""
        now, totals = self._clock(), self._counter()
        before, at = self._before, self._at
        self._at, self._before = now, totals
        if totals is None or before is None or now <= at:
            return None
        # A disk or a card that was taken away takes its count along.
        inward, outward = (max(new - old, 0) for new, old in zip(totals, before, strict=True))
        return Traffic(inward / (now - at), outward / (now - at))


def disk_totals() -> tuple[int, int] | None:
    """Bytes read from and written to all disks since the machine's start."""
    counters = psutil.disk_io_counters()
    return None if counters is None else (counters.read_bytes, counters.write_bytes)


def network_totals() -> tuple[int, int] | None:
    """Bytes received and sent by all cards since the machine's start, without loopback."""
    cards = psutil.net_io_counters(pernic=True)
    real = [counters for name, counters in cards.items() if not name.startswith(_LOOPBACK)]
    if not real:
        return None
    return sum(card.bytes_recv for card in real), sum(card.bytes_sent for card in real)
