"""One answer on its way: the event stream, what has come of it, and how fast it comes."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from dmr_tui.chat.conversation import Conversation
from dmr_tui.engine.request import (
    Delta,
    Event,
    Finished,
    FinishReason,
    Loading,
    ReasoningDelta,
    Started,
    Usage,
)
from dmr_tui.runner.base import Runner


@dataclass(frozen=True)
class TurnStats:
    """Counts and speeds of one answer; a speed is None where it cannot be known.

    Attributes:
        prompt_tokens: tokens of the prompt, cached ones included.
        cached_tokens: those of them that did not have to be evaluated.
        completion_tokens: generated tokens.
        first_token_seconds: from the end of loading to the first text; None before it came.
        prompt_rate: evaluated prompt tokens per second.
        generation_rate: generated tokens per second.
        total_seconds: from the question to now or to the end, loading included.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    first_token_seconds: float | None
    prompt_rate: float | None
    generation_rate: float | None
    total_seconds: float


class Turn:
    """Ask one question and gather its answer.

    Iterate over `stream()`; the fields below are true at any moment of it. However the stream
    ends, the conversation stays one that can go on: what came of an answer is kept in it, and a
    question that got nothing at all is taken back (its text is still `prompt`).

    Attributes:
        prompt: the question.
        text: the answer so far.
        reasoning: the model's thoughts so far.
        loading: how far the model is loaded, 0 to 1; None when it was in memory.
        reason: why the answer ended; None while it runs and when it was stopped.
    """

    def __init__(
        self,
        conversation: Conversation,
        runner: Runner,
        prompt: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.prompt = prompt
        self.text = ""
        self.reasoning = ""
        self.loading: float | None = None
        self.reason: FinishReason | None = None
        self._conversation = conversation
        self._runner = runner
        self._clock = clock
        self._asked = self._started = clock()
        self._first: float | None = None
        self._last = self._asked
        self._ended: float | None = None
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self._tokens = 0
        self._usage: Usage | None = None

    @property
    def stopped(self) -> bool:
        """The stream has ended before the model had finished."""
        return self._ended is not None and self.reason is None

    async def stream(self) -> AsyncGenerator[Event, None]:
        """Put the question to the runner and pass its events on.

        Raises:
            DmrError: as `Runner.generate` says.
        """
        self._asked = self._started = self._clock()
        request = self._conversation.ask(self.prompt)
        events = self._runner.generate(
            self._conversation.model, request, profile=self._conversation.profile
        )
        try:
            async with aclosing(events):
                async for event in events:
                    self._note(event)
                    yield event
        finally:
            self._settle()

    def _note(self, event: Event) -> None:
        now = self._clock()
        match event:
            case Loading():
                self.loading = event.fraction
            case Started():
                self._started = now
                self._prompt_tokens = event.prompt_tokens
                self._cached_tokens = event.cached_tokens
            case Delta() | ReasoningDelta():
                if self._first is None:
                    self._first = now
                self._last = now
                self._tokens += event.tokens
                if isinstance(event, Delta):
                    self.text += event.text
                else:
                    self.reasoning += event.text
            case Finished():
                self.reason = event.reason
                self._usage = event.usage

    def _settle(self) -> None:
        self._ended = self._clock()
        if self.text or self.reasoning or self.reason:
            self._conversation.answer(self.text, self.reasoning)
        else:
            self._conversation.take_back()

    def stats(self) -> TurnStats:
        """Counts and speeds as of now: the engine's own once it has finished."""
        until = self._ended if self._ended is not None else self._clock()
        first = None if self._first is None else self._first - self._started
        usage = self._usage or Usage(
            self._prompt_tokens,
            self._tokens,
            self._cached_tokens,
            prompt_seconds=first or 0.0,
            generation_seconds=0.0 if self._first is None else self._last - self._first,
        )
        return TurnStats(
            usage.prompt_tokens,
            usage.cached_tokens,
            usage.completion_tokens,
            first,
            _rate(usage.prompt_tokens - usage.cached_tokens, usage.prompt_seconds),
            # The clock starts with the first token, so that one took none of the time.
            _rate(usage.completion_tokens - 1, usage.generation_seconds),
            until - self._asked,
        )


def _rate(tokens: int, seconds: float) -> float | None:
    return tokens / seconds if tokens > 0 and seconds > 0 else None
