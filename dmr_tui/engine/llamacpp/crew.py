"""How many threads a pass of running answers is given: as many as help.

Threads wait for each other hundreds of times in a pass. On a machine that is busy with other things
one of them is always late, and fewer threads are faster, often several times; on a quiet one all of
them are. That others are in the way shows in the processor's time that a pass did not get; whether
fewer threads help then can only be tried.
"""

from __future__ import annotations

from statistics import median

PROBE = 6
"""Passes that are compared; the first one after a change does not count."""

FIRST_INTERVAL = 8
LONGEST_INTERVAL = 2048
"""Passes between two trials: each that brings nothing makes the next one rarer."""

FEWER_GAIN = 0.85
MORE_GAIN = 0.95
"""What part of the time a trial may take to be kept: fewer threads have to prove more."""

CROWDED = 0.8
"""Threads that get less of the processors' time than this are held up by others."""

_HOPELESS = 1.3
"""A trial that takes so many times as long is broken off at once."""


class Crew:
    """Chooses the number of threads from how long passes take."""

    def __init__(self, most: int) -> None:
        """Begin with `most` threads, which is never exceeded."""
        self.threads = most
        """For the next pass of answers."""
        self._most = most
        self._usual = most
        self._interval = FIRST_INTERVAL
        self._since = 0
        self._sequences = 0
        self._times: list[float] = []
        self._shares: list[float] = []
        """Of the processors' time, with the usual number of threads."""
        self._trial: list[float] | None = None

    def note(self, sequences: int, seconds: float, busy: float) -> None:
        """Learn from a pass of so many answers and nothing else.

        Args:
            sequences: how many answers.
            seconds: how long it took.
            busy: seconds of processors that it got, of all threads together.
        """
        if self._most == 1:
            return
        if sequences != self._sequences:
            self._sequences = sequences
            self._times.clear()
            self._shares.clear()
            self._end_trial(self._usual)
        if self._trial is not None:
            self._trial.append(seconds)
            self._judge(self._trial)
            return
        self._times = [*self._times[1 - PROBE :], seconds]
        self._shares = [*self._shares[1 - PROBE :], busy / seconds / self.threads]
        self._since += 1
        if self._since >= self._interval and len(self._shares) == PROBE:
            self._begin_trial()

    def _begin_trial(self) -> None:
        """Try fewer threads where they are held up, more where they are not."""
        crowded = median(self._shares) < CROWDED
        trial = max(self._usual // 2, 1) if crowded else min(self._usual * 2, self._most)
        if trial != self._usual:
            self.threads = trial
            self._trial = []

    def _judge(self, trial: list[float]) -> None:
        usual, counted = median(self._times), trial[1:]
        if len(counted) == 2 and min(counted) > _HOPELESS * usual:
            self._reject()
        elif len(counted) == PROBE:
            gain = MORE_GAIN if self.threads > self._usual else FEWER_GAIN
            if median(counted) < gain * usual:
                self._usual = self.threads
                self._times = counted
                self._shares.clear()
                self._interval = FIRST_INTERVAL
                self._end_trial(self._usual)
            else:
                self._reject()

    def _reject(self) -> None:
        self._interval = min(2 * self._interval, LONGEST_INTERVAL)
        self._end_trial(self._usual)

    def _end_trial(self, threads: int) -> None:
        self.threads = threads
        self._trial = None
        self._since = 0
