"""How many threads a pass is given: as many as help.

Threads wait for each other hundreds of times in a pass. On a machine that is busy with other things
one of them is always late, and fewer threads are faster, often several times. On a quiet one a
single answer may wait for memory alone, and be as fast with fewer, while sixteen need all of them.
That others are in the way shows in the processor's time that a pass did not get; all else can only
be tried.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

PROBE = 6
"""Passes that are compared; the first one after a change does not count."""

FIRST_INTERVAL = 8
LONGEST_INTERVAL = 2048
"""Passes between two trials: each that brings nothing makes the next one rarer."""

LOOK = 24
"""Passes between two looks at whether somebody is in the way of all threads: a look takes time."""

CALM = 4
"""Where nobody is in the way of all threads there are so many times as many passes between trials:
who was given fewer may get them back sooner."""

FEWER_GAIN = 1.0
MORE_GAIN = 0.9
"""What part of the time a trial may take to be kept: more threads have to prove more."""

CROWDED = 0.8
"""Threads that get less of the processors' time than this are held up by others."""

_HOPELESS = 1.3
"""A trial that takes so many times as long is broken off after two passes that count."""

_ABSURD = 1.6
"""And one that takes so many times as long after the first."""


@dataclass
class _Choice:
    """What is known for passes of about so many tokens."""

    threads: int
    interval: int = FIRST_INTERVAL


class Crew:
    """Chooses the number of threads from how long passes take, for each size of pass."""

    def __init__(self, most: int) -> None:
        """Begin with `most` threads, which is never exceeded."""
        self._most = most
        self._choices: dict[int, _Choice] = {}
        """By the number of binary digits of the number of tokens."""
        self._tokens = 0
        """Of the passes that are watched."""
        self._choice = _Choice(most)
        """For these."""
        self._since = 0
        self._due = FIRST_INTERVAL
        """Passes after which to look; the last of them are remembered."""
        self._times: deque[float] = deque(maxlen=PROBE)
        self._shares: deque[float] = deque(maxlen=PROBE)
        """Of the processors' time that the threads got."""
        self._trial: list[float] | None = None
        self._tried = most

    def threads(self, tokens: int) -> int:
        """For a pass of so many tokens."""
        if tokens == self._tokens:
            return self._choice.threads if self._trial is None else self._tried
        choice = self._choices.get(tokens.bit_length())
        return self._most if choice is None else choice.threads

    def skip(self) -> int:
        """How many passes like the last one need not be noted; they count as done."""
        if self._most == 1:
            return LOOK
        if self._trial is not None:
            return 0
        passes = max(self._due - PROBE - self._since, 0)
        self._since += passes
        return passes

    def note(self, tokens: int, seconds: float, busy: float) -> None:
        """Learn from a pass of answers and nothing else.

        Args:
            tokens: how many answers.
            seconds: how long it took.
            busy: seconds of processors that it got, of all threads together.
        """
        if self._most == 1:
            return
        if tokens != self._tokens:
            self._tokens = tokens
            self._choice = self._choices.setdefault(tokens.bit_length(), _Choice(self._most))
            self._begin_anew()
        choice = self._choice
        if self._trial is not None:
            self._trial.append(seconds)
            self._judge(self._trial, choice)
            return
        self._since += 1
        if self._since <= self._due - PROBE:
            return
        self._times.append(seconds)
        self._shares.append(busy / seconds / choice.threads)
        if self._since == self._due:
            self._begin_trial(choice)

    def _begin_trial(self, choice: _Choice) -> None:
        crowded = _middle(self._shares) < CROWDED
        calm = choice.threads == self._most and not crowded
        self._due += LOOK if calm else 1
        if calm and self._since < CALM * choice.interval:
            return
        fewer, more = max(choice.threads // 2, 1), min(choice.threads * 2, self._most)
        down = choice.threads > 1 and (crowded or choice.threads == self._most)
        self._tried = fewer if down else more
        if not crowded or down:
            self._trial = []

    def _judge(self, trial: list[float], choice: _Choice) -> None:
        usual, counted = _middle(self._times), trial[1:]
        limit = {1: _ABSURD, 2: _HOPELESS}.get(len(counted))
        if limit is not None and min(counted) > limit * usual:
            self._reject(choice)
        elif len(counted) == PROBE:
            gain = MORE_GAIN if self._tried > choice.threads else FEWER_GAIN
            if _middle(counted) < gain * usual:
                choice.threads, choice.interval = self._tried, FIRST_INTERVAL
                self._begin_anew()
            else:
                self._reject(choice)

    def _reject(self, choice: _Choice) -> None:
        choice.interval = min(2 * choice.interval, LONGEST_INTERVAL)
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._times.clear()
        self._shares.clear()
        self._trial = None
        self._since, self._due = 0, self._choice.interval


def _middle(values: Collection[float]) -> float:
    return sorted(values)[len(values) // 2]
