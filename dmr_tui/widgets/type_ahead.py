"""Keys that are typed before the box that they are meant for has opened.

Textual hands all keys of a packet to the widget that has the focus when the first one comes. Over a
slow line, or on a busy machine, `/ddd` would open the line that chooses models, and then delete.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from textual import events
from textual.app import App, ScreenStackError
from textual.message_pump import MessagePump

_LONGEST = 0.5
"""Seconds that a key waits at most for what the one before it does."""


class TypeAhead(App[None]):
    """An app in which each key goes where the one before it has brought the focus."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead: deque[events.Key | events.Paste] = deque()
        self._following: asyncio.Task[None] | None = None
        """Waits for what the last key does; while it does, keys are kept."""

    async def on_event(self, event: events.Event) -> None:
        """Hand out a key, or keep it for later."""
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
        elif self._following is None:
            await self._hand_out(event)
        else:
            self._ahead.append(event)

    async def _hand_out(self, event: events.Key | events.Paste) -> None:
        target = self.focused or self.screen
        await super().on_event(event)
        self._following = asyncio.create_task(self._follow(target))

    async def _follow(self, target: MessagePump) -> None:
        """Wait until a key has had its effect, then hand out the next one."""
        try:
            # While the last screen closes there is none.
            with suppress(TimeoutError, ScreenStackError):
                async with asyncio.timeout(_LONGEST):
                    # A key that its widget has no use for climbs up to the app, whose actions move
                    # the focus through the app's own queue; a new screen has it when it is made.
                    for pump in (target, *_above(target)):
                        await _drained(pump)
                    await _drained(self.screen)
                    await _drained(self)
        finally:
            # Whatever happened: keys that nobody hands out would be the end of the keyboard.
            if not (self._ahead and self.call_later(self._hand_out, self._ahead.popleft())):
                self._following = None


def _above(pump: MessagePump) -> list[MessagePump]:
    """What a message climbs through, the app last."""
    found = []
    while pump._parent is not None:
        pump = pump._parent
        found.append(pump)
    return found


async def _drained(pump: MessagePump) -> None:
    """Wait until a queue's present messages have been handled."""
    handled = asyncio.Event()
    if pump.call_later(handled.set):
        await handled.wait()
