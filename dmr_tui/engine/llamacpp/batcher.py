"""Continuous batching: all answers advance together, one pass of the model at a time.

Each pass takes one token of every running answer and fills the rest with parts of prompts. Requests
enter and leave between any two passes. Who does not fit waits its turn, first come, first served.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.model import Vocabulary
from dmr_tui.engine.llamacpp.sequence import Sequence
from dmr_tui.engine.request import Event, FinishReason

PROMPT_CHUNK = 64
"""Prompt tokens of a pass while answers run: what keeps them flowing while others begin."""

HEADROOM = 32
"""Tokens that each running answer should still have room for when a new one is admitted."""

Happening: TypeAlias = tuple[int, Event]
"""An event and the request that it belongs to."""


@dataclass(frozen=True)
class _Part:
    """What one sequence has in a batch: so many tokens, the last of them at `index`."""

    sequence: Sequence
    tokens: int
    index: int


class Batcher:
    """The sequences of one context and their turns.

    A sequence is admitted when all of its tokens fit beside those of the others. When the answers
    outgrow the memory, the youngest loses its place and waits to be computed again; the oldest
    always goes on.
    """

    def __init__(self, context: Context, vocabulary: Vocabulary) -> None:
        self._context = context
        self._vocabulary = vocabulary
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        """In the order of their admission."""
        self._slots = list(range(context.sequences))

    @property
    def idle(self) -> bool:
        """There is nothing to do."""
        return not (self._running or self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence whose prompt fits into the context."""
        self._waiting.append(sequence)

    def cancel(self, request: int) -> None:
        """Drop a request; one that is not here has ended already."""
        for sequence in [*self._running, *self._waiting]:
            if sequence.request == request:
                self._remove(sequence)

    def drop_all(self) -> list[int]:
        """Drop every request that has a place, and say which: their state is lost."""
        dropped = list(self._running)
        for sequence in dropped:
            self._remove(sequence)
        return [sequence.request for sequence in dropped]

    def step(self) -> list[Happening]:
        """Admit who fits, do one pass, and draw a token for every sequence that is ready.

        Raises:
            EngineError: the computation failed; see `drop_all`.
        """
        happenings = list(self._admit())
        parts = self._fill()
        if not self._context.decode():
            return happenings + list(self._give_way())
        for part in parts:
            part.sequence.computed += part.tokens
            if part.sequence.pending == 0:
                happenings += self._advance(part.sequence, part.index)
        return happenings

    def _admit(self) -> Iterator[Happening]:
        while self._waiting and self._slots:
            sequence = self._waiting[0]
            claimed = sum(len(running.tokens) + HEADROOM for running in self._running)
            if self._running and claimed + len(sequence.tokens) > self._context.size:
                return
            self._waiting.popleft()
            self._running.append(sequence)
            for event in sequence.admit(self._slots.pop()):
                yield sequence.request, event

    def _fill(self) -> list[_Part]:
        """Fill the batch: first the running answers, then as much of the prompts as is right."""
        batch = self._context.batch
        batch.clear()
        answering = [sequence for sequence in self._running if sequence.pending == 1]
        parts = [self._put(sequence, 1) for sequence in answering]
        left = min(batch.room, PROMPT_CHUNK) if answering else batch.room
        for sequence in self._running:
            count = min(sequence.pending, left)
            if sequence.pending > 1 and count:
                parts.append(self._put(sequence, count))
                left -= count
        return parts

    def _put(self, sequence: Sequence, count: int) -> _Part:
        start, end = sequence.computed, sequence.computed + count
        index = self._context.batch.add(
            sequence.tokens[start:end],
            start,
            sequence.slot,
            wants_output=end == len(sequence.tokens),
        )
        return _Part(sequence, count, index)

    def _advance(self, sequence: Sequence, index: int) -> Iterator[Happening]:
        token = sequence.draw(index)
        if token is None:
            yield from self._end(sequence, "length")
            return
        if self._vocabulary.ends(token):
            yield from self._end(sequence, "stop")
            return
        known = self._vocabulary
        piece = known.text(token) if token in sequence.marks else known.piece(token)
        for event in sequence.say(piece):
            yield sequence.request, event
        if sequence.finish_reason:
            yield from self._end(sequence, sequence.finish_reason)

    def _end(self, sequence: Sequence, reason: FinishReason) -> Iterator[Happening]:
        for event in sequence.finish(reason):
            yield sequence.request, event
        self._remove(sequence)

    def _give_way(self) -> Iterator[Happening]:
        """The memory is full: one sequence fewer, or the end of the only one."""
        youngest = self._running[-1]
        if len(self._running) > 1:
            self._suspend(youngest)
        else:
            yield from self._end(youngest, "length")

    def _suspend(self, sequence: Sequence) -> None:
        """Take a sequence's place away; it is the next to be admitted."""
        self._free(sequence)
        sequence.lose_place()
        self._waiting.appendleft(sequence)

    def _remove(self, sequence: Sequence) -> None:
        if sequence in self._waiting:
            self._waiting.remove(sequence)
        else:
            self._free(sequence)
        sequence.close()

    def _free(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        self._context.forget(sequence.slot)
        self._slots.append(sequence.slot)
