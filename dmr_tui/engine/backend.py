"""What an engine is to the manager: one process with one model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from dmr_tui.engine.protocol import Load, Loaded
from dmr_tui.engine.questions import A, Question
from dmr_tui.engine.request import Event, GenerateRequest
from dmr_tui.engine.stats import Stats


class Backend(Protocol):
    """One process with one model: `start` once, ask as often as wanted, `stop`."""

    name: str
    """What the engine is called in `ps` and in profiles."""
    load: Load
    """How to load; may be changed until `start`."""
    ended: asyncio.Event
    """Set when the process is gone, for whatever reason."""
    crashed: bool
    """It died without a word about why, and nobody had ended it."""
    facts: Loaded | None
    """What is known of the model; None until it is loaded."""
    stats: Stats | None
    """What it last told of its work, if it does."""

    @property
    def cause(self) -> str:
        """How the process ended, in one line; empty while it lives."""
        ...

    @property
    def pid(self) -> int:
        """The process's id; 0 before it is started."""
        ...

    @property
    def memory(self) -> int:
        """Resident bytes of the process; 0 when there is none."""
        ...

    async def start(self, on_progress: Callable[[float], None]) -> None:
        """Start the process and load the model.

        Raises:
            DmrError: it cannot be loaded; says which file and why. The process is gone.
        """
        ...

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Event, None]:
        """Answer a request; closing the iterator takes it back."""
        ...

    async def ask(self, question: Question[A]) -> A:
        """The reply to a question."""
        ...

    async def stop(self) -> None:
        """End the process."""
        ...
