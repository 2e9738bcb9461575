"""A line to write in that does not swallow the keys of the tabs while it is empty."""

from __future__ import annotations

from textual import events
from textual.widgets import Input

_TABS = "12345?"


class Field(Input):
    """An input; its first character is no digit of a tab and no question mark.

    Who has not written anything yet may look around with the keys that the screen names. Names of
    models that begin with such a character can be pasted.
    """

    async def _on_key(self, event: events.Key) -> None:
        if not self.value and event.character and event.character in _TABS:
            event.prevent_default()  # Input's own handler would write it; now the app takes it
