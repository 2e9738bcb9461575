"""How far the load is that an answer of a remote runner waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from dmr_tui.engine.profile import RunningModel
from dmr_tui.errors import DmrError

PATIENCE = 0.3
"""Seconds to wait for an answer before asking what it waits for, and between two questions."""

Running = Callable[[], Awaitable[list[RunningModel]]]


async def loads(
    begun: asyncio.Future[Any], running: Running, model: str
) -> AsyncGenerator[float, None]:
    """The share of a model's load that is done, while an answer has not begun.

    A load belongs to its runner: this only looks at it, and says nothing where a runner does not
    tell.

    Args:
        begun: done when the answer begins, or fails.
        running: tells which models are in memory, or on their way there.
        model: the name that was asked.
    """
    while True:
        await asyncio.wait({begun}, timeout=PATIENCE)
        if begun.done():
            return
        try:
            models = await running()
        except DmrError:
            await asyncio.wait({begun})
            return
        coming = [each for each in models if each.progress is not None]
        named = [each for each in coming if model in each.name or each.id == model]
        for each in (named or coming)[:1]:
            yield each.progress or 0.0
