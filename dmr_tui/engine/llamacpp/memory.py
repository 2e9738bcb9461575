"""Who holds what in KV memory: running sequences, and finished ones that may be of use again."""

from __future__ import annotations

from itertools import count

from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.holding import Holding, Run, count_cells
from dmr_tui.engine.llamacpp.parking import EXACT_PASS, Parked, Parking, usable
from dmr_tui.engine.llamacpp.prefix import PrefixIndex

HEADROOM = 32
"""Tokens that each running answer should still have room for when a new one is admitted."""

WORTH_WAITING = 32
"""So many tokens that another sequence is about to compute are waited for, not computed twice."""

WORTH_KEEPING = 64
"""So many tokens of a finished sequence are not given up for one that goes another way."""

CLUTTER = 1024
"""Tokens of finished sequences that may lie in KV memory beside running ones."""


class Memory:
    """The sequence ids of one context, and the KV cells behind them.

    A sequence that begins like another one shares its cells. What a finished one computed stays,
    the least recently used goes first: out of KV memory, where it makes others slow, into the
    parking. A model whose state cannot be cut shares no beginnings: there a sequence may only go on
    where a finished one has ended.

    Numbers are rounded differently when they are added up in another order: keys and values depend
    on how many tokens a pass has, and where their cells are. What must be the same each time is
    computed by itself from the first cell on, in passes that end at multiples of `EXACT_PASS`, and
    begins only like what was computed in this way.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._index = PrefixIndex()
        self._free = list(range(context.ids))
        self._running: dict[int, Holding] = {}
        self._kept: dict[int, Holding] = {}
        """Finished ones, the least recently used first."""
        self._parking = Parking(context)
        self._authors = count()
        self.used = 0
        """Cells that hold something."""

    @property
    def kept(self) -> int:
        """How many finished sequences are in KV memory."""
        return len(self._kept)

    @property
    def room(self) -> int:
        """Tokens that fit before a finished sequence has to be taken out; 0 where none fits."""
        return max(self._context.size - self.used, 0)

    @property
    def held(self) -> int:
        """Cells that the running sequences hold."""
        return count_cells(self._running.values())

    @property
    def parked(self) -> int:
        """How many finished sequences are remembered elsewhere."""
        return len(self._parking)

    def fits(self, tokens: list[int]) -> bool:
        """Whether a sequence has room beside the running ones, as far as these are known."""
        running = self._running
        if not running:
            return True
        # Each has one more token than it has computed.
        beyond = sum(max(0, each.computed + 1 - each.planned) for each in running.values())
        if self._context.divisible:
            promised = self._index.distinct(running) + beyond
            shares = self._index.shared(tokens)
            own = len(tokens) - max((shares.get(each, 0) for each in running), default=0)
        else:
            promised = sum(each.planned for each in running.values()) + beyond
            own = len(tokens)
        # What is alike is not always shared: who was first to write it did so for itself.
        coming = sum(
            max(0, each.planned - each.computed) for each in running.values() if each.begun
        )
        needed = max(promised, self.held + coming)
        return needed + HEADROOM * len(running) + own <= self._context.size

    def admit(self, tokens: list[int], *, exact: bool = False, anew: bool = False) -> int:
        """Take a sequence in.

        Args:
            tokens: all that are known of it.
            exact: it must be computed the same way each time, if it is by itself.
            anew: all of it must be computed, also what others hold.

        Returns:
            Its id, for `begin` and what follows. If a finished sequence ends where this one goes
            on, it is continued.
        """
        if not self._running:
            self._clear_out(tokens, exact)
        ready, source = (0, -1) if anew else self._best(tokens)
        if self._running and not anew:
            share, parked = self._parking.find(tokens[:-1])
            if parked and share - ready >= WORTH_WAITING and self._restore(parked):
                ready, source = self._best(tokens)
        if source in self._kept and ready == self._kept[source].computed:
            slot, holding = source, self._kept.pop(source)
            holding.planned = len(tokens)
            holding.begun = False
        else:
            if source in self._kept:
                self._touch(source)
            slot = self._free_slot()
            holding = Holding(len(tokens), [Run(next(self._authors), 0)])
        self._running[slot] = holding
        self._index.add(slot, tokens)
        return slot

    def begin(self, slot: int, tokens: list[int], *, anew: bool = False) -> int | None:
        """Share what is there already of a sequence's tokens, but never the last one.

        Args:
            slot: its id.
            tokens: all that are known of it.
            anew: as for `admit`.

        Returns:
            How many first tokens need not be computed; None while another sequence is computing
            many of them: ask again after the next pass.
        """
        holding = self._running[slot]
        ready, source = self._best(tokens, besides=slot)
        if self._context.divisible and not anew:
            if self._coming(slot, tokens) - max(ready, holding.computed) >= WORTH_WAITING:
                return None
            if ready > holding.computed:
                self._copy(source, slot, ready)
        holding.begun = True
        return holding.computed

    def pass_room(self, slot: int) -> int:
        """How many tokens the next pass of a sequence may have that must be repeated exactly."""
        return EXACT_PASS - self._running[slot].computed % EXACT_PASS

    def grow(self, slot: int, tokens: int, *, alone: bool = False) -> None:
        """Note that so many more tokens of a sequence have been computed.

        Args:
            slot: its id.
            tokens: how many more.
            alone: nobody else was in the pass.
        """
        holding = self._running[slot]
        if alone and tokens == EXACT_PASS and self.used == holding.computed == holding.exact:
            holding.exact += tokens
        holding.computed += tokens
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
        holding.tokens = tokens[: holding.computed]
        holding.planned = holding.computed
        if self._running and not self._context.window:
            clutter = sum(each.computed for each in self._kept.values())
            while clutter > CLUTTER and len(self._kept) > 1:
                clutter -= self._kept[next(iter(self._kept))].computed
                self._evict()

    def forget(self, slot: int) -> None:
        """Give a sequence's id and cells back."""
        self._context.forget(slot)
        self._index.remove(slot)
        (self._running if slot in self._running else self._kept).pop(slot)
        self._free.append(slot)
        self._recount()

    def make_room(self, tokens: int) -> None:
        """Take finished sequences out until so many tokens fit, or none is left."""
        while self._kept and self.used + tokens > self._context.size:
            self._evict()

    def release(self) -> int:
        """Forget what is remembered outside of KV memory; gives how many bytes that frees."""
        return self._parking.clear()

    def _evict(self) -> None:
        self._park(next(iter(self._kept)))

    def _park(self, slot: int) -> None:
        """Take a finished sequence out of KV memory."""
        holding = self._kept[slot]
        self._parking.put(slot, holding.tokens, holding.exact)
        self.forget(slot)

    def _clear_out(self, tokens: list[int], exact: bool) -> None:
        """Leave nothing in KV memory but what a sequence goes on with, which is to run alone."""
        if self._context.window and not exact:
            return  # parked, they would be of use as a whole only
        ready, source = self._best(tokens, exact=exact)
        share, parked = self._parking.find(tokens[:-1], exact=exact)
        if share - ready < WORTH_WAITING:
            share = 0
        for slot in list(self._kept):
            if slot != source or share > ready:
                self._park(slot)
        if parked and share > ready:
            self._restore(parked)
        for slot in self._kept:
            self._cut(slot, max(share, ready))

    def _restore(self, parked: Parked) -> bool:
        """Bring a parked sequence back; False when KV memory has no room for it."""
        size = len(parked.tokens)
        self.make_room(size)
        slot = self._free_slot()
        if self.used + size > self._context.size or not self._context.restore(slot, parked.state):
            self._context.forget(slot)
            self._free.append(slot)
            return False
        run = Run(next(self._authors), 0)
        exact = 0 if self.used else parked.exact  # it may lie anywhere between others' cells
        self._kept[slot] = Holding(size, [run], size, exact, tokens=parked.tokens)
        self._index.add(slot, parked.tokens)
        self.used += size
        return True

    def _cut(self, slot: int, tokens: int) -> None:
        """Give up what a finished sequence has behind its first tokens, or park it."""
        holding = self._kept[slot]
        if tokens == holding.computed:
            return
        if holding.computed - tokens >= WORTH_KEEPING:
            self._parking.put(slot, holding.tokens, holding.exact)
        self._context.cut(slot, tokens)
        self._index.remove(slot)
        holding.tokens = holding.tokens[:tokens]
        holding.computed = holding.planned = tokens
        holding.exact = min(holding.exact, tokens)
        holding.runs = [run for run in holding.runs if run.start < tokens]
        self._index.add(slot, holding.tokens)
        self._recount()

    def _free_slot(self) -> int:
        """An id that nobody has."""
        if not self._free:
            self._evict()
        return self._free.pop()

    def _touch(self, slot: int) -> None:
        self._kept[slot] = self._kept.pop(slot)

    def _holding(self, slot: int) -> Holding:
        return self._running.get(slot) or self._kept[slot]

    def _best(
        self, tokens: list[int], besides: int = -1, *, exact: bool = False
    ) -> tuple[int, int]:
        """The most first tokens that some sequence holds, and which; zero and -1 for none."""
        best = (0, -1)
        for slot, share in self._index.shared(tokens[:-1]).items():
            holding = self._holding(slot)
            ready = usable(share, holding.exact) if exact else min(share, holding.computed)
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
        holding.runs = [*shared, Run(next(self._authors), tokens)]
        holding.computed = tokens
        holding.exact = min(self._holding(source).exact, tokens)
        self._recount()

    def _recount(self) -> None:
        self.used = count_cells([*self._running.values(), *self._kept.values()])
