"""How much of a prompt fits into one pass without holding up the answers that run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

STRETCH = 2.0
"""How many times as long a pass may take while somebody's prompt is read."""

FIRST_CHUNK = 64
SMALLEST_CHUNK = 4
"""Below this a prompt hardly moves, and a pass costs little less."""

PAUSE = 0.2
"""Seconds that each newcomer may hold up the answers once, if its prompt is read in that time: many
small parts would take longer, and leave all of them waiting for their first word."""

BULK = 64
"""Tokens of prompts from which on a pass tells what many of them cost: less than a few do."""

_WEIGHT = 0.25
_OUTLIER = 2.0
"""A measurement counts as at most so many times what was expected: the machine was elsewhere."""


class Pace:
    """Learns from the passes' times what a prompt's token costs beside running answers."""

    def __init__(self) -> None:
        self._plain: dict[int, float] = {}
        """Seconds of a pass of answers alone, by how many they are."""
        self._token = 0.0
        """Seconds that each token of a prompt adds."""
        self._bulk = 0.0
        """The same where they are many."""

    def chunk(self, reading: int = 1, answering: int = 1, wants: Sequence[int] = ()) -> int:
        """Prompt tokens for a pass in which answers run.

        Where more wait for their first word than for their next one, they get their share of the
        time, and prompts that are read in a moment are read at once.

        Args:
            reading: prompts that are being read.
            answering: answers that run, at least 1.
            wants: tokens that each of these prompts still needs.
        """
        return max(self._part(reading, answering), self._momentary(wants))

    def _part(self, reading: int, answering: int) -> int:
        stretch = max(STRETCH - 1, reading / answering)
        plain = self._expected(answering)
        if not (plain and self._token):
            return int(FIRST_CHUNK * stretch)
        return max(SMALLEST_CHUNK, int(stretch * plain / self._token))

    def note(self, answering: int, prompt_tokens: int, seconds: float) -> None:
        """Learn from a pass.

        Args:
            answering: how many answers ran.
            prompt_tokens: how much of prompts was in it.
            seconds: how long it took.
        """
        if prompt_tokens >= BULK:
            added = max(seconds - self._expected(answering), 0.0) / prompt_tokens
            self._bulk = _average(self._bulk, added)
        if not answering:
            return
        known = self._plain.get(answering, 0.0)
        if not prompt_tokens:
            self._plain[answering] = _average(known, seconds)
        elif self._plain:
            added = max(seconds - self._expected(answering), 0.0) / prompt_tokens
            self._token = _average(self._token, added)

    def _momentary(self, wants: Sequence[int]) -> int:
        """Tokens for those prompts that are read in a moment, the shortest first.

        Twice theirs where there are others: the oldest one gets half, and may be a long one.
        """
        most = total = 0
        for count, want in enumerate(sorted(wants), 1):
            total += want
            if 0 < total * self._bulk <= PAUSE * count:
                most = total
        return most if most == total else 2 * most

    def _expected(self, answering: int) -> float:
        """Seconds of a pass of so many answers: between those of more and of fewer."""
        if not answering:
            return 0.0
        known = sorted(self._plain.items())
        if not known or answering <= known[0][0]:
            return known[0][1] if known else 0.0
        for (fewer, least), (more, most) in pairwise(known):
            if answering <= more:
                return least + (most - least) * (answering - fewer) / (more - fewer)
        return known[-1][1] * answering / known[-1][0]


def _average(known: float, seen: float) -> float:
    if not known:
        return seen
    return known + _WEIGHT * (min(seen, _OUTLIER * known) - known)
