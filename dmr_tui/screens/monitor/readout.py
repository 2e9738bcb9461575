"""A pane of figures that is drawn anew every second, and never laid out anew for it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from dmr_tui.screens.monitor.view import View


class Readout(Widget):
    """Lines made from a `View`; a subclass says which. Its title is in its border, or first."""

    heading = ""
    """What the pane is called at the moment."""

    def __init__(self, id: str) -> None:  # noqa: A002  # Textual's own name for it
        """A pane that shows nothing yet."""
        super().__init__(id=id)
        self._view: View | None = None

    def lines(self, view: View, width: int, height: int) -> Sequence[Content]:
        """What is shown in so many cells and rows, the most important first."""
        raise NotImplementedError

    def show(self, view: View) -> None:
        """Show another look."""
        self._view = view
        self.refresh()

    def render(self) -> Content:
        """The lines that fit."""
        if self._view is None:
            return Content("")
        width, height = self.size
        framed = bool(self.styles.border_top[0])
        lines = list(self.lines(self._view, width, height if framed else height - 1))
        if framed:
            # Set only when it is another: to set it is to draw the border.
            if self.border_title != self.heading:
                self.border_title = self.heading
        else:
            lines.insert(0, Content.styled(self.heading, "bold"))
        return Content("\n").join(line.truncate(width, ellipsis=True) for line in lines[:height])
