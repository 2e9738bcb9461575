"""Monitor: what runs, and what it takes."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget
from textual.widgets import Static

from dmr_tui.actions import bindings
from dmr_tui.screens.shell import ShellScreen


class MonitorScreen(ShellScreen):
    """The screen that shows what runs."""

    MODE = "monitor"
    CSS_PATH = "monitor.tcss"
    BINDINGS = bindings("monitor")

    def body(self) -> Iterable[Widget]:
        """What is between header and status bar."""
        yield Static("Nothing runs yet.", id="monitor-body")
