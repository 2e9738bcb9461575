"""What can be done on Monitor."""

from __future__ import annotations

from dmr_tui.actions.action import Action

MONITOR: tuple[Action, ...] = (
)  # fmt: skip
