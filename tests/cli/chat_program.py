"""The REPL over a runner that says what a test tells it to; run in a terminal by the tests.

    python -m tests.cli.chat_program '{"words": ["Hel", "lo"], "endless": true}' asked.json

At its end it writes what the runner was asked: one list of `[role, content]` for each question.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec

from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.sessions import Sessions
from dmr_tui.cli.repl import Repl
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import ChatRequest, Event, GenerateRequest
from dmr_tui.errors import ContextLengthError, EngineError
from dmr_tui.paths import Paths
from tests.support.fake_runner import NAMES, FakeRunner


class Scripted(FakeRunner):
    """Fails the preload, or only the first question, when a test says so."""

    preload_fails = False
    first_fails = False
    room = 0
    """Most messages that fit into the context; 0: any number."""

    async def load(self, model: str, *, profile: Profile | None = None) -> None:
        if self.preload_fails:
            raise EngineError("the file is broken", "pull it again")
        await super().load(model, profile=profile)

    async def generate(
        self, model: str, request: GenerateRequest, *, profile: Profile | None = None
    ) -> AsyncGenerator[Event, None]:
        if self.first_fails:
            self.first_fails = False
            raise EngineError("the worker died", "ask again")
        if self.room and isinstance(request, ChatRequest) and len(request.messages) > self.room:
            raise ContextLengthError("the prompt is too long")
        async for event in super().generate(model, request, profile=profile):
            yield event


async def chat(script: dict[str, Any], asked: Path) -> None:
    verbose = script.pop("verbose", False)
    color = script.pop("color", "auto")
    runner = Scripted()
    for name, value in script.items():
        setattr(runner, name, value)
    paths = Paths.default()
    sessions = Sessions(paths.chats)
    repl = Repl(
        runner, Conversation(NAMES[0]), paths, sessions=sessions, color=color, verbose=verbose
    )
    await repl.run()
    await sessions.close()
    requests = [request for _, request, _ in runner.asked]
    said = [
        [[message.role, msgspec.to_builtins(message.content)] for message in request.messages]
        for request in requests
        if isinstance(request, ChatRequest)
    ]
    asked.write_text(json.dumps({"said": said, "open": runner.open_streams}))


if __name__ == "__main__":
    asyncio.run(chat(json.loads(sys.argv[1]), Path(sys.argv[2])))
