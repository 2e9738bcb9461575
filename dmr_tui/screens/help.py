"""Help: what the keys do, made from the registry of actions."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from dmr_tui.actions import MODES, actions, display_key

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

_KEYS = 16


class HelpScreen(ModalScreen[None]):
    """The keys of the screen below; any of its own keys closes it."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar = [Binding("escape,question_mark,f1,q,enter", "dismiss", "Close")]

    def __init__(self, mode: str) -> None:
        """Help on the screen of a mode."""
        super().__init__()
        self._mode = mode

    def compose(self) -> ComposeResult:
        """One section for each scope."""
        with VerticalScroll(id="help") as box:
            box.border_title = f"Help · {TITLES[self._mode]}"
            box.border_subtitle = "esc closes · ↑↓ scrolls"
            for scope in (*MODES[self._mode], "app"):
                yield Static(_section(scope), classes="section")


def _section(scope: str) -> Content:
    lines = [Content.styled(TITLES[scope], "bold $text-primary")]
    for action in actions(scope):
        keys = "  ".join(display_key(key) for key in action.keys)
        if keys:
            lines.append(
                Content.assemble((f"{keys:<{_KEYS}}", "bold"), (action.help, "$text-muted"))
            )
    return Content("\n").join(lines)
