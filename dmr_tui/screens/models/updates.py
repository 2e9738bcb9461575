"""Which models have something newer in their registry: their tag there names another manifest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dmr_tui.errors import DmrError, UnsupportedModelError
from dmr_tui.screens.library import Entry

if TYPE_CHECKING:
    from dmr_tui.runner.base import Runner

_AT_ONCE = 4


class Updates:
    """What the registries said of the models that were asked about, until the program ends."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._newer: dict[str, str] = {}
        self.version = 0
        """Another one whenever something else is known."""

    def has(self, entry: Entry) -> bool:
        """Whether there is something newer than this model under its name."""
        return self._newer.get(entry.name, entry.model.id) != entry.model.id

    async def check(
        self, runner: Runner, entries: Sequence[Entry], told: Callable[[int], None]
    ) -> tuple[int, list[DmrError]]:
        """Ask the registries of these models.

        Args:
            runner: asks.
            entries: the models.
            told: called with the number of those that have been asked about.

        Returns:
            How many have something newer, and why the others could not be compared.
        """
        gate = asyncio.Semaphore(_AT_ONCE)
        done = 0
        failures: list[DmrError] = []

        async def ask(entry: Entry) -> None:
            nonlocal done
            async with gate:
                try:
                    self._newer[entry.name] = await _newest(runner, entry)
                    self.version += 1
                except DmrError as error:
                    failures.append(error)
            done += 1
            told(done)

        async with asyncio.TaskGroup() as group:
            for entry in entries:
                group.create_task(ask(entry))
        return sum(self.has(entry) for entry in entries), failures


async def _newest(runner: Runner, entry: Entry) -> str:
    """The id that a model would have if it were pulled now."""
    published = await runner.look(entry.name)
    if not published.id:
        raise UnsupportedModelError(
            f"{entry.name} comes from where no digest tells what is newer",
            "pull it again: only what is different is fetched",
        )
    return published.id
