"""The first row of every screen: what this is, where one can go, what is loaded."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive

from dmr_tui.actions import MODES, find_action
from dmr_tui.widgets.line import Line, Part

GAP = " · "
"""Between two parts of the state, where there is little room."""


class Header(Line):
    """Tabs on the left, the runner's state on the right."""

    state: reactive[Content] = reactive(Content(""))
    """What the right side says, the most important last: the front is cut first."""

    def __init__(self, mode: str) -> None:
        """The header of the screen of a mode."""
        super().__init__()
        self._mode = mode

    def left(self, width: int) -> list[Part]:
        """The program's name and the tabs."""
        gap = "  " if width >= 100 else " "
        parts = [Part(Content.styled(" dmr ", "bold $primary")), Part(Content(gap[1:]))]
        for mode in MODES:
            action = find_action(f"app.show_{mode}")
            label = f"{action.key} {action.title}"
            if mode == self._mode:
                shown = Content.styled(f"[{label}]", "bold $foreground")
            else:
                shown = Content.styled(f" {label} ", "$text-muted")
            parts += [Part(shown, action.target), Part(Content(gap[1:]))]
        return parts

    def right(self, width: int) -> list[Part]:
        """The runner's state, cut to the room there is: whole parts of it, where that is enough."""
        state = self.state
        over = state.cell_length + 2 - width
        if over > 0:
            whole = state.plain.find(GAP, max(over - len(GAP), 0))
            if whole >= 0:
                state = state[whole + len(GAP) :]
            else:
                state = Content.styled("…", "$text-muted") + state[over + 1 :]
        return [Part(state + Content(" "))]
