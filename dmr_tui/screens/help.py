"""Help: what the keys do, made from the registry of actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from dmr_tui.actions import MODES, Action, actions, display_key

TITLES = {
    "models": "Models",
    "get": "Get",
    "monitor": "Monitor",
    "logs": "Logs and requests",
    "list": "Lists",
    "welcome": "Without a model yet",
    "compare": "Two models side by side",
    "prompt": "Writing",
    "message": "Messages and code (block cursor)",
    "transcript": "Looking back",
    "chats": "Saved chats",
    "chat": "Chat",
    "app": "Everywhere",
    "endpoint": "The panel of the endpoint",
}
"""What the scopes of actions are called."""


class HelpScreen(ModalScreen[None]):
    """The keys of the screen below; any of its own keys closes it."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar = [Binding("escape,question_mark,f1,q,enter", "dismiss", "Close")]

    def __init__(self, mode: str, first: Sequence[str] = ()) -> None:
        """Help on the screen of a mode.

        Args:
            mode: the screen's.
            first: scopes of the keys that work there at the moment.
        """
        super().__init__()
        self._mode = mode
        self._scopes = list(dict.fromkeys((*first, *MODES[mode], "app")))

    def compose(self) -> ComposeResult:
        """One section for each scope."""
        with VerticalScroll(id="help") as box:
            box.border_title = f"Help · {TITLES[self._mode]}"
            box.border_subtitle = "esc closes · ↑↓ scrolls"
            for scope in self._scopes:
                with Vertical(classes="section"):
                    yield Static(Content.styled(TITLES[scope], "bold $text-primary"))
                    for action in actions(scope):
                        if action.keys:
                            yield from _row(action)


def _row(action: Action) -> ComposeResult:
    """A key, and what it does beside it, on as many lines as that takes."""
    with Horizontal(classes="key"):
        keys = "  ".join(display_key(key) for key in action.keys)
        yield Static(Content.styled(keys, "bold"), classes="key-name")
        yield Static(Content.styled(action.help, "$text-muted"), classes="key-help")
