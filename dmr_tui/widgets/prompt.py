"""The box that messages are written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import TextArea

from dmr_tui.actions import bindings


class PromptArea(TextArea):
    """A text area whose enter key sends, with the messages sent before at its edges.

    Attributes:
        completing: completions are shown: arrows and tab are for them.
        sent: what was sent before, oldest first.
        whole_before: what in a text is deleted as a whole from its end; empty: nothing.
        marks: where a line holds something that stands for something else.
    """

    BINDINGS = bindings("prompt")
    COMPONENT_CLASSES: ClassVar = {"prompt-area--mark"}

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

    @dataclass
    class Pasted(Message):
        """A text was pasted; what holds the box decides what becomes of it."""

        text: str

    class Completed(Message):
        """The completion that is chosen is to be taken."""

    class SearchWanted(Message):
        """What was sent before is to be searched."""

    class EditorWanted(Message):
        """The message is to be written in an editor."""

    class Left(Message):
        """The end-of-input key in an empty box."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's own name
        super().__init__(
            id=id, soft_wrap=True, show_line_numbers=False, compact=True, tab_behavior="focus"
        )
        self.completing = False
        self.sent: list[str] = []
        self.whole_before: Callable[[str], str] = lambda before: ""
        self.marks: Callable[[str], list[tuple[int, int]]] = lambda line: []
        self._place: int | None = None
        self._written: dict[int, str] = {}

    @property
    def before(self) -> str:
        """The text up to the cursor."""
        return self.get_text_range((0, 0), self.cursor_location)

    def take(self) -> str:
        """Empty the box."""
        text = self.text
        self._place = None
        self._written.clear()
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

    def paste(self, text: str) -> None:
        """Put a text where the selection is; the cursor stands behind it."""
        lines = text.replace("\r\n", "\n").replace("\r", "\n")
        self.move_cursor(self.replace(lines, *self.selection).end_location)

    def get_line(self, line_index: int) -> Text:
        """A line, with what stands for something else in another colour."""
        line = super().get_line(line_index)
        spans = self.marks(line.plain)
        if spans:
            style = self.get_component_rich_style("prompt-area--mark", partial=True)
            for start, end in spans:
                line.stylize(style, start, end)
        return line

    async def _on_paste(self, event: events.Paste) -> None:
        """Textual's own way would insert the text whatever it is."""
        event.prevent_default()
        event.stop()
        self.post_message(self.Pasted(event.text))

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

    def action_search(self) -> None:
        """Search what was sent before; while that is open: the match before."""
        self.call_later(lambda: self.post_message(self.SearchWanted()))

    def action_editor(self) -> None:
        """Write the message in an editor."""
        self.call_later(lambda: self.post_message(self.EditorWanted()))

    def action_leave(self) -> None:
        """Leave when there is nothing in the box, else delete to the right as a shell does."""
        if self.text:
            self.action_delete_right()
        else:
            self.post_message(self.Left())

    def action_delete_left(self) -> None:
        """Delete a character, or all of what stands for something else."""
        whole = "" if self.selected_text else self.whole_before(self.before)
        if whole:
            row, column = self.cursor_location
            self.delete((row, column - len(whole)), (row, column))
        else:
            super().action_delete_left()

    def action_back(self) -> None:
        """Up: a completion, a line, or the message before."""
        if self.completing:
            self.post_message(self.Steered(-1))
        elif self.navigator.is_first_wrapped_line(self.cursor_location):
            self._recall(-1)
        else:
            self.action_cursor_up()

    def action_forth(self) -> None:
        """Down: a completion, a line, or the message after."""
        if self.completing:
            self.post_message(self.Steered(1))
        elif self.navigator.is_last_wrapped_line(self.cursor_location):
            self._recall(1)
        else:
            self.action_cursor_down()

    def _recall(self, step: int) -> None:
        end = len(self.sent)
        before = end if self._place is None else min(self._place, end)
        place = before + step
        if not 0 <= place <= end:
            return
        # What is changed in an earlier message stays there until something is sent.
        self._written[before] = self.text
        self._place = None if place == end else place
        sent = self.sent[place] if place < end else ""
        self.put(self._written.get(place, sent))
