"""What can be done on Logs."""

from __future__ import annotations

from dmr_tui.actions.action import Action

LOGS: tuple[Action, ...] = (
)  # fmt: skip
