"""The switch that lets other programs use the models over HTTP."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmr_tui.paths import Paths
    from dmr_tui.runner.base import Runner
    from dmr_tui.server.endpoint import Endpoint
    from dmr_tui.settings import Settings


class EndpointSwitch:
    """An endpoint of this process over its runner: off until it is switched on."""

    def __init__(self, settings: Settings, paths: Paths) -> None:
        self._settings = settings
        self._paths = paths
        self._endpoint: Endpoint | None = None

    @property
    def url(self) -> str:
        """Where it listens; empty while it is off."""
        return self._endpoint.url if self._endpoint else ""

    async def start(self, runner: Runner) -> str:
        """Listen, and return the base URL.

        Raises:
            UnavailableError: the port is in use.
        """
        # Importing an HTTP server takes longer than a frame.
        module = await asyncio.to_thread(importlib.import_module, "dmr_tui.server.endpoint")
        endpoint: Endpoint = module.Endpoint(runner, self._settings, paths=self._paths)
        await endpoint.start()
        self._endpoint = endpoint
        return endpoint.url

    async def stop(self) -> None:
        """Stop listening; does nothing while it is off."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            await endpoint.stop()


def openai_base_url(url: str) -> str:
    """What OpenAI clients take as their base URL."""
    return f"{url}/engines/v1"
