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
        moved: when it brought the last ones, or began.
        restarted: whether it was told to begin anew, which is no failure.
        grip: what ends its connection.
        patience: seconds of slowness or silence that are borne.
    """

    run: Run
    begun: float = field(default_factory=lambda: time.monotonic())
    brought: int = 0
    moved: float = field(default_factory=lambda: time.monotonic())
    restarted: bool = False
    grip: Grip = field(default_factory=Grip)
    patience: float = field(default_factory=lambda: _PATIENCE)
    _origin: int = 0
    _past: deque[tuple[float, int]] = field(default_factory=deque)

    def bring(self, count: int) -> None:
        """Count bytes that have just come."""
        self.brought += count
        self.moved = time.monotonic()

    def take(self, run: Run) -> float:
        """Go on with another run; returns the speed that the last one had."""
        speed = self._mean(time.monotonic())
        self.run, self.begun, self._origin = run, time.monotonic(), self.brought
        return speed

    def restart(self) -> None:
        """Have its connection replaced by another one; the next time not so soon."""
        self._past.clear()
        self.patience *= 2
        self.moved = time.monotonic()
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
        while len(self._past) > 2 and self._past[1][0] <= now - self.patience:
            self._past.popleft()
        then, before = self._past[0]
        seconds = now - then
        return (self.brought - before) / seconds if seconds >= self.patience else None

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
        self._moved = clock()
        self._present: int | None = None
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

        When nothing moves at all it may be the network that stands still: then it is one of them.

        Args:
            lanes: those at work.
            present: bytes that are there, whoever has brought them.
        """
        now = self._clock()
        if self._present not in (None, present):
            self._moved = now
        self._present = present
        speeds = {lane: lane.speed(now) for lane in lanes}
        known = [speed for speed in speeds.values() if speed is not None]
        peers = known if len(known) > 1 else [*self.finished]
        usual = median(peers) if peers else 0.0
        slow = {lane for lane, speed in speeds.items() if speed and speed * _SLOW < usual}
        silent = [lane for lane in lanes if now - lane.moved >= lane.patience]
        left_behind = {lane for lane in silent if self._moved > lane.moved + _LOOK}
        if silent and not left_behind and now - self._moved >= _PATIENCE:
            left_behind = {min(silent, key=lambda lane: lane.moved)}
        return [*(slow | left_behind)]
