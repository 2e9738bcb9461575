"""The box that messages are written in."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message
from textual.widgets import TextArea

from dmr_tui.actions import bindings


class PromptArea(TextArea):
    """A text area whose enter key sends, with the messages sent before at its edges."""

    BINDINGS = bindings("prompt")

    @dataclass
    class Submitted(Message):
        """The message is to be sent. It stays in the box until the screen takes it."""

        text: str

    @dataclass
    class Steered(Message):
        """An arrow key while completions are shown.

        Attributes:
            step: 1 down, -1 up.
        """

        step: int

    class Completed(Message):
        """The completion that is chosen is to be taken."""

    class Left(Message):
        """The end-of-input key in an empty box."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's own name
        super().__init__(
            id=id, soft_wrap=True, show_line_numbers=False, compact=True, tab_behavior="focus"
        )
        self.completing = False
        """Completions are shown: arrows and tab are for them."""
        self._history: list[str] = []
        self._place = 0
        self._draft = ""

    def take(self) -> str:
        """Empty the box and remember its text for the arrow keys."""
        text = self.text
        if text.strip() and text not in self._history[-1:]:
            self._history.append(text)
        self._place = len(self._history)
        self.text = ""
        return text

    def put(self, text: str, cursor: int | None = None) -> None:
        """Put a text into the box.

        Args:
            text: all of it.
            cursor: characters before the cursor; None: it stands at the end.
        """
        self.text = text
        before = text if cursor is None else text[:cursor]
        self.move_cursor((before.count("\n"), len(before.rpartition("\n")[2])))

    # The keys of actions overtake letters that are still in this widget's queue: in a burst
    # ("hello" and enter in one packet) enter would come first. So both wait for their turn.

    def action_submit(self) -> None:
        """Offer the text to the screen."""
        self.call_later(lambda: self.post_message(self.Submitted(self.text)))

    def action_newline(self) -> None:
        """Begin a new line."""
        self.call_later(self.insert, "\n")

    def action_complete(self) -> None:
        """Take the chosen completion; without one, go to the next widget."""
        if self.completing:
            self.post_message(self.Completed())
        else:
            self.screen.focus_next()

    def action_leave(self) -> None:
        """Leave when there is nothing in the box, else delete to the right as a shell does."""
        if self.text:
            self.action_delete_right()
        else:
            self.post_message(self.Left())

    def action_back(self) -> None:
        """Up: a completion, a line, or the message before."""
        if self.completing:
            self.post_message(self.Steered(-1))
        elif self.cursor_at_first_line:
            self._recall(-1)
        else:
            self.action_cursor_up()

    def action_forth(self) -> None:
        """Down: a completion, a line, or the message after."""
        if self.completing:
            self.post_message(self.Steered(1))
        elif self.cursor_at_last_line:
            self._recall(1)
        else:
            self.action_cursor_down()

    def _recall(self, step: int) -> None:
        place = self._place + step
        if not 0 <= place <= len(self._history):
            return
        if self._place == len(self._history):
            self._draft = self.text
        self._place = place
        self.put(self._draft if place == len(self._history) else self._history[place])
