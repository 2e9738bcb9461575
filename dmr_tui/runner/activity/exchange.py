"""One request while it runs: who asked, how far the answer is, and how it ended.

The server opens an exchange for a request that comes over HTTP and lets `current` hold it; a runner
that is asked to generate adds what it sees to that one, or opens one of its own. So every protocol
is recorded the same way, and what it costs for a token is to count it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dmr_tui.engine.request import (
    Delta,
    Event,
    Finished,
    Loading,
    ReasoningDelta,
    Started,
    ToolCallDelta,
    Usage,
)
from dmr_tui.errors import DmrError
from dmr_tui.runner.activity.records import (
    LONGEST_NAME,
    LONGEST_TEXT,
    Failure,
    RequestRecord,
    shortened,
)

current: ContextVar[Exchange | None] = ContextVar("current", default=None)
"""The request over HTTP that this task answers."""


def note(error: DmrError) -> None:
    """Let the request that this task answers remember a failure."""
    exchange = current.get()
    if exchange is not None:
        exchange.fails(error)


def asks_again() -> None:
    """Let the request that this task answers forget a refusal: the answer is asked for again."""
    exchange = current.get()
    if exchange is not None:
        exchange.error, exchange.error_status = None, 0


@dataclass(slots=True)
class Answer:
    """One answer to a request; there are several when it asks for several choices."""

    exchange: Exchange
    tokens: int = 0
    usage: Usage | None = None
    reason: str = ""
    started: Started | None = None
    text: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[list[str]] = field(default_factory=list)
    """Id, name and arguments of each tool call."""

    def see(self, event: Event) -> None:
        """Take notice of the next event."""
        kind = type(event)
        if kind is Delta or kind is ReasoningDelta:
            assert isinstance(event, Delta | ReasoningDelta)
            if not self.tokens:
                self.exchange.begin()
            self.tokens += event.tokens
            if self.exchange.keeps:
                (self.text if kind is Delta else self.thoughts).append(event.text)
            return
        match event:
            case Loading():
                self.exchange.loads()
            case Started():
                self.started = event
                self.exchange.starts()
            case ToolCallDelta():
                self.exchange.begin()
                if self.exchange.keeps:
                    self._call(event)
            case Finished(reason, usage):
                self.reason, self.usage = reason, usage

    def _call(self, part: ToolCallDelta) -> None:
        if part.index >= len(self.calls):
            self.calls.append([part.id, part.name, part.arguments])
        else:
            self.calls[part.index][2] += part.arguments

    def choice(self, index: int) -> dict[str, Any]:
        """The answer as a choice of OpenAI's."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.text)}
        if self.thoughts:
            message["reasoning_content"] = "".join(self.thoughts)
        if self.calls:
            message["tool_calls"] = [
                {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
                for id_, name, arguments in self.calls
            ]
        return {"index": index, "message": message, "finish_reason": self.reason or None}


@dataclass(slots=True)
class Exchange:
    """A request that is being answered; `record` tells how far it is."""

    id: str
    time: float
    """Unix time of its arrival."""
    arrived: float
    """The same by the clock that measures spans, in seconds."""
    client: str
    method: str
    path: str
    protocol: str
    keeps: bool
    """Whether its texts are kept."""
    clock: Callable[[], float]
    moved: Callable[[Exchange], None]
    """Called when it has come to another state."""
    model: str = ""
    model_id: str = ""
    stream: bool = False
    status: int = 0
    seconds: float | None = None
    load_began: float | None = None
    load_seconds: float | None = None
    first_token_seconds: float | None = None
    prompt_tokens: int | None = None
    error: Failure | None = None
    error_status: int = 0
    """What the failure is as HTTP status."""
    request: bytes = b""
    """The body, when texts are kept."""
    response: bytes = b""
    """The body of an answer that is not a stream."""
    answers: list[Answer] = field(default_factory=list)

    def names(self, model: str) -> None:
        """The request is for this model."""
        self.model = shortened(model, LONGEST_NAME)

    def asks(self, model: str) -> Answer:
        """The runner is asked for an answer of this model."""
        self.names(model)
        answer = Answer(self)
        self.answers.append(answer)
        self.moved(self)
        return answer

    def drops(self, refused: Answer) -> None:
        """An answer was not begun, for want of room; it may be asked for again, as another one."""
        self.answers = [answer for answer in self.answers if answer is not refused]

    def loads(self) -> None:
        """The model has to be loaded first."""
        if self.load_began is None:
            self.load_began = self.clock()
            self.moved(self)

    def starts(self) -> None:
        """The model is there and has taken the request."""
        if self.load_began is not None and self.load_seconds is None:
            self.load_seconds = self.clock() - self.load_began
        self.moved(self)

    def begin(self) -> None:
        """The first token of the answer is there."""
        if self.first_token_seconds is None:
            self.first_token_seconds = self.clock() - self.arrived
            self.moved(self)

    def counts(self, prompt_tokens: int | None) -> None:
        """The length of what is not answered with a text; None: it has none."""
        if prompt_tokens is not None:
            self.prompt_tokens = (self.prompt_tokens or 0) + prompt_tokens

    def fails(self, error: DmrError) -> None:
        """Note why there is no answer, or no more of it."""
        self.error_status = error.http_status
        told = (error.message, error.hint or "", error.code, error.param or "")
        self.error = Failure(*(shortened(text, LONGEST_TEXT) for text in told))

    @property
    def tokens(self) -> int:
        """Tokens of the answers so far."""
        return sum(
            answer.usage.completion_tokens if answer.usage else answer.tokens
            for answer in self.answers
        )

    def record(self, *, bodies: bool = False) -> RequestRecord:
        """What is known of it now."""
        usages = [answer.usage for answer in self.answers if answer.usage is not None]
        starts = [answer.started for answer in self.answers if answer.started is not None]
        known = [usage.prompt_tokens for usage in usages] or [
            started.prompt_tokens for started in starts if started.prompt_tokens
        ]
        cached = [usage.cached_tokens for usage in usages] or [
            started.cached_tokens for started in starts
        ]
        return RequestRecord(
            id=self.id,
            time=self.time,
            client=self.client,
            method=self.method,
            path=self.path,
            protocol=self.protocol,
            model=self.model,
            model_id=self.model_id,
            stream=self.stream,
            status=self.status,
            seconds=self.seconds,
            load_seconds=self.load_seconds,
            first_token_seconds=self.first_token_seconds,
            prompt_seconds=max((usage.prompt_seconds for usage in usages), default=0.0),
            generation_seconds=max((usage.generation_seconds for usage in usages), default=0.0),
            # Choices share their prompt.
            prompt_tokens=max(known, default=self.prompt_tokens),
            completion_tokens=self.tokens if self.answers else None,
            cached_tokens=max(cached, default=0),
            reason=self.answers[0].reason if self.answers else "",
            error=self.error,
            bodies=bodies,
        )

    def folded(self) -> bytes:
        """The answer as a body: what was sent at once, or the parts of a stream together."""
        if self.response or not self.answers:
            return self.response
        record = self.record()
        usage = {
            "prompt_tokens": record.prompt_tokens or 0,
            "completion_tokens": self.tokens,
            "total_tokens": (record.prompt_tokens or 0) + self.tokens,
        }
        choices = [answer.choice(index) for index, answer in enumerate(self.answers)]
        whole: dict[str, Any] = {"object": "chat.completion", "model": self.model}
        whole |= {"choices": choices, "usage": usage}
        if self.error is not None:
            whole["error"] = self.error
        return msgspec.json.encode(whole)
