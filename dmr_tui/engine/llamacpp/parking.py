"""Finished sequences that have left KV memory: their states wait in main memory.

A pass of the model looks through all cells of KV memory that are in use, whoever's they are. What
lies there only because it might be of use again makes every answer slower, so it is kept elsewhere
and copied back when it is needed: that takes about a hundredth of the time of computing it anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from dmr_tui.engine.llamacpp.context import Context, State
from dmr_tui.engine.llamacpp.prefix import PrefixIndex
from dmr_tui.system.memory import read_memory

EXACT_PASS = 128
"""Tokens of a pass that is repeated exactly; see `Memory`."""

LONGEST_DETOUR = 32
"""A state is copied back when at least one token in so many of it is of use."""

RESERVE = 0.1
"""Share of the machine's memory that parked states leave free."""


@dataclass(frozen=True)
class Parked:
    """The state of one sequence."""

    tokens: list[int]
    """All of those that were computed."""
    state: State
    exact: int
    """See `Memory`."""
    number: int


class Parking:
    """The parked states of one context, together at most as much memory as the context has."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._index = PrefixIndex()
        self._parked: dict[int, Parked] = {}
        """The least recently used first."""
        self._numbers = count()
        self._tokens = 0

    def __len__(self) -> int:
        return len(self._parked)

    def find(self, tokens: list[int], *, exact: bool = False) -> tuple[int, Parked | None]:
        """The state that begins like some tokens for longest.

        Args:
            tokens: what is wanted.
            exact: count only what `Parked.exact` counts.

        Returns:
            How many first tokens it has in common with them, and it; zero and None for none.
        """
        best: tuple[int, Parked | None] = (0, None)
        for number, share in self._index.shared(tokens).items():
            parked = self._parked[number]
            ready = usable(share, parked.exact) if exact else share
            if ready > best[0] and self._usable(parked, ready):
                best = (ready, parked)
        return best

    def put(self, slot: int, tokens: list[int], exact: int) -> None:
        """Park the state of a sequence, if there is memory for it; it stays in KV memory as well.

        What it goes on from is forgotten: it is part of it.

        Args:
            slot: the sequence's id.
            tokens: those that it has computed.
            exact: how many of them count as `Parked.exact`.
        """
        share, known = self.find(tokens)
        if known is not None and share == len(tokens) and known.exact >= exact:
            self._parked[known.number] = self._parked.pop(known.number)
            return
        size = self._context.state_size(slot)
        memory = read_memory()
        if len(tokens) > self._context.size or memory.available - size < RESERVE * memory.total:
            return
        for number, share in self._index.shared(tokens).items():
            if share == len(self._parked[number].tokens) and self._parked[number].exact <= exact:
                self._drop(number)
        while self._tokens + len(tokens) > self._context.size or self._crowded:
            self._drop(next(iter(self._parked)))
        number = next(self._numbers)
        self._parked[number] = Parked(tokens, self._context.save(slot), exact, number)
        self._index.add(number, tokens)
        self._tokens += len(tokens)

    def clear(self) -> int:
        """Forget all of them; gives how many bytes that frees."""
        size = sum(len(parked.state) for parked in self._parked.values())
        for number in list(self._parked):
            self._drop(number)
        return size

    @property
    def _crowded(self) -> bool:
        """One more would be more memory than the context has itself.

        A state that cannot be cut takes as much of a short sequence as of a long one.
        """
        return not self._context.divisible and len(self._parked) >= self._context.ids

    def _usable(self, parked: Parked, tokens: int) -> bool:
        """Its first tokens are of use, and worth to copy all of it."""
        if tokens * LONGEST_DETOUR < len(parked.tokens):
            return False
        # Of layers that look back only so far nothing older was saved.
        whole = not self._context.divisible or self._context.window
        return tokens == len(parked.tokens) if whole else True

    def _drop(self, number: int) -> None:
        self._tokens -= len(self._parked.pop(number).tokens)
        self._index.remove(number)


def usable(share: int, exact: int) -> int:
    """How many of the first tokens that two sequences share may stand for exactly computed ones.

    Args:
        share: how many they share.
        exact: how many of one are exact.
    """
    return min(share, exact) // EXACT_PASS * EXACT_PASS
