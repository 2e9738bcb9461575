"""One answer on its way: its tokens, how they are drawn, and the text they become."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from time import perf_counter

import msgspec

from dmr_tui.engine.llamacpp.likelihood import Likelihoods, LookedAt
from dmr_tui.engine.llamacpp.sampling import Sampler
from dmr_tui.engine.llamacpp.tally import Tally
from dmr_tui.engine.request import (
    Delta,
    Event,
    Finished,
    FinishReason,
    PromptLogprobs,
    Started,
    TokenLogprobs,
    Usage,
)
from dmr_tui.engine.text.answer import AnswerText, PlainReader
from dmr_tui.engine.text.reasoning import ReasoningBudget

NO_SLOT = -1


class Thoughts:
    """Ends an answer's thoughts when they have taken their tokens."""

    def __init__(self, budget: int, closings: Iterable[list[int]]) -> None:
        """Begin.

        Args:
            budget: most tokens of thoughts.
            closings: tokens that end them: the first time, and when they begin again.
        """
        self._budget = ReasoningBudget(budget)
        self._closings = deque(closings)
        self._begun = deque[int]()
        """What is left of the closing that is being written."""

    def spend(self) -> None:
        """One more token of thoughts has come."""
        self._budget.spend()

    def next(self, text: AnswerText, sampler: Sampler) -> int | None:
        """The token that has to come next, if thoughts are to end; it has been accepted."""
        if not self._begun and self._budget.spent and text.interruptible:
            self._begin(sampler)
        if not self._begun:
            return None
        token = self._begun.popleft()
        if not sampler.allows(token):
            # A form that goes on otherwise: what is left would end up in the midst of it.
            self._begun.clear()
            return None
        sampler.accept(token)
        return token

    def _begin(self, sampler: Sampler) -> None:
        if self._closings and sampler.allows(self._closings[0][0]):
            self._begun.extend(self._closings.popleft())


class Sequence:
    """A request that the batcher knows.

    Prompt and answer are one list of tokens; those before `computed` are in KV memory. A prompt is
    many tokens that are not there yet, a running answer is one, and a sequence that lost its place
    has all of them to do again: to the batcher they are the same.
    """

    def __init__(
        self,
        request: int,
        prompt: list[int],
        *,
        sampler: Sampler,
        limit: int | None,
        text: AnswerText | None = None,
        marks: frozenset[int] = frozenset(),
        thoughts: Thoughts | None = None,
        likelihoods: Likelihoods | None = None,
        looked_at: LookedAt | None = None,
        tally: Tally | None = None,
        hold_call: Callable[[str, Sampler], bool] | None = None,
        exact: bool = False,
    ) -> None:
        """Begin.

        Args:
            request: whose answer it is.
            prompt: at least one token.
            sampler: from now on this object's to close.
            limit: most tokens of the answer; None: any number.
            text: turns the tokens' bytes into events; None: as plain text.
            marks: control tokens whose spelling belongs to the text.
            thoughts: when and how they are made to end; None: by themselves.
            likelihoods: measures each token; from now on this object's to close.
            looked_at: collects how likely the prompt's own tokens are; needs `likelihoods`.
            tally: told how long the first token took.
            hold_call: holds the rest of the answer to the form of tool calls, the first of which
                begins with a text; tells whether that was possible.
            exact: it is to be the same each time that it is computed.
        """
        self.request = request
        self.tokens = list(prompt)
        self.computed = 0
        self.exact = exact
        """It is to be the same each time, as far as nobody else is answered meanwhile."""
        self.slot = NO_SLOT
        """Its sequence id in llama.cpp while it is admitted."""
        self.begun = False
        """It has what it can share with others, and is being computed."""
        self._prompt_tokens = len(prompt)
        self._forgotten = 0
        """Tokens that a full context has cost."""
        self._cached_tokens = 0
        self._limit = limit
        self._sampler = sampler
        self._text = text or AnswerText(PlainReader())
        self.marks = marks
        """Control tokens whose spelling belongs to the text."""
        self._thoughts = thoughts
        self._likelihoods = likelihoods
        self._looked_at = looked_at
        self._hold_call = hold_call
        self._plain = not (thoughts or likelihoods or looked_at or hold_call)
        """Nothing is done with its tokens but to give their text."""
        self._measured: list[TokenLogprobs] = []
        """Of tokens whose text has not been given yet."""
        self._tally = tally or Tally()
        self._started = False
        self._arrived = perf_counter()
        self._admitted: float | None = None
        self._first_token: float | None = None

    @property
    def pending(self) -> int:
        """Tokens that are not in KV memory yet."""
        return len(self.tokens) - self.computed

    @property
    def generated(self) -> int:
        """Tokens of the answer so far, an end token included."""
        return len(self.tokens) + self._forgotten - self._prompt_tokens

    @property
    def flowing(self) -> bool:
        """Its answer has begun, and goes on with the next pass."""
        return self.pending == 1 and self.generated > 0

    @property
    def looking(self) -> bool:
        """Each of its prompt's tokens has to be computed by itself, and its logits be kept."""
        return self._looked_at is not None and len(self._looked_at.tokens) < self._prompt_tokens - 1

    def look(self, index: int, count: int) -> None:
        """Measure the tokens of the prompt that follow those computed last.

        Args:
            index: in the batch, of the first of these.
            count: how many there were.
        """
        if self._looked_at is None or self._likelihoods is None:
            return
        known = self._looked_at.tokens
        for at in range(count):
            place = self.computed - count + at + 1
            if place == len(known) + 1 and place < self._prompt_tokens:
                known.append(self._likelihoods.measure(index + at, self.tokens[place]))

    def admit(self, slot: int) -> None:
        """Take a place in KV memory."""
        self.slot = slot
        if self._admitted is None:
            self._admitted = perf_counter()

    def begin(self, shared: int) -> list[Event]:
        """Start to compute, behind so many tokens that are there already."""
        self.computed = shared
        self.begun = True
        if self._started:
            return []
        self._started = True
        self._cached_tokens = shared
        return [Started(prompt_tokens=self._prompt_tokens, cached_tokens=shared)]

    def lose_place(self) -> None:
        """Give the place up; what nobody else has must be computed again."""
        self.slot = NO_SLOT
        self.computed = 0
        self.begun = False

    def shift(self, context: int) -> None:
        """Make room in a context of so many tokens: keep how the text begins, and its newer half.

        The beginning is where the instructions are: the prompt, but no more than a quarter of all.
        """
        keep = min(self._prompt_tokens, context // 4)
        dropped = (len(self.tokens) - keep) // 2
        del self.tokens[keep : keep + dropped]
        self._forgotten += dropped

    def draw(self, index: int) -> int | None:
        """The next token, from the logits at an index of the batch.

        Returns:
            None when none is wanted, or can follow in the form that was asked for.
        """
        if self._limit == 0:
            return None
        token = None
        if self._thoughts is not None:
            token = self._thoughts.next(self._text, self._sampler)
        if token is None:
            token = self._sampler.sample(index)
        if token is None:
            return None
        self.tokens.append(token)
        if self._likelihoods is not None:
            self._measured.append(self._likelihoods.measure(index, token))
        if self._first_token is None:
            self._first_token = perf_counter()
            self._tally.first_token(self._first_token - self._arrived)
        return token

    def say(self, piece: bytes, *, mark: bool = False) -> list[Event]:
        """Events for the text of the token that was drawn last.

        Args:
            piece: its bytes; none for most control tokens.
            mark: it is one of `marks`.
        """
        if self._plain:
            return self._text.feed(piece, mark=mark)
        if not piece:
            self.hush()
        thinking = self._text.thinking
        if self._thoughts is not None and thinking:
            self._thoughts.spend()
        events = self._text.feed(piece, mark=mark)
        if self._hold_call is not None:
            opened = self._text.opened
            if opened is not None:
                self._text.hold(self._hold_call(opened, self._sampler))
        if self._text.marked:
            # Tokens of marks are none of the text; the last may be both.
            del self._measured[: -1 if events else None]
        events = [*self._about_prompt(), *self._measure(events)]
        if thinking or self._text.thinking:
            self._measured.clear()  # nothing is told of thoughts, nor of the marks around them
        return events

    def hush(self) -> None:
        """The token that was drawn last has no text."""
        del self._measured[-1:]

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the answer has to end with the token that was said last, if it has to."""
        if self._text.stopped:
            return "stop"
        return "length" if self.generated == self._limit else None

    def finish(self, reason: FinishReason) -> list[Event]:
        """The last events of the answer."""
        now = perf_counter()
        begun = self._admitted or now
        first = self._first_token or now
        usage = Usage(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self.generated,
            cached_tokens=self._cached_tokens,
            prompt_seconds=first - begun,
            generation_seconds=now - first,
        )
        events = [*self._about_prompt(), *self._measure(self._text.finish())]
        if reason == "stop" and self._text.called:
            reason = "tool_calls"
        return [*events, Finished(reason=reason, usage=usage)]

    def close(self) -> None:
        """Free what the sequence holds outside of Python."""
        self._sampler.close()
        if self._likelihoods is not None:
            self._likelihoods.close()

    def _about_prompt(self) -> list[Event]:
        """What was measured of the prompt, once."""
        if self._looked_at is None or self._looked_at.told:
            return []
        self._looked_at.told = True
        return [PromptLogprobs(self._looked_at.first, self._looked_at.tokens)]

    def _measure(self, events: list[Event]) -> list[Event]:
        """Give the first piece of text how likely its tokens were; thoughts and calls have none."""
        if not self._measured or not events:
            return events
        measured, self._measured = self._measured, []
        first, *rest = events
        if isinstance(first, Delta):
            # The blanks between thoughts and answer are left out.
            while measured and measured[0].chosen.piece.isspace() and not first.text[0].isspace():
                del measured[0]
            first = msgspec.structs.replace(first, logprobs=measured)
        return [first, *rest]
