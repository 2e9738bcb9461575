"""What can be done on Get."""

from __future__ import annotations

from dmr_tui.actions.action import Action

GET: tuple[Action, ...] = (
)  # fmt: skip
