"""Continuous batching: all answers advance together, one pass of the model at a time.

Each pass takes one token of every running answer and fills the rest with parts of prompts. Requests
enter and leave between any two passes. Who does not fit waits its turn, first come, first served.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from time import perf_counter, process_time
from typing import TypeAlias

from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.crew import Crew
from dmr_tui.engine.llamacpp.fault import explained
from dmr_tui.engine.llamacpp.flow import ENDLESS, Flow, Part
from dmr_tui.engine.llamacpp.memory import Memory
from dmr_tui.engine.llamacpp.model import Vocabulary
from dmr_tui.engine.llamacpp.pace import Pace, share_out
from dmr_tui.engine.llamacpp.sequence import Sequence
from dmr_tui.engine.llamacpp.tally import Tally
from dmr_tui.engine.request import Event, FinishReason
from dmr_tui.engine.stats import Stats
from dmr_tui.errors import DmrError

Happening: TypeAlias = tuple[int, Event]
"""An event and the request that it belongs to."""


class Batcher:
    """The sequences of one context and their turns.

    A sequence is admitted when all of its tokens fit beside those of the others. When the answers
    outgrow the memory, the youngest loses its place and waits to be computed again; the oldest
    always goes on.
    """

    def __init__(self, context: Context, vocabulary: Vocabulary, pace: Pace | None = None) -> None:
        self._context = context
        self._vocabulary = vocabulary
        self._pace = pace or Pace()
        self._crew = Crew(context.threads)
        self.tally = Tally()
        """What has been done so far."""
        self._memory = Memory(context)
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        """In the order of their admission."""
        self.failed: list[tuple[int, DmrError]] = []
        """Requests that an error ended; whoever tells it forgets it."""
        self._full = False
        """The last pass found no room: nobody is admitted before one has."""
        self._flow: Flow | None = None
        """Of the last pass, while the next one has the same sequences, a token each."""

    @property
    def idle(self) -> bool:
        """There is nothing to do."""
        return not (self._running or self._waiting)

    @property
    def steady(self) -> bool:
        """Answers run, and nothing but answers: the next pass is as short as the last one."""
        return self._flow is not None

    @property
    def waiting(self) -> int:
        """How many sequences have no place yet."""
        return len(self._waiting)

    def stats(self) -> Stats:
        """What is being done, and what has been."""
        self._settle()
        return self.tally.report(
            busy=len(self._running), waiting=len(self._waiting), kv_used=self._memory.held
        )

    @property
    def _exact_one(self) -> Sequence | None:
        """The only sequence that runs, if it has to be computed the same way each time."""
        alone = len(self._running) == 1 and self._running[0].exact
        return self._running[0] if alone else None

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence whose prompt fits into the context."""
        self._part_ways()
        self._waiting.append(sequence)

    def release(self) -> int:
        """See `Memory.release`."""
        return self._memory.release()

    def cancel(self, request: int) -> None:
        """Drop a request; one that is not here has ended already."""
        for sequence in [*self._running, *self._waiting]:
            if sequence.request == request:
                self._remove(sequence)

    def drop_all(self, reason: DmrError) -> None:
        """Let every request that has a place fail: their state is lost."""
        for sequence in list(self._running):
            self._leave(sequence)
            sequence.close()
            self.failed.append((sequence.request, reason))

    def step(self) -> list[Happening]:
        """Admit who fits, do one pass, and draw a token for every sequence that is ready.

        Raises:
            EngineError: the computation failed; see `drop_all`.
        """
        return self._begin_pass() if self._flow is None else self._go_on(self._flow)

    def _begin_pass(self) -> list[Happening]:
        """Do a pass of whatever there is to compute."""
        self._admit()
        happenings = list(self._begin())
        exact = self._exact_one
        flowing = sum(sequence.flowing for sequence in self._running)
        parts = self._fill(flowing, exact)
        tokens = sum(part.tokens for part in parts)
        self._memory.make_room(tokens)
        threads = self._crew.threads(tokens) if exact is None else self._context.threads
        self._context.use_threads(threads)
        busy, started = process_time(), perf_counter()
        self._full = not self._context.decode()
        if self._full:
            return happenings + list(self._give_way())
        seconds = perf_counter() - started
        read = 0
        if flowing != tokens:
            read = sum(part.tokens for part in parts if part.tokens > 1)
        elif exact is None:
            self._crew.note(tokens, seconds, process_time() - busy)
        self._pace.note(flowing, read, seconds)
        for part in parts:
            part.sequence.computed += part.tokens
            self._memory.grow(part.sequence.slot, part.tokens, alone=len(parts) == 1)
        if flowing == tokens == len(self._running) and not self._waiting:
            quiet = self._unwatched(tokens) if exact is None else ENDLESS
            self._flow = Flow(parts, self._memory.room // tokens, quiet)
        drawn = 0
        for part in parts:
            ready = not part.sequence.pending
            drawn += ready
            self._advance(part, happenings, ready=ready)
        self.tally.passed(tokens - flowing, drawn, perf_counter() - started)
        return happenings

    def _go_on(self, flow: Flow) -> list[Happening]:
        """Do a pass like the last one: each has its next token where its last one was."""
        happenings: list[Happening] = []
        answers = len(flow.parts)
        if flow.passes == flow.most:
            self._settle()
            self._memory.make_room(answers)
            flow.most = max(self._memory.room // answers, 1)
        watched = not flow.quiet
        busy = process_time() if watched else 0.0
        batch = self._context.batch
        for part in flow.parts:
            batch.renew(part.index, part.sequence.tokens[-1], part.sequence.computed)
        started = perf_counter()
        self._full = not self._context.decode()
        if self._full:
            return list(self._give_way())
        decoded = perf_counter()
        if watched:
            self._crew.note(answers, decoded - started, process_time() - busy)
            flow.quiet = self._unwatched(answers)
        else:
            flow.quiet -= 1
        flow.passes += 1
        flow.computing += decoded - started
        for part in flow.parts:
            part.sequence.computed += 1
        for part in flow.parts:
            self._advance(part, happenings, ready=True)
        flow.drawing += perf_counter() - decoded
        return happenings

    def _unwatched(self, answers: int) -> int:
        """Set the threads for what follows a pass of so many answers.

        Returns:
            How many passes do not matter for the choice.
        """
        self._context.use_threads(self._crew.threads(answers))
        return self._crew.skip()

    def _settle(self) -> None:
        """Note the passes that have not been noted."""
        flow = self._flow
        if flow is None or not flow.passes:
            return
        passes, answers = flow.passes, len(flow.parts)
        for part in flow.parts:
            self._memory.grow(part.sequence.slot, passes)
        self._pace.note(answers, 0, flow.computing / passes, passes)
        self.tally.passed(0, answers * passes, flow.computing + flow.drawing, passes)
        flow.most -= passes
        flow.passes, flow.computing, flow.drawing = 0, 0.0, 0.0

    def _part_ways(self) -> None:
        """The next pass has other sequences than the last one."""
        self._settle()
        self._flow = None

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self._context.sequences:
            if self._full and self._running:
                return
            sequence = self._waiting[0]
            if not self._memory.fits(sequence.tokens):
                return
            self._waiting.popleft()
            self._running.append(sequence)
            slot = self._memory.admit(sequence.tokens, exact=sequence.exact, anew=sequence.looking)
            sequence.admit(slot)

    def _begin(self) -> Iterator[Happening]:
        """Let newcomers take what is computed already, or wait for what is about to be."""
        for sequence in self._running:
            if not sequence.begun:
                tokens = sequence.tokens
                shared = self._memory.begin(sequence.slot, tokens, anew=sequence.looking)
                if shared is not None:
                    self.tally.shared(shared)
                    for event in sequence.begin(shared):
                        yield sequence.request, event

    def _fill(self, flowing: int, exact: Sequence | None) -> list[Part]:
        """Fill the batch: first the running answers, then as much of the prompts as is right.

        Args:
            flowing: how many answers go on by a token.
            exact: see `_exact_one`.
        """
        batch = self._context.batch
        batch.clear()
        begun = [sequence for sequence in self._running if sequence.begun]
        parts = [self._put(sequence, 1) for sequence in begun if sequence.pending == 1]
        if len(parts) == len(begun):
            return parts
        reading = [sequence for sequence in begun if sequence.pending > 1]
        wants = [sequence.pending for sequence in reading]
        room = batch.room
        if exact is not None:
            room = self._memory.pass_room(exact.slot)
        elif flowing:
            room = min(room, self._pace.chunk(wants, flowing))
        shares = share_out(room, wants)
        # Beyond the one that each may have for itself.
        outputs = self._context.ids - len(begun)
        for sequence, share in zip(reading, shares, strict=True):
            count = min(share, outputs + 1) if sequence.looking else share
            outputs -= max(0, count - 1) if sequence.looking else 0
            if count:
                parts.append(self._put(sequence, count))
        return parts

    def _put(self, sequence: Sequence, count: int) -> Part:
        start, end = sequence.computed, sequence.computed + count
        looking = sequence.looking
        index = self._context.batch.add(
            sequence.tokens[start:end],
            start,
            sequence.slot,
            wants_output=end == len(sequence.tokens),
            wants_all=looking,
        )
        return Part(sequence, count, index, looking)

    def _advance(self, part: Part, happenings: list[Happening], *, ready: bool) -> None:
        """Let a sequence go on with what a pass gave; should that fail, no other one ends.

        Args:
            part: what the sequence had in the pass.
            happenings: where what comes of it is added.
            ready: all of its tokens are computed, and the next one can be drawn.
        """
        sequence = part.sequence
        try:
            if part.looking:
                sequence.look(part.index - part.tokens + 1, part.tokens)
            if not ready:
                return
            token = sequence.draw(part.index)
            if token is None:
                happenings += self._end(sequence, "length")
                return
            piece = self._vocabulary.spoken(token)
            if piece is None:
                sequence.hush()
                happenings += self._end(sequence, "stop")
                return
            mark = token in sequence.marks
            if mark:
                piece = self._vocabulary.text(token)
            for event in sequence.say(piece, mark=mark):
                happenings.append((sequence.request, event))
            reason = sequence.finish_reason
            if reason:
                happenings += self._end(sequence, reason)
            elif len(sequence.tokens) > self._context.size:
                # Computed again and not moved in the memory: others may share its cells, and not
                # every model's can be moved.
                self._suspend(sequence)
                sequence.shift(self._context.size)
        except Exception as error:
            if sequence not in self._running:
                raise  # it was ended already: what failed is more than this sequence
            self._leave(sequence)
            sequence.close()
            self.failed.append((sequence.request, explained(error)))

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
        self._leave(sequence)
        sequence.lose_place()
        self._waiting.appendleft(sequence)

    def _remove(self, sequence: Sequence) -> None:
        """End a sequence; what it computed may be of use to others."""
        self._part_ways()
        if sequence in self._waiting:
            self._waiting.remove(sequence)
        else:
            self._running.remove(sequence)
            self._memory.keep(sequence.slot, sequence.tokens)
        sequence.close()

    def _leave(self, sequence: Sequence) -> None:
        """Take a sequence's place and all that it holds."""
        self._part_ways()
        self._running.remove(sequence)
        self._memory.forget(sequence.slot)
