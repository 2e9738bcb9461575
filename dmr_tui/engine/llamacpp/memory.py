"""Who holds what in KV memory: running sequences, and finished ones that may be of use again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count, pairwise

from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.prefix import PrefixIndex

HEADROOM = 32
"""Tokens that each running answer should still have room for when a new one is admitted."""

WORTH_WAITING = 32
"""So many tokens that another sequence is about to compute are waited for, not computed twice."""


@dataclass(frozen=True)
class _Run:
    """Successive tokens that one sequence computed, for itself and for those that copied them."""

    author: int
    start: int


@dataclass
class _Holding:
    """What a sequence id stands for.

    Its tokens are in the index: of a running one those that it began with, else all.
    """

    planned: int
    """Tokens in the index."""
    runs: list[_Run]
    """Each ends where the next one begins, the last one at `computed`."""
    computed: int = 0
    begun: bool = False
    """It has taken what it can share; from now on it computes."""


class Memory:
    """The sequence ids of one context, and the KV cells behind them.

    What a finished sequence computed stays until the room is needed, the least recently used first;
    running ones always come before. A sequence that begins like another one shares its cells. A
    model whose state cannot be cut shares no beginnings: there a sequence may only go on where a
    finished one has ended.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._index = PrefixIndex()
        self._free = list(range(context.ids))
        self._running: dict[int, _Holding] = {}
        self._kept: dict[int, _Holding] = {}
        """Finished ones, the least recently used first."""
        self._authors = count()
        self.used = 0
        """Cells that hold something."""

    @property
    def kept(self) -> int:
        """How many finished sequences are remembered."""
        return len(self._kept)

    @property
    def held(self) -> int:
        """Cells that the running sequences hold."""
        return _cells(self._running.values())

    def fits(self, tokens: list[int]) -> bool:
        """Whether a sequence has room beside the running ones, as far as these are known."""
        running = self._running
        if not running:
            return True
        # Each has one more token than it has computed.
        beyond = sum(max(0, each.computed + 1 - each.planned) for each in running.values())
        if self._context.divisible:
            promised = self._index.distinct(running)
            shares = self._index.shared(tokens)
            own = len(tokens) - max((shares.get(each, 0) for each in running), default=0)
        else:
            promised = sum(each.planned for each in running.values())
            own = len(tokens)
        return promised + beyond + HEADROOM * len(running) + own <= self._context.size

    def admit(self, tokens: list[int]) -> int:
        """Take a sequence in.

        Args:
            tokens: all that are known of it.

        Returns:
            Its id, for `begin` and what follows. If a finished sequence ends where this one goes
            on, it is continued.
        """
        ready, source = self._best(tokens)
        if source in self._kept and ready == self._kept[source].computed:
            slot, holding = source, self._kept.pop(source)
            holding.planned = len(tokens)
        else:
            if source in self._kept:
                self._touch(source)
            if not self._free:
                self._evict()
            slot = self._free.pop()
            holding = _Holding(len(tokens), [_Run(next(self._authors), 0)])
        self._running[slot] = holding
        self._index.add(slot, tokens)
        return slot

    def begin(self, slot: int, tokens: list[int]) -> int | None:
        """Share what is there already of a sequence's tokens, but never the last one.

        Returns:
            How many first tokens need not be computed; None while another sequence is computing
            many of them: ask again after the next pass.
        """
        holding = self._running[slot]
        ready, source = self._best(tokens, besides=slot)
        if self._context.divisible:
            if self._coming(slot, tokens) - max(ready, holding.computed) >= WORTH_WAITING:
                return None
            if ready > holding.computed:
                self._copy(source, slot, ready)
        holding.begun = True
        return holding.computed

    def grow(self, slot: int, tokens: int) -> None:
        """Note that so many more tokens of a sequence have been computed."""
        self._running[slot].computed += tokens
        self.used += tokens

    def keep(self, slot: int, tokens: list[int]) -> None:
        """A sequence has ended: remember what it computed.

        Args:
            slot: its id, which is its own no longer.
            tokens: all of its tokens, computed or not.
        """
        holding = self._running[slot]
        if not holding.computed:
            self.forget(slot)
            return
        del self._running[slot]
        self._kept[slot] = holding
        if holding.computed < holding.planned:
            self._index.remove(slot)
        self._index.add(slot, tokens[: holding.computed])
        holding.planned = holding.computed

    def forget(self, slot: int) -> None:
        """Give a sequence's id and cells back."""
        self._context.forget(slot)
        self._index.remove(slot)
        (self._running if slot in self._running else self._kept).pop(slot)
        self._free.append(slot)
        self._recount()

    def make_room(self, tokens: int) -> None:
        """Forget finished sequences until so many tokens fit, or none is left."""
        while self._kept and self.used + tokens > self._context.size:
            self._evict()

    def _evict(self) -> None:
        self.forget(next(iter(self._kept)))

    def _touch(self, slot: int) -> None:
        self._kept[slot] = self._kept.pop(slot)

    def _holding(self, slot: int) -> _Holding:
        return self._running.get(slot) or self._kept[slot]

    def _best(self, tokens: list[int], besides: int = -1) -> tuple[int, int]:
        """The most first tokens that some sequence holds, and which; zero and -1 for none."""
        best = (0, -1)
        for slot, share in self._index.shared(tokens[:-1]).items():
            ready = min(share, self._holding(slot).computed)
            if slot != besides and ready > best[0] and self._usable(slot, ready):
                best = (ready, slot)
        return best

    def _usable(self, slot: int, tokens: int) -> bool:
        """Nothing that a token after these looks back at has slid out of the memory."""
        if not self._context.divisible:
            return slot in self._kept and tokens == self._kept[slot].computed
        if not self._context.window:
            return True
        needed = max(0, tokens - self._context.window)
        return self._context.first_position(slot) <= needed

    def _coming(self, slot: int, tokens: list[int]) -> int:
        """The most first tokens that some sequence has begun to compute."""
        shares = self._index.shared(tokens[:-1])
        leaders = (each for each in shares if each != slot and each in self._running)
        return max((shares[each] for each in leaders if self._running[each].begun), default=0)

    def _copy(self, source: int, target: int, tokens: int) -> None:
        """Have a sequence share the first tokens of another one instead of what it has."""
        self._context.forget(target)
        self._context.share(source, target, tokens)
        if source in self._kept:
            self._touch(source)
        holding = self._running[target]
        shared = [run for run in self._holding(source).runs if run.start < tokens]
        holding.runs = [*shared, _Run(next(self._authors), tokens)]
        holding.computed = tokens
        self._recount()

    def _recount(self) -> None:
        self.used = _cells([*self._running.values(), *self._kept.values()])


def _cells(holdings: Iterable[_Holding]) -> int:
    """Cells of all these, those that several share counted once."""
    ends: dict[_Run, int] = {}
    for holding in holdings:
        for run, following in pairwise([*holding.runs, _Run(-1, holding.computed)]):
            ends[run] = max(ends.get(run, 0), following.start)
    return sum(end - run.start for run, end in ends.items())
