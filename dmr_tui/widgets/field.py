"""A line to write in that does not swallow the keys of the tabs while it is empty."""

from __future__ import annotations

from textual.binding import Binding
from textual.widgets import Input

from dmr_tui.actions import MODES, find_action

_TABS = [find_action(f"app.show_{mode}") for mode in MODES] + [find_action("app.help")]


class Field(Input):
    """An input; its first character is no digit of a tab and no question mark.

    Who has not written anything yet may look around with the keys that the screen names. Names of
    models that begin with such a character can be pasted.
    """

    BINDINGS = [  # noqa: RUF012  # as in Textual
        Binding(tab.keys[0], f"look_around({tab.target!r})", show=False, priority=True)
        for tab in _TABS
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While there is text, the keys of the tabs are letters."""
        return not self.value if action == "look_around" else True

    async def action_look_around(self, target: str) -> None:
        """Do what the key of a tab does elsewhere."""
        await self.run_action(target)
