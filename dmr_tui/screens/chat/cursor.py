"""The block cursor: on a message of the conversation, or on a block of code in it."""

from __future__ import annotations

from dataclasses import dataclass

from dmr_tui.chat.blocks import CodeBlock, code_blocks
from dmr_tui.chat.tree import Node
from dmr_tui.screens.chat.window import Entry, Window
from dmr_tui.widgets.transcript import Transcript
from dmr_tui.widgets.turn import TurnView


@dataclass(frozen=True)
class Spot:
    """Where the cursor is.

    Attributes:
        node: the message.
        block: which block of code of it, counted from 1; 0: the message itself.
    """

    node: Node
    block: int = 0

    @property
    def code(self) -> CodeBlock | None:
        """The block of code; None on a message."""
        return code_blocks(self.node.text)[self.block - 1] if self.block else None


class BlockCursor:
    """Moves through messages and their blocks of code, and marks where it is."""

    def __init__(self, window: Window, transcript: Transcript) -> None:
        """It is nowhere yet.

        Args:
            window: what it moves in.
            transcript: scrolls so that it is in view.
        """
        self.spot: Spot | None = None
        self._window = window
        self._transcript = transcript
        self._marked: TurnView | None = None

    def move(self, step: int) -> None:
        """Go to the next stop (1) or the one before (-1); from nowhere to the last one."""
        stops = self._stops_around()
        if not stops:
            return
        if self.spot not in stops:
            self.go(stops[-1])
            return
        at = stops.index(self.spot) + step
        if 0 <= at < len(stops):
            self.go(stops[at])

    def go(self, spot: Spot | None) -> None:
        """Go to a place, and have it in view; None: be nowhere."""
        if self._marked is not None:
            self._marked.point(None)
        self.spot, self._marked = spot, None
        if spot is not None:
            self._window.reach(self._place(spot.node))
            self.mark()
            self._transcript.release_anchor()
            self._transcript.call_after_refresh(self._reveal)

    def mark(self) -> None:
        """Mark the place in the widget that shows it now."""
        view = self.view
        if self.spot is not None and view is not None:
            view.point(self.spot.block)
            self._marked = view

    @property
    def view(self) -> TurnView | None:
        """The widget of the message that it is on, where that is in the window."""
        if self.spot is None:
            return None
        for entry in self._window.mounted:
            if entry.node is self.spot.node and isinstance(entry.widget, TurnView):
                return entry.widget
        return None

    def last(self) -> Spot | None:
        """The last message that the cursor can be on."""
        nodes = [entry.node for entry in self._window.entries if entry.node is not None]
        return Spot(nodes[-1]) if nodes else None

    def _place(self, node: Node) -> int:
        entries = self._window.entries
        return next((at for at, entry in enumerate(entries) if entry.node is node), 0)

    def _stops_around(self) -> list[Spot]:
        """The stops of the message that it is on and of its neighbours."""
        entries = [entry for entry in self._window.entries if entry.node is not None]
        at = next(
            (at for at, each in enumerate(entries) if self.spot and each.node is self.spot.node),
            len(entries) - 1,
        )
        return [spot for entry in entries[max(at - 1, 0) : at + 2] for spot in _stops(entry)]

    def _reveal(self) -> None:
        view = self.view
        if view is None or self.spot is None:
            return
        first, end = view.span(self.spot.block)
        top, bottom = view.virtual_region.y + first, view.virtual_region.y + end
        page, place = self._transcript.container_size.height, self._transcript.scroll_y
        if top < place or bottom - top >= page:
            place = top
        elif bottom > place + page:
            place = bottom - page
        self._transcript.scroll_to(y=place, animate=False, force=True)


def _stops(entry: Entry) -> list[Spot]:
    node = entry.node
    if node is None:
        return []
    blocks = 0 if node.role == "user" else len(code_blocks(node.text))
    return [Spot(node, block) for block in range(blocks + 1)]
