"""What can be done while there is no model yet."""

from __future__ import annotations

from dmr_tui.actions.action import Action

WELCOME: tuple[Action, ...] = (
    Action("welcome.next", ("down",), "Next", "Next of the first models to choose from."),
    Action("welcome.previous", ("up",), "Previous", "The one before."),
)
