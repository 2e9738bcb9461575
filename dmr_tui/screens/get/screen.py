"""Get: find models, and get them."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget
from textual.widgets import Static

from dmr_tui.actions import bindings
from dmr_tui.screens.shell import ShellScreen


class GetScreen(ShellScreen):
    """The screen that finds and gets models."""

    MODE = "get"
    CSS_PATH = "get.tcss"
    BINDINGS = bindings("get")

    def body(self) -> Iterable[Widget]:
        """What is between header and status bar."""
        yield Static("Nothing to get yet.", id="get-body")
