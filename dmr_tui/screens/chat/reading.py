"""Moving about in a conversation, and what can be done with each message and block of code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textual import on, work
from textual.message import Message

from dmr_tui.actions import bindings
from dmr_tui.chat.tree import Node
from dmr_tui.errors import DmrError
from dmr_tui.screens.chat.conversation import ConversationView
from dmr_tui.screens.chat.cursor import Spot
from dmr_tui.screens.outside import page
from dmr_tui.widgets.turn import TurnView

Wish = Literal["edit", "retry", "fork", "delete", "save"]


class ReadingView(ConversationView):
    """A conversation with a block cursor. What changes it is wished for, and done by the screen."""

    BINDINGS = bindings("message")

    @dataclass
    class Wished(Message):
        """Something is to be done with a message, or with a block of code in it."""

        wish: Wish
        spot: Spot

    @dataclass
    class Turned(Message):
        """Another version of a message is to be shown."""

        node: Node

    @dataclass
    class Said(Message):
        """A result, for the status bar."""

        text: str
        failed: bool = False

    def leave(self) -> None:
        """The cursor is nowhere."""
        self.cursor.go(None)

    def step(self, step: int) -> None:
        """Move the cursor by one block or message."""
        self.transcript.focus()
        self.cursor.move(step)
        self.post_message(self.Said(""))

    @property
    def spot(self) -> Spot | None:
        """Where the cursor is; nowhere means the last message."""
        return self.cursor.spot or self.cursor.last()

    def _wish(self, wish: Wish) -> None:
        spot = self._here()
        if spot is not None:
            self.post_message(self.Wished(wish, spot))

    def _here(self) -> Spot | None:
        """The place that a key means; the cursor goes there, so that one sees what was meant."""
        spot = self.spot
        if spot is not None and spot != self.cursor.spot:
            self.cursor.go(spot)
        return spot

    # The keys.

    def action_copy(self) -> None:
        """Copy the code, or the message as it is read."""
        spot = self._here()
        if spot is None:
            return
        code, view = spot.code, self.cursor.view
        if code is not None:
            self._copy_code(spot)
        else:
            self.app.copy_to_clipboard(view.plain if view is not None else spot.node.text)
            self.post_message(self.Said("Copied the text."))

    def action_copy_markdown(self) -> None:
        """Copy the code or the message as Markdown."""
        spot = self._here()
        if spot is not None:
            code = spot.code
            self.app.copy_to_clipboard(code.fenced() if code else spot.node.text)
            self.post_message(self.Said("Copied as Markdown."))

    def action_edit(self) -> None:
        """Write another version of the message."""
        self._wish("edit")

    def action_retry(self) -> None:
        """Let the model answer once more."""
        self._wish("retry")

    def action_fork(self) -> None:
        """Go on from here in a chat of its own."""
        self._wish("fork")

    def action_delete(self) -> None:
        """Delete the message and what follows it."""
        self._wish("delete")

    def action_save(self) -> None:
        """Write the code, or the message, to a file."""
        self._wish("save")

    def action_open(self) -> None:
        """Show the code, or the message, in the pager."""
        spot = self._here()
        if spot is not None:
            self._page(spot)

    @work(group="page", exclusive=True, exit_on_error=False)
    async def _page(self, spot: Spot) -> None:
        code = spot.code
        text, suffix = (code.text, code.suffix) if code else (spot.node.text, ".md")
        try:
            await page(self.app, text, suffix)
        except DmrError as error:
            self.post_message(self.Said(error.message, failed=True))

    def action_thoughts(self) -> None:
        """Show or fold the thoughts of this answer, or a long question."""
        if self._here() is None or self.cursor.view is None:
            return
        view = self.cursor.view
        if view.folds:
            view.unfold(not view.unfolded)
            self.call_after_refresh(self.cursor.mark)
        else:
            self.post_message(self.Said("There is nothing to fold in this message."))

    def action_version_before(self) -> None:
        """The version before this one."""
        self._turn(-1)

    def action_version_after(self) -> None:
        """The version after this one."""
        self._turn(1)

    def _turn(self, step: int) -> None:
        spot = self._here()
        if spot is not None:
            self._turn_node(spot.node, step)

    def _turn_node(self, node: Node, step: int) -> None:
        versions = node.versions
        if len(versions) == 1:
            self.post_message(self.Said("This is the only version; e and r make others."))
            return
        at = (versions.index(node) + step) % len(versions)
        self.post_message(self.Turned(versions[at]))

    # The mouse.

    @on(TurnView.CodeClicked)
    def _code_clicked(self, event: TurnView.CodeClicked) -> None:
        if event.view.node is not None:
            self._copy_code(Spot(event.view.node, event.block))

    @on(TurnView.VersionClicked)
    def _version_clicked(self, event: TurnView.VersionClicked) -> None:
        if event.view.node is not None:
            self._turn_node(event.view.node, event.step)

    def _copy_code(self, spot: Spot) -> None:
        code = spot.code
        if code is not None:
            self.app.copy_to_clipboard(code.text)
            lines = code.text.count("\n") + 1
            self.post_message(self.Said(f"Copied {lines} line{'s' if lines > 1 else ''} of code."))
