"""What scrolls in a conversation: it follows the end until a person scrolls away from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textual.containers import VerticalScroll
from textual.geometry import Size
from textual.message import Message
from textual.reactive import Reactive, reactive

from dmr_tui.actions import bindings

Edge = Literal["top", "bottom"]


class Transcript(VerticalScroll, can_focus=True, inherit_bindings=False):
    """Turns, one below the other. What holds them may be asked for more of them at either edge.

    Attributes:
        ends_here: the last of the turns is among those that are here.
    """

    BINDINGS = bindings("transcript")

    class WritingWanted(Message):
        """The focus should go back to the prompt."""

    class ZoomWanted(Message):
        """The conversation should have the whole screen, or not any more."""

    @dataclass
    class EdgeNear(Message):
        """A person has scrolled to where the turns that are here end."""

        edge: Edge

    @dataclass
    class EdgeWanted(Message):
        """A person wants to go to the very beginning or end."""

        edge: Edge

    paused: reactive[bool] = reactive(False)
    """A person has scrolled away from the end."""

    virtual_size = Reactive(Size(0, 0), repaint=False)
    """See `TurnView.virtual_size`; that a scrollbar comes or goes is another matter."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's own name
        """Nothing to scroll yet."""
        super().__init__(id=id)
        self.ends_here = True

    def follow(self) -> None:
        """Go to the end and stay there.

        An anchored widget that is not full sticks to the bottom of its place; a conversation
        begins at the top, so it is anchored only once it is longer than its place.
        """
        self.paused = False
        self.anchor(self.virtual_size.height > self.container_size.height)
        if not self.is_anchored and self.scroll_y < 0:
            # It was anchored while it was laid out, and so at the bottom of its place.
            self.scroll_to(y=0, animate=False, immediate=True, force=True)

    def release_anchor(self) -> None:
        """Stop following; Textual calls this when a person scrolls."""
        super().release_anchor()
        self.paused = self.max_scroll_y > 0

    def leave_end(self) -> None:
        """What is the end here is not the end of the conversation: do not stick to it."""
        self.ends_here = False
        self.anchor(False)
        self.paused = True

    def shift(self, rows: int) -> None:
        """Keep in view what is in view, when so many rows come or go above it.

        Call it together with what makes them come or go, in one turn of the loop: the next layout
        takes both, and nothing moves on the screen.
        """
        # Without the checks against the size as it is now, which is not that of the next layout.
        place = max(self.scroll_y + rows, 0)
        self.set_reactive(VerticalScroll.scroll_y, place)
        self.set_reactive(VerticalScroll.scroll_target_y, place)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow again as soon as the end is in view."""
        super().watch_scroll_y(old_value, new_value)
        if new_value >= self.max_scroll_y and self.ends_here:
            self.paused = False
        if round(old_value) != round(new_value):
            page = self.container_size.height
            if new_value < old_value and new_value < page:
                self.post_message(self.EdgeNear("top"))
            elif new_value > old_value and new_value > self.max_scroll_y - page:
                self.post_message(self.EdgeNear("bottom"))

    def watch_virtual_size(self, before: Size, now: Size) -> None:
        """Begin to follow when the conversation has become longer than its place."""
        fits = now.height <= self.container_size.height
        if not self.ends_here or not self.container_size.height:
            return  # What has no place yet is too long for it whatever it holds.
        if fits == self.is_anchored and (fits or before.height <= self.container_size.height):
            self.follow()

    def on_resize(self) -> None:
        """The place has become larger or smaller than the conversation."""
        fits = self.virtual_size.height <= self.container_size.height
        if self.ends_here and fits == self.is_anchored:
            self.follow()

    def action_write(self) -> None:
        """Back to the prompt."""
        self.post_message(self.WritingWanted())

    def action_zoom(self) -> None:
        """The conversation alone, or what is around it too."""
        self.post_message(self.ZoomWanted())

    def action_top(self) -> None:
        """The beginning."""
        self.post_message(self.EdgeWanted("top"))

    def action_follow(self) -> None:
        """The end, and stay there."""
        self.post_message(self.EdgeWanted("bottom"))
