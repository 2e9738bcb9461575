"""How much of which prompt goes into a pass, so that nobody is held up for long."""

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

TILE = 64
"""From so many tokens on, those of answers included, llama.cpp computes attention in tiles: a token
costs less than among fewer, where each looks at all of the context by itself."""

BURST = 2.0
"""Seconds of a burst at most; where one tile takes longer, there are none. It fills whole tiles:
the more of them, the less each token costs, and the sooner nobody has to wait any more."""

REST = 40
"""Passes of answers alone between two bursts: of the gaps between an answer's words, one in 41
is a burst, and so stays beyond the 95th percentile also where other passes are late."""

LONGEST_REST = 4.0
"""Where these passes take more than so many times as long as a burst, there are none either: a few
tokens in each pass are read sooner."""

_WEIGHT = 0.25
_WEIGHT_OF_MANY = 0.5
"""Their cost grows as a prompt is read, and a long pass tells it well."""
_OUTLIER = 2.0
"""A measurement counts as at most so many times what was expected: the machine was elsewhere."""


class Pace:
    """Learns from the passes' times what a prompt's token costs beside running answers.

    Where reading a tile takes no longer than the answers' own pass, each pass has some of a prompt.
    Else bursts of whole tiles take turns with passes of the answers alone, which so keep as much of
    the time, and seldom wait. Where a tile takes too long for that, or the answers' passes do, each
    pass has a few tokens.
    """

    def __init__(self) -> None:
        self._plain: dict[int, float] = {}
        """Seconds of a pass of answers alone, by how many they are."""
        self._few = 0.0
        """Seconds that each token of a prompt adds where all together are less than a tile."""
        self._many = 0.0
        """The same where they are not."""
        self._burst = 0.0
        """Seconds that many tokens held the answers up for last."""
        self._rested = 0.0
        """Seconds of answers alone since then."""
        self._passes = 0
        """And how many passes."""

    def chunk(self, wants: Sequence[int], answering: int) -> int:
        """Prompt tokens for a pass in which answers run; 0 where it is their turn alone.

        Where more wait for their first word than for their next one, they get their share of the
        time, and prompts that are read in a moment are read at once.

        Args:
            wants: tokens that each prompt still needs, at least one of them.
            answering: answers that run, at least 1.
        """
        return max(self._part(wants, answering), self._momentary(wants))

    def _part(self, wants: Sequence[int], answering: int) -> int:
        stretch = max(STRETCH - 1, len(wants) / answering)
        plain = self._expected(answering)
        if not (plain and (self._few or self._many)):
            return int(FIRST_CHUNK * stretch)
        seconds = stretch * plain
        many = int(seconds / self._many) if self._many else 0
        if many + answering >= TILE:
            return many
        tile, rest = TILE * self._many, REST * plain
        seldom = rest > LONGEST_REST * BURST
        if seldom or not 0 < tile <= BURST:
            return max(SMALLEST_CHUNK, int(seconds / (self._few or self._many)))
        if self._passes * stretch < REST or self._rested * stretch < self._burst:
            return 0
        tiles = (min(BURST, rest) / self._many + answering) // TILE
        burst = max(int(tiles), 1) * TILE - answering
        left = sum(wants)
        return left if left - burst < TILE else burst  # what would be left would be dear

    def note(self, answering: int, prompt_tokens: int, seconds: float, passes: int = 1) -> None:
        """Learn from a pass, or from several of answers alone.

        Args:
            answering: how many answers ran.
            prompt_tokens: how much of prompts was in it.
            seconds: how long it took, or each of them on average.
            passes: how many.
        """
        if not prompt_tokens:
            self._passes += passes
            self._rested += seconds * passes
            if answering:
                known, weight = self._plain.get(answering, 0.0), 1 - (1 - _WEIGHT) ** passes
                self._plain[answering] = _average(known, seconds, weight)
            return
        added = max(seconds - self._expected(answering), 0.0)
        if answering + prompt_tokens >= TILE:
            self._many = _average(self._many, added / prompt_tokens, _WEIGHT_OF_MANY)
            if answering:
                self._burst, self._rested, self._passes = added, 0.0, 0
        elif answering and self._plain:
            self._few = _average(self._few, added / prompt_tokens)

    def _momentary(self, wants: Sequence[int]) -> int:
        """Tokens for those prompts that are read in a moment, the shortest first.

        Twice theirs where there are others: the oldest one gets half, and may be a long one.
        """
        most = total = 0
        for count, want in enumerate(sorted(wants), 1):
            total += want
            if 0 < total * self._many <= PAUSE * count:
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


def share_out(room: int, wants: list[int]) -> list[int]:
    """Divide the tokens of a pass among prompts.

    The first one gets at least half, so that it does not wait for ever; the rest goes to those
    that need least, so that they do not wait for long. Nobody who is done waits for the little that
    the next one could get: less than a quarter of a pass is left.

    Args:
        room: how many tokens there are.
        wants: what each prompt still needs, the oldest first.

    Returns:
        What each gets, in the same order.
    """
    shares = [min(want, (room + 1) // 2 if at == 0 else 0) for at, want in enumerate(wants)]
    left = room - sum(shares)
    for at in sorted(range(len(wants)), key=lambda at: wants[at] - shares[at]):
        missing = wants[at] - shares[at]
        if left < missing and left <= room // 4:
            break
        more = min(left, missing)
        shares[at] += more
        left -= more
    return shares


def _average(known: float, seen: float, weight: float = _WEIGHT) -> float:
    if not known:
        return seen
    return known + weight * (min(seen, _OUTLIER * known) - known)
