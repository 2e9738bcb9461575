"""Logs and requests: what programs asked, and what the engine says."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget
from textual.widgets import Static

from dmr_tui.actions import bindings
from dmr_tui.screens.shell import ShellScreen


class LogsScreen(ShellScreen):
    """The screen of requests and logs."""

    MODE = "logs"
    CSS_PATH = "logs.tcss"
    BINDINGS = bindings("logs")

    expression = ""
    """Which requests are shown; empty: all."""

    def body(self) -> Iterable[Widget]:
        """What is between header and status bar."""
        yield Static("No request yet.", id="logs-body")

    def filter_by(self, expression: str) -> None:
        """Show the requests that an expression chooses."""
        self.expression = expression
