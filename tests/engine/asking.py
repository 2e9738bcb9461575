"""Ask an engine and collect the answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

import psutil

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import (
    ChatRequest,
    CompletionRequest,
    Delta,
    Event,
    Finished,
    GenerateRequest,
    Limits,
    Message,
    Sampling,
    Started,
)

ANY = Profile()
GREEDY = Sampling(temperature=0.0)
ENDLESS = CompletionRequest("Once upon a time", Sampling(temperature=1.5, seed=1))
"""The tiny model never draws an end token: this runs to the edge of the context."""


@dataclass(frozen=True)
class Answer:
    """All that came for one request."""

    events: list[Event]

    @property
    def text(self) -> str:
        """The answer's text."""
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    @property
    def started(self) -> Started:
        """The one `Started` event."""
        (event,) = (event for event in self.events if isinstance(event, Started))
        return event

    @property
    def finished(self) -> Finished:
        """The last event."""
        event = self.events[-1]
        assert isinstance(event, Finished)
        return event


async def ask(
    manager: EngineManager,
    files: ModelFiles,
    request: GenerateRequest,
    profile: Profile = ANY,
) -> Answer:
    """The whole answer to a request."""
    return Answer([event async for event in manager.generate(files, request, profile)])


async def ask_until_text(
    manager: EngineManager, files: ModelFiles, request: GenerateRequest = ENDLESS
) -> str:
    """The first text of an answer that is then closed."""
    async with aclosing(manager.generate(files, request, ANY)) as events:
        async for event in events:
            if isinstance(event, Delta):
                return event.text
    raise AssertionError("the answer has no text")


def chat(
    text: str,
    *,
    sampling: Sampling = GREEDY,
    max_tokens: int | None = 16,
    stop: Sequence[str] = (),
) -> ChatRequest:
    """One user's turn."""
    return ChatRequest([Message("user", text)], sampling, Limits(max_tokens, list(stop)))


def complete(
    prompt: str | list[int],
    *,
    sampling: Sampling = GREEDY,
    max_tokens: int | None = 16,
    stop: Sequence[str] = (),
) -> CompletionRequest:
    """A text to continue."""
    return CompletionRequest(prompt, sampling, Limits(max_tokens, list(stop)))


def worker_of(manager: EngineManager, files: ModelFiles) -> psutil.Process:
    """The process that runs a model."""
    (pid,) = (model.pid for model in manager.running() if model.id == files.id)
    return psutil.Process(pid)
