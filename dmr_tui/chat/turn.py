"""One answer on its way: the event stream, what has come of it, and how fast it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

from dmr_tui.chat.attachments import attach
from dmr_tui.chat.budget import calibrate, context_window, drop_oldest, make_room
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.sessions import Sessions
from dmr_tui.chat.stats import TurnStats
from dmr_tui.chat.tree import Node
from dmr_tui.engine.request import (
    Delta,
    Event,
    Finished,
    FinishReason,
    Loading,
    Message,
    ReasoningDelta,
    Started,
    Usage,
)
from dmr_tui.errors import ContextLengthError
from dmr_tui.runner.base import Runner

__all__ = ["SAVE_SECONDS", "Turn", "TurnStats"]

SAVE_SECONDS = 0.5
"""How much of an answer a crash may take, at most."""


class Turn:
    """Ask one question and gather its answer.

    Iterate over `stream()`; the fields below are true at any moment of it. However the stream
    ends, the conversation stays one that can go on: what came of an answer is kept in it, and a
    question that got nothing at all is taken back (its text is still `prompt`).

    Attributes:
        prompt: the question as it was typed; the files that it names with `@` are sent in it.
        files: the files that were found in it.
        again: it draws another answer to a question that stands in the conversation.
        left_out: messages that no longer fit into the context and are not sent from now on;
            true from `Started` on.
        text: the answer so far.
        reasoning: the model's thoughts so far.
        loading: how far the model is loaded, 0 to 1; None when it was in memory.
        reason: why the answer ended; None while it runs and when it was stopped.
        question: its place in the conversation; None before the stream begins.
        answer: the answer's place; None before its first text.
    """

    def __init__(
        self,
        conversation: Conversation,
        runner: Runner,
        prompt: str,
        *,
        piped: str = "",
        replaces: Node | None = None,
        again: Node | None = None,
        folder: Path | None = None,
        sessions: Sessions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to ask; nothing happens before `stream()`.

        Args:
            conversation: to go on with.
            runner: where its model runs.
            prompt: what was typed.
            piped: text that is sent below the prompt as it is.
            replaces: an earlier question of which this is another version.
            again: an earlier question to draw another answer to; `prompt` is then its text.
            folder: what relative file names in the prompt are relative to; None: where one is.
            sessions: saves the turn as it happens; None: nothing is saved.
            clock: seconds, for the speeds.
        """
        self.prompt = prompt
        self.files: tuple[Path, ...] = ()
        self.left_out = 0
        self.text = ""
        self.reasoning = ""
        self.loading: float | None = None
        self.reason: FinishReason | None = None
        self.question: Node | None = again
        self.answer: Node | None = None
        self.again = again is not None
        self._again = again
        self._piped = piped
        self._replaces = replaces
        self._folder = folder
        self._conversation = conversation
        self._runner = runner
        self._sessions = sessions
        self._saving: asyncio.TimerHandle | None = None
        self._clock = clock
        self._asked = self._ready = clock()
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
            DmrError: as `Runner.generate` and `attach` say.
        """
        self._asked = self._ready = self._clock()
        attached = await asyncio.to_thread(attach, "" if self._again else self.prompt, self._folder)
        self.files = attached.files
        conversation = self._conversation
        before = conversation.tip
        root = conversation.root
        if self._again is not None:
            conversation.ask_again(self._again)
        else:
            text = "\n\n".join(filter(None, (self.prompt, self._piped)))
            content = attached.content(self._piped)
            conversation.ask(text, content, replaces=self._replaces)
            self.question = conversation.tip
        try:
            await self._prepare()
            async with aclosing(self._events()) as events:
                async for event in events:
                    self._note(event)
                    yield event
        finally:
            self._settle(before, is_there=conversation.root is root)

    async def _prepare(self) -> None:
        conversation = self._conversation
        if len(conversation.sent()) > 1:
            window = await context_window(self._runner, conversation)
            self.left_out = make_room(conversation, window)
        if self._sessions is not None:
            await self._sessions.save(conversation)

    async def _events(self) -> AsyncGenerator[Event, None]:
        """The runner's events; what does not fit is asked again with fewer turns."""
        conversation = self._conversation
        while True:
            try:
                events = self._runner.generate(
                    conversation.model, conversation.request(), profile=conversation.profile
                )
                async with aclosing(events):
                    async for event in events:
                        yield event
                return
            except ContextLengthError:
                dropped = drop_oldest(conversation)
                if not dropped:
                    raise
                self.left_out += dropped

    def _note(self, event: Event) -> None:
        now = self._clock()
        match event:
            case Loading():
                self.loading = event.fraction
                self._ready = now
            case Started():
                self._prompt_tokens = event.prompt_tokens
                self._cached_tokens = event.cached_tokens
                calibrate(self._conversation, event.prompt_tokens)
            case Delta() | ReasoningDelta():
                if self._first is None:
                    self._first = now
                self._last = now
                self._tokens += event.tokens
                if isinstance(event, Delta):
                    self.text += event.text
                else:
                    self.reasoning += event.text
                self._save_soon()
            case Finished():
                self.reason = event.reason
                self._usage = event.usage

    def _save_soon(self) -> None:
        if self.answer is None:
            self.answer = self._conversation.answer("", to=self.question)
            self.answer.stopped = True
        if self._saving is None and self._sessions is not None:
            loop = asyncio.get_running_loop()
            self._saving = loop.call_later(SAVE_SECONDS, self._save_partial)

    def _save_partial(self) -> None:
        self._saving = None
        self._write_down()
        self._save()

    def _write_down(self) -> None:
        """Put what has come into the conversation."""
        if self.answer is not None:
            self.answer.message = Message(
                "assistant", self.text, reasoning_content=self.reasoning or None
            )
            self._conversation.touch(self.answer)

    def _save(self) -> None:
        if self._sessions is not None:
            self._sessions.save(self._conversation)

    def _settle(self, before: Node, *, is_there: bool) -> None:
        self._ended = self._clock()
        if self._saving is not None:
            self._saving.cancel()
        if not is_there:  # The conversation was cleared meanwhile.
            return
        if self.reason is not None and self.answer is None:
            self.answer = self._conversation.answer("", to=self.question)
        if self.answer is not None:
            self.answer.stopped = self.stopped
            self.answer.stats = self.stats()
            self._write_down()
        else:
            if self._again is None and self.question is not None:
                self._conversation.withdraw(self.question)
            before.choose()
            before.chosen = None
        self._save()

    def stats(self) -> TurnStats:
        """Counts and speeds as of now: the engine's own once it has finished."""
        until = self._ended if self._ended is not None else self._clock()
        first = None if self._first is None else self._first - self._ready
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
