"""The line above requests and logs: what is shown, what is left out, and what is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textual.content import Content
from textual.reactive import reactive

from dmr_tui.widgets.line import Line, Part
from dmr_tui.widgets.printable import printable

View = Literal["requests", "logs", "both"]
VIEWS: tuple[View, ...] = ("requests", "logs", "both")
_NAMES = {"requests": "Requests", "logs": "Logs", "both": "both"}


@dataclass(frozen=True)
class Standing:
    """What the line says.

    Attributes:
        view: which panes are shown.
        expression: the filter; empty: none.
        problem: why the expression that is typed cannot be used.
        limits: level and age that are left out, in words.
        counts: how many are shown of how many.
        state: following, paused …
        calm: new things are shown as they come.
        bodies: whether texts are recorded.
    """

    view: View = "both"
    expression: str = ""
    problem: str = ""
    limits: str = ""
    counts: str = ""
    state: str = ""
    calm: bool = True
    bodies: bool = True


class StatusLine(Line):
    """One row."""

    standing: reactive[Standing] = reactive(Standing())
    """What it says."""

    def left(self, width: int) -> list[Part]:
        """The views and the filter, or what is wrong with it."""
        del width
        standing = self.standing
        parts = [Part(Content.styled(" L ", "bold $primary"), "screen.view")]
        for view in VIEWS:
            name = _NAMES[view]
            chosen = view == standing.view
            shown = f"[{name}]" if chosen else f" {name} "
            style = "bold $foreground" if chosen else "$text-muted"
            parts.append(Part(Content.styled(shown, style), f"screen.show_view('{view}')"))
        if standing.problem:
            parts.append(Part(Content.styled(f"  × {printable(standing.problem)}", "$text-error")))
        elif standing.expression:
            parts.append(Part(Content("  / ") + Content(printable(standing.expression))))
        if standing.limits:
            parts.append(Part(Content.styled(f"  {standing.limits}", "$text-warning")))
        return parts

    def right(self, width: int) -> list[Part]:
        """Counts and states, as many as there is room for."""
        standing = self.standing
        style = "$text-success" if standing.calm else "$text-warning"
        texts = "texts on" if standing.bodies else "texts off"
        parts = [
            Part(Content.styled(standing.state, style)),
            Part(Content.styled(standing.counts, "$text-muted")),
            Part(Content.styled(texts, "$text-muted" if standing.bodies else "$text-warning")),
        ]
        shown: list[Part] = []
        for part in parts:
            taken = sum(each.content.cell_length for each in shown)
            if part.content and taken + part.content.cell_length + 4 <= width:
                shown += [part, Part(Content("  "))]
        return shown
