"""One line of text with places that can be clicked: header, status and keys are such lines."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.widget import Widget


@dataclass(frozen=True)
class Part:
    """A piece of a line.

    Attributes:
        content: its text.
        action: the Textual action that a click on it runs; empty: none.
    """

    content: Content
    action: str = ""


class Line(Widget):
    """A widget of one row. A subclass says what is left and what is right."""

    ALLOW_SELECT = False

    def left(self, width: int) -> list[Part]:
        """The parts from the left edge; `width` is the whole line's, in cells."""
        raise NotImplementedError

    def right(self, width: int) -> list[Part]:
        """The parts that end at the right edge; `width` is what the left ones leave."""
        del width
        return []

    def render(self) -> Content:
        """The line, cut where it does not fit; the right side gives way first."""
        left, right = self._parts()
        room = self.size.width
        before = Content.assemble(*(part.content for part in left)).truncate(room, ellipsis=True)
        after = Content.assemble(*(part.content for part in right))
        gap = room - before.cell_length - after.cell_length
        return before if gap < 0 else before + Content(" " * gap) + after

    async def on_click(self, event: events.Click) -> None:
        """Run the action of the part under the mouse."""
        left, right = self._parts()
        width = sum(part.content.cell_length for part in right)
        for parts, start in ((left, 0), (right, self.size.width - width)):
            for part in parts:
                end = start + part.content.cell_length
                if part.action and start <= event.x < end:
                    await self.run_action(part.action)
                    return
                start = end

    def _parts(self) -> tuple[list[Part], list[Part]]:
        left = self.left(self.size.width)
        taken = sum(part.content.cell_length for part in left)
        return left, self.right(self.size.width - taken)
