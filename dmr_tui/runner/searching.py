"""Searching for models: from this machine, whichever runner will pull them."""

from __future__ import annotations

import asyncio
import threading

from dmr_tui.store.transfer.found import Found, Source


async def search_models(term: str, limit: int, source: Source) -> Found:
    """Search in a thread, which ends soon after its caller is cancelled; see `Runner.search`."""
    from dmr_tui.store.transfer.search import search  # Not at the top: it brings httpx.

    cancelled = threading.Event()
    try:
        return await asyncio.to_thread(
            search, term, limit=limit, source=source, cancelled=cancelled
        )
    finally:
        cancelled.set()
