"""One answer on its way: its tokens, how they are drawn, and the text they become."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter

from dmr_tui.engine.llamacpp.sampling import Sampler
from dmr_tui.engine.request import Delta, Event, Finished, FinishReason, Started, Usage
from dmr_tui.engine.text.stream import TextStream

NO_SLOT = -1


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
        limit: int,
        stops: Iterable[str] = (),
    ) -> None:
        """Begin.

        Args:
            request: whose answer it is.
            prompt: at least one token.
            sampler: from now on this object's to close.
            limit: most tokens of the answer, at least 1.
            stops: texts that end the answer.
        """
        self.request = request
        self.tokens = list(prompt)
        self.computed = 0
        self.slot = NO_SLOT
        """Its sequence id in llama.cpp while it is admitted."""
        self._prompt_tokens = len(prompt)
        self._limit = limit
        self._sampler = sampler
        self._text = TextStream(stops)
        self._silent = 0
        """Tokens drawn whose text has not been given yet."""
        self._admitted: float | None = None
        self._first_token: float | None = None

    @property
    def pending(self) -> int:
        """Tokens that are not in KV memory yet."""
        return len(self.tokens) - self.computed

    @property
    def generated(self) -> int:
        """Tokens of the answer so far, an end token included."""
        return len(self.tokens) - self._prompt_tokens

    def admit(self, slot: int) -> list[Event]:
        """Take a place in KV memory."""
        self.slot = slot
        if self._admitted is not None:
            return []
        self._admitted = perf_counter()
        return [Started(prompt_tokens=self._prompt_tokens)]

    def lose_place(self) -> None:
        """Give the place up; everything has to be computed again."""
        self.slot = NO_SLOT
        self.computed = 0

    def draw(self, index: int) -> int:
        """The next token, from the logits at an index of the batch."""
        token = self._sampler.sample(index)
        self.tokens.append(token)
        if self._first_token is None:
            self._first_token = perf_counter()
        return token

    def say(self, piece: bytes) -> list[Event]:
        """Events for the text of the token that was drawn last."""
        self._silent += 1
        return self._delta(self._text.feed(piece))

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
            prompt_seconds=first - begun,
            generation_seconds=now - first,
        )
        return [*self._delta(self._text.finish()), Finished(reason=reason, usage=usage)]

    def close(self) -> None:
        """Free what the sequence holds outside of Python."""
        self._sampler.close()

    def _delta(self, text: str) -> list[Event]:
        if not text:
            return []
        tokens, self._silent = self._silent, 0
        return [Delta(text=text, tokens=tokens)]
