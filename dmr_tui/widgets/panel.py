"""A failure as it is shown: the cause, and what to do about it."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from dmr_tui.errors import DmrError
from dmr_tui.widgets.printable import printable


class ErrorPanel(Static):
    """A box with what went wrong and the remedy."""

    def __init__(self, error: DmrError, remedy: str = "") -> None:
        """Show an error.

        Args:
            error: what went wrong.
            remedy: what to do on this screen; the error's own hint comes before it.
        """
        super().__init__(explain(error, remedy))
        self.border_title = "× That did not work"


def explain(error: DmrError, remedy: str = "") -> Content:
    """The message and, in lines of their own, what to do."""
    lines = [Content(printable(error.message))]
    hints = [printable(text) for text in (error.hint, remedy) if text]
    lines += [Content.styled(hint, "$text-muted") for hint in hints]
    return Content("\n").join(lines)
