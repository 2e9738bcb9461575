"""Which models fit, asked of the runner a few at a time and kept for each model and context."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Set
from typing import TYPE_CHECKING

from dmr_tui.errors import DmrError

if TYPE_CHECKING:
    from dmr_tui.engine.fit import Fit
    from dmr_tui.runner.base import Runner

Key = tuple[str, int]
"""A model's id and a context in tokens; 0: what it would be loaded with."""

_BATCH = 8
_PAUSE = 0.1
"""Seconds before more is asked, but for the first view: not for what one only scrolls past."""


class Fits:
    """Answers at once with what is known, and asks for the rest in the background.

    What was known stays until something newer is: free memory changes all the time.
    """

    def __init__(self, runner: Callable[[], Runner], changed: Callable[[Set[str]], None]) -> None:
        """Know nothing yet.

        Args:
            runner: who is asked.
            changed: called after each batch of answers, with the ids of the models.
        """
        self._runner = runner
        self._changed = changed
        self._known: dict[Key, Fit | None] = {}
        self._fresh: set[Key] = set()
        self._wanted: dict[Key, None] = {}
        self._asking: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many were asked for and are not known yet."""
        return sum(key not in self._known for key in self._wanted)

    def get(self, model_id: str, context: int = 0) -> Fit | None:
        """What is known; None: nothing yet, or nothing can be."""
        return self._known.get((model_id, context))

    def knows(self, model_id: str, context: int = 0) -> bool:
        """Whether the runner has answered, be it that nothing can be known."""
        return (model_id, context) in self._known

    def want(self, ids: Iterable[str], context: int = 0) -> None:
        """Ask for what is not known of these models; those that were asked for last come first."""
        keys = [(each, context) for each in ids if (each, context) not in self._fresh]
        if not keys:
            return
        self._wanted = {**dict.fromkeys(keys), **self._wanted}
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="fits")

    def want_no_more(self) -> None:
        """Leave unasked what was wanted until now."""
        self._wanted.clear()

    def outdate(self) -> None:
        """Ask anew for what is wanted from now on: the memory is not what it was."""
        self._fresh.clear()

    def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self) -> None:
        if self._known:
            await asyncio.sleep(_PAUSE)
        while self._wanted:
            first = next(iter(self._wanted))
            batch = [key for key in self._wanted if key[1] == first[1]][:_BATCH]
            try:
                runner = self._runner()
                found = await runner.fits([key[0] for key in batch], context=first[1] or None)
            except DmrError:
                # The screen says of itself when nobody answers.
                self._wanted.clear()
                return
            for key, fit in zip(batch, found, strict=True):
                self._known[key] = fit
                self._fresh.add(key)
                self._wanted.pop(key, None)
            self._changed({model_id for model_id, _ in batch})
