"""What can be done where two models answer side by side."""

from __future__ import annotations

from dmr_tui.actions.action import Action

COMPARE: tuple[Action, ...] = (
    Action("compare.stop", ("escape",), "Close",
           "Stop the answers, keep what came; else back to the models.", rank=5),
    Action("compare.thoughts", ("ctrl+t",), "Thoughts",
           "Show or fold what the models thought.", rank=30, command="show_thoughts"),
)  # fmt: skip
