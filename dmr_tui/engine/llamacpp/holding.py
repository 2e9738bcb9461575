"""What a sequence id of KV memory stands for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class Run:
    """Successive tokens that one sequence computed, for itself and for those that copied them."""

    author: int
    start: int


@dataclass
class Holding:
    """What a sequence id stands for.

    Its tokens are in the index: of a running one those that it began with, else all.
    """

    planned: int
    """Tokens in the index."""
    runs: list[Run]
    """Each ends where the next one begins, the last one at `computed`."""
    computed: int = 0
    exact: int = 0
    """How many first tokens are what computing them again would give; see `Memory`."""
    begun: bool = False
    """It has taken what it can share; from now on it computes."""
    tokens: list[int] = field(default_factory=list)
    """Those that are computed, once it has finished."""


def count_cells(holdings: Iterable[Holding]) -> int:
    """Cells of all these, those that several share counted once."""
    ends: dict[Run, int] = {}
    for holding in holdings:
        for run, following in pairwise([*holding.runs, Run(-1, holding.computed)]):
            ends[run] = max(ends.get(run, 0), following.start)
    return sum(end - run.start for run, end in ends.items())
