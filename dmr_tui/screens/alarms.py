"""What happens in the runner and has to be seen on every screen: a worker that crashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dmr_tui.screens.library import familiar_name
from dmr_tui.screens.workspace import Alert

if TYPE_CHECKING:
    from dmr_tui.runner.activity.records import Activity


class Alarms:
    """Turns events of a feed into alerts, each of them once."""

    def __init__(self, alert: Callable[[Alert], None], since: float) -> None:
        """Tell `alert` of crashes after `since` (Unix time): older ones are no news."""
        self._alert = alert
        self._since = since

    def hear(self, change: Activity) -> None:
        """Take what a feed has heard; one that is connected again repeats what it has told."""
        for event in change.events:
            if event.kind == "crash" and event.time > self._since:
                self._since = event.time
                text = "\n".join(filter(None, (event.text, event.hint)))
                self._alert(Alert(f"{familiar_name(event.model)} has crashed", text, "error"))
