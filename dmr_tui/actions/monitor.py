"""What can be done on Monitor."""

from __future__ import annotations

from dmr_tui.actions.action import Action

MONITOR: tuple[Action, ...] = (
    Action("monitor.requests", ("enter",), "Requests",
           "Show the requests of this model, client or event.",
           "Requests of the selected row", rank=10),
    Action("monitor.unload", ("l",), "Unload", "Take the selected model out of memory.",
           "Monitor: unload the selected model", rank=20),
    Action("monitor.pin", ("P",), "Pin", "Keep the selected model in memory, or let it go again.",
           "Monitor: pin the selected model, or let it go", rank=25),
    Action("monitor.freeze", ("space",), "Freeze", "Hold what is shown, or go on.",
           "Freeze the monitor, or go on", rank=30),
    Action("monitor.warnings", ("w",), "Warnings", "Show only warnings and errors, or all events.",
           "Events: warnings only, or all", rank=35),
    Action("monitor.faster", ("less_than_sign",), "Faster", "Look around more often.",
           "Refresh the monitor more often", rank=40),
    Action("monitor.slower", ("greater_than_sign",), "Slower", "Look around less often.",
           "Refresh the monitor less often", rank=41),
    Action("monitor.shorter", ("left_curly_bracket",), "Shorter", "Let the charts show less time.",
           "Charts: less time", rank=42),
    Action("monitor.longer", ("right_curly_bracket",), "Longer", "Let the charts show more time.",
           "Charts: more time", rank=43),
    Action("monitor.sort", ("s",), "Sort", "Sort the models by the next column.",
           "Monitor: order by the next column", rank=45),
    Action("monitor.reverse", ("S",), "Reverse", "Sort the models the other way round.",
           "Monitor: order the other way round"),
)  # fmt: skip
