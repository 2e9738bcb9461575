"""The part of a `Runner` that looks for models: from this machine, whichever runner will pull them.

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
from dmr_tui.store.transfer.found import DEFAULT_LIMIT, Found, Source, Variant

T = TypeVar("T")


class Searcher:
    """A runner that asks Docker Hub, registries and the Hugging Face Hub what they have."""

    _settings: Settings

    async def search(
        self,
        term: str = "",
        *,
        limit: int = DEFAULT_LIMIT,
        source: Source = "all",
        sizes: bool = True,
    ) -> Found:
        """See `Runner.search`."""
        from dmr_tui.store.transfer.search import search

        return await _cancellable(
            lambda cancelled: search(
                term, limit=limit, source=source, sizes=sizes, cancelled=cancelled
            )
        )

    async def variants(self, name: str) -> list[Variant]:
        """See `Runner.variants`."""
        from dmr_tui.store.transfer.variants import variants

        return await _cancellable(
            lambda cancelled: variants(
                name,
                default_registry=self._settings.default_registry,
                insecure=self._settings.insecure_registry,
                cancelled=cancelled,
            )
        )

    async def look(self, name: str) -> Published:
        """See `Runner.look`."""
        from dmr_tui.store.transfer.look import look

        found = await _cancellable(
            lambda cancelled: look(
                name,
                default_registry=self._settings.default_registry,
                insecure=self._settings.insecure_registry,
                mirrors=self._settings.mirrors,
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
