"""What can be done in every list."""

from __future__ import annotations

from dmr_tui.actions.action import Action

LISTS: tuple[Action, ...] = (
    Action("list.cursor_down", ("down", "j"), "Down", "Next row."),
    Action("list.cursor_up", ("up", "k"), "Up", "Row before."),
    Action("list.page_down", ("pagedown", "ctrl+d"), "Page down", "One page on."),
    Action("list.page_up", ("pageup", "ctrl+u"), "Page up", "One page back."),
    Action("list.scroll_top", ("home", "g"), "Top", "First row."),
    Action("list.scroll_bottom", ("end", "G"), "Bottom", "Last row."),
)  # fmt: skip
