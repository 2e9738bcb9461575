"""The switch that lets other programs use the models over HTTP."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import replace
from typing import TYPE_CHECKING

from dmr_tui.screens.remembered import EndpointChoice, Memory

if TYPE_CHECKING:
    from dmr_tui.paths import Paths
    from dmr_tui.runner.base import Runner
    from dmr_tui.server.endpoint import Endpoint
    from dmr_tui.settings import Settings


class EndpointSwitch:
    """An endpoint of this process over its runner: off until it is switched on.

    How it was used last is remembered; what was never chosen is as in the settings.
    """

    def __init__(self, settings: Settings, paths: Paths, memory: Memory) -> None:
        self._settings = settings
        self._paths = paths
        self._memory = memory
        self._endpoint: Endpoint | None = None

    @property
    def url(self) -> str:
        """Where it listens; empty while it is off."""
        return self._endpoint.url if self._endpoint else ""

    @property
    def choice(self) -> EndpointChoice:
        """Address, port and key that it listens with, or would."""
        chosen, settings = self._memory.state.endpoint, self._settings
        return replace(
            chosen,
            on=bool(self._endpoint),
            host=chosen.host or settings.host,
            port=settings.port if chosen.port < 0 else chosen.port,
            api_key=chosen.api_key or settings.api_key,
        )

    @property
    def was_on(self) -> bool:
        """Whether it was listening when the program ended last."""
        return self._memory.state.endpoint.on

    async def start(self, runner: Runner, choice: EndpointChoice | None = None) -> str:
        """Listen, and return the base URL; in place of where it listens already.

        Args:
            runner: whose models.
            choice: address, port and key; by default as last time.

        Raises:
            InvalidRequestError: the host is no address and no name.
            UnavailableError: the port is in use, or the address is not this machine's.
        """
        choice = choice or self.choice
        await self.close()
        # Importing an HTTP server takes longer than a frame.
        module = await asyncio.to_thread(importlib.import_module, "dmr_tui.server.endpoint")
        endpoint: Endpoint = module.Endpoint(
            runner,
            self._settings,
            host=choice.host,
            port=choice.port,
            api_key=choice.api_key,
            paths=self._paths,
        )
        await endpoint.start()
        self._endpoint = endpoint
        self._remember(replace(choice, on=True))
        return endpoint.url

    async def stop(self) -> None:
        """Stop listening, and remember that; does nothing while it is off."""
        if self._endpoint is not None:
            self._remember(replace(self.choice, on=False))
            await self.close()

    async def close(self) -> None:
        """Stop listening for now: the next program listens again."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            await endpoint.stop()

    def _remember(self, choice: EndpointChoice) -> None:
        """Remember only what differs from the settings, so that these still count."""
        settings = self._settings
        self._memory.update(
            endpoint=EndpointChoice(
                on=choice.on,
                host="" if choice.host == settings.host else choice.host,
                port=-1 if choice.port == settings.port else choice.port,
                api_key="" if choice.api_key == settings.api_key else choice.api_key,
            )
        )


def openai_base_url(url: str) -> str:
    """What OpenAI clients take as their base URL."""
    return f"{url}/engines/v1"


def shell_lines(url: str, api_key: str) -> list[str]:
    """What a shell needs so that OpenAI clients find the endpoint.

    They refuse to start without any key, so there is one even where none is asked for.
    """
    return [
        f"export OPENAI_BASE_URL={openai_base_url(url)}",
        f"export OPENAI_API_KEY={api_key or 'none'}",
    ]
