"""How fast lanes are: whether more of them pay, and which of them hang behind the others."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from statistics import median

from dmr_tui.store.transfer.grip import Grip
from dmr_tui.store.transfer.pieces import Run

_WINDOW = 0.2  # seconds over which the speed of all is measured
_PAYS = 1.1  # times as fast more lanes must be

_LOOK = 0.5  # seconds between looks at each lane
_PATIENCE = 5.0  # seconds over which a lane's speed is measured
_SLOW = 8  # times slower than the others: such a lane is begun anew
_LATE = 1.0  # seconds; a lane that needs longer is helped by one that has nothing to do
_REMEMBERED = 16  # runs


@dataclass(eq=False)
class Lane:
    """One of several connections that fetch a blob.

    Attributes:
        run: what it fetches.
        begun: when it began with that, in seconds.
        brought: bytes that it has brought.
        restarted: whether it was told to begin anew, which is no failure.
        grip: what ends its connection.
    """

    run: Run
    begun: float = field(default_factory=time.monotonic)
    brought: int = 0
    restarted: bool = False
    grip: Grip = field(default_factory=Grip)
    _origin: int = 0
    _past: deque[tuple[float, int]] = field(default_factory=deque)
    _patience: float = _PATIENCE

    def take(self, run: Run) -> float:
        """Go on with another run; returns the speed that the last one had."""
        speed = self._mean(time.monotonic())
        self.run, self.begun, self._origin = run, time.monotonic(), self.brought
        return speed

    def restart(self) -> None:
        """Have its connection replaced by another one; the next time not so soon."""
        self._past.clear()
        self._patience *= 2
        self.restarted = True
        if not self.grip.break_off():
            self.restarted = False  # it is between two connections

    def seconds_left(self, now: float) -> float:
        """How long it needs for its run at the speed that it has had; 0 while nobody can tell."""
        if now - self.begun < _LOOK:
            return 0.0
        speed = self._mean(now)
        return self.run.left / speed if speed else float("inf")

    def speed(self, now: float) -> float | None:
        """Bytes per second of late; None while it is too early to tell."""
        self._past.append((now, self.brought))
        while len(self._past) > 2 and self._past[1][0] <= now - self._patience:
            self._past.popleft()
        then, before = self._past[0]
        seconds = now - then
        return (self.brought - before) / seconds if seconds >= self._patience else None

    def _mean(self, now: float) -> float:
        seconds = now - self.begun
        return (self.brought - self._origin) / seconds if seconds else 0.0


def latest(lanes: Iterable[Lane], now: float) -> Lane | None:
    """The lane that holds all others up, when there is nothing else to fetch; None: none does."""
    last = max(lanes, key=lambda lane: lane.seconds_left(now), default=None)
    return last if last is not None and last.seconds_left(now) > _LATE else None


class Pace:
    """Whether more lanes have made the whole faster."""

    def __init__(self, present: int) -> None:
        """Begin to measure.

        Args:
            present: bytes that are there.
        """
        self._present = present
        self._since = time.monotonic()
        self._best = 0.0
        self._rising = True

    def pays(self, present: int) -> bool:
        """Whether to add lanes now, having so many bytes."""
        now = time.monotonic()
        seconds = now - self._since
        if not self._rising or seconds < _WINDOW or present == self._present:
            return False
        speed = (present - self._present) / seconds
        self._rising = speed > _PAYS * self._best
        self._best, self._present, self._since = speed, present, now
        return self._rising


class Watch:
    """Looks at lanes now and then, for those that hang or crawl while others get on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing has been seen.

        Args:
            clock: seconds, rising.
        """
        self._clock = clock
        self._seen = clock()
        self._moved = 0.0
        self._present = -1
        self.finished: deque[float] = deque(maxlen=_REMEMBERED)
        """Bytes per second of runs that are done."""

    def is_due(self) -> bool:
        """Whether it is time for a look."""
        now = self._clock()
        if now - self._seen < _LOOK:
            return False
        self._seen = now
        return True

    def laggards(self, lanes: Collection[Lane], present: int) -> list[Lane]:
        """The lanes that a new connection would serve better.

        When nothing moves at all it is the network that stands still, and none of them is.

        Args:
            lanes: those at work.
            present: bytes that are there, whoever has brought them.
        """
        now = self._clock()
        if present != self._present:
            self._present, self._moved = present, now
        speeds = {lane: lane.speed(now) for lane in lanes}
        known = [speed for speed in speeds.values() if speed is not None]
        peers = known if len(known) > 1 else [*self.finished]
        usual = median(peers) if peers else 0.0
        lately = now - self._moved < _PATIENCE
        return [
            lane
            for lane, speed in speeds.items()
            if speed is not None and (speed * _SLOW < usual or (speed == 0 and lately))
        ]
