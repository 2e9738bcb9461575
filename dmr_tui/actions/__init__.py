"""Every action of the full screen, once: its key, its name, its help, its palette text.

Key bindings, the line of keys at the bottom, the help and the command palette are all made from
`ACTIONS`, so they cannot disagree.
"""

from __future__ import annotations

from textual.binding import Binding, BindingType

from dmr_tui.actions.action import Action, display_key, is_typed
from dmr_tui.actions.chat import CHAT
from dmr_tui.actions.compare import COMPARE
from dmr_tui.actions.endpoint import ENDPOINT
from dmr_tui.actions.everywhere import EVERYWHERE
from dmr_tui.actions.get import GET
from dmr_tui.actions.lists import LISTS
from dmr_tui.actions.logs import LOGS
from dmr_tui.actions.models import MODELS
from dmr_tui.actions.monitor import MONITOR
from dmr_tui.actions.welcome import WELCOME

__all__ = [
    "ACTIONS",
    "MODES",
    "SCOPES",
    "Action",
    "actions",
    "bindings",
    "display_key",
    "find_action",
    "is_typed",
]

ACTIONS: tuple[Action, ...] = (
    *EVERYWHERE,
    *ENDPOINT,
    *MODELS,
    *COMPARE,
    *WELCOME,
    *GET,
    *CHAT,
    *MONITOR,
    *LOGS,
    *LISTS,
)

MODES = {
    "models": ("models", "list", "welcome", "compare"),
    "get": ("get", "list"),
    "chat": ("prompt", "chat", "message", "transcript", "chats"),
    "monitor": ("monitor", "list"),
    "logs": ("logs", "list"),
}
"""The screens in the order of their tabs, and the scopes whose keys work there besides `app`."""

SCOPES = ("app", "endpoint", *dict.fromkeys(scope for scopes in MODES.values() for scope in scopes))
"""Where an action works: everywhere, on one screen, or while one kind of widget has the focus."""


def actions(*scopes: str) -> list[Action]:
    """The actions of some scopes, in the order of the registry."""
    return [action for action in ACTIONS if action.scope in scopes]


def find_action(action_id: str) -> Action:
    """The action of an id."""
    return next(action for action in ACTIONS if action.id == action_id)


def bindings(scope: str) -> list[BindingType]:
    """The key bindings of a scope, for a class's `BINDINGS`.

    The app's keys come before those of the widget with the focus, so that they mean the same
    everywhere; the ones that make a character come after it, so that they can be typed.
    """
    return [
        Binding(
            key,
            action.target,
            action.title,
            show=False,
            priority=action.priority or (scope == "app" and not is_typed(key)),
            id=action.id,
        )
        for action in actions(scope)
        for key in action.keys
    ]
