"""Looking for models: from this machine, whichever runner will pull them.

Everything runs in a thread, which ends soon after its caller is cancelled. The modules come late:
they bring httpx.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from dmr_tui.runner.base import Published
from dmr_tui.settings import Settings
from dmr_tui.store.transfer.found import Found, Source, Variant

T = TypeVar("T")


async def search_models(term: str, limit: int, source: Source, *, sizes: bool) -> Found:
    """See `Runner.search`."""
    from dmr_tui.store.transfer.search import search

    return await _cancellable(
        lambda cancelled: search(term, limit=limit, source=source, sizes=sizes, cancelled=cancelled)
    )


async def find_variants(name: str, settings: Settings) -> list[Variant]:
    """See `Runner.variants`."""
    from dmr_tui.store.transfer.variants import variants

    return await _cancellable(
        lambda cancelled: variants(
            name,
            default_registry=settings.default_registry,
            insecure=settings.insecure_registry,
            cancelled=cancelled,
        )
    )


async def look_at(name: str, settings: Settings) -> Published:
    """See `Runner.look`."""
    from dmr_tui.store.transfer.look import look

    found = await _cancellable(
        lambda cancelled: look(
            name,
            default_registry=settings.default_registry,
            insecure=settings.insecure_registry,
            mirrors=settings.mirrors,
            cancelled=cancelled,
        )
    )
    return Published(
        id=found.id,
        created=found.config.created,
        config=found.config.config,
        size=found.size,
        weights=found.weights,
        vocabulary=found.vocabulary,
    )


async def _cancellable(job: Callable[[threading.Event], T]) -> T:
    cancelled = threading.Event()
    try:
        return await asyncio.to_thread(job, cancelled)
    finally:
        cancelled.set()
