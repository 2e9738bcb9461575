"""Changing a conversation: commands, other versions, copies, and which conversation it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from textual import on, work

from dmr_tui.chat.commands import Outcome, execute, is_command, waits
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.tree import Node
from dmr_tui.engine.request import ChatRequest
from dmr_tui.errors import DmrError
from dmr_tui.screens.chat.asking import AskingScreen
from dmr_tui.screens.chat.composer import Composer
from dmr_tui.screens.chat.cursor import Spot
from dmr_tui.screens.chat.keeping import Keeper
from dmr_tui.screens.chat.reading import ReadingView
from dmr_tui.screens.library import familiar_name
from dmr_tui.screens.messages import ShowModels
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.prompt import PromptArea

T = TypeVar("T")


class RevisingScreen(AskingScreen):
    """A conversation whose messages can be said otherwise, copied and removed."""

    def __init__(self, workspace: Workspace) -> None:
        """See `AskingScreen`."""
        super().__init__(workspace)
        self._keeper = Keeper(workspace)
        self._editing: Node | None = None

    # What is sent.

    @on(PromptArea.Submitted)
    def _submitted(self, event: PromptArea.Submitted) -> None:
        text = self._composer.message.strip()
        if not text:
            if self._composer.editing:
                self._end_edit()
            elif self._outbox and self._talk:
                self.interrupt()  # What waits is sent as soon as this has ended.
            else:
                self.workspace.say("Write a message first, then ⏎ sends it.")
            return
        edited = self._editing
        rewrites = edited is not None and edited.role == "assistant"
        if (rewrites or waits(text)) and self._busy():
            return  # What is written stays in the prompt.
        self._composer.take()
        self._end_edit()
        self.workspace.forget_old_notice()
        if is_command(text):
            self._run_command(text)
        elif edited is not None and rewrites:
            self._conversation.rewrite(edited, text)
            self._changed_by_hand()
        else:
            self._outbox.put(text, edited)
            self._send_next()
        self.refresh_all()

    @work(group="command", exit_on_error=False)
    async def _run_command(self, line: str) -> None:
        changing = waits(line)
        self._changing += changing
        try:
            await self._execute(line)
        finally:
            self._changing -= changing
        self._send_next()

    async def _execute(self, line: str) -> None:
        try:
            context = self._place()
        except DmrError as error:
            self._view.show_outcome(line, Outcome(error.message, error=True))
            return
        outcome = await execute(line, context)
        context.conversation.model = familiar_name(context.conversation.model)
        if outcome.redraw or outcome.cleared or context.conversation is not self._conversation:
            self._show_conversation(context.conversation)
        if outcome.text and not outcome.cleared:
            self._view.show_outcome(line, outcome)
        self._obey(outcome)
        self.conversation_saved()
        self.refresh_all()

    def _obey(self, outcome: Outcome) -> None:
        """Do what a command wants done, besides showing what it says."""
        if outcome.copy:
            self.app.copy_to_clipboard(outcome.copy)
        if outcome.replaces is not None:
            self._edit(outcome.replaces)
        elif outcome.put:
            self._composer.prompt.put(outcome.put)
        if outcome.again is not None:
            self._retry(outcome.again)
        if outcome.leave:
            self.post_message(ShowModels())

    async def set_quietly(self, command: str) -> str:
        """Set a parameter as its slash command does; returns what was wrong, empty: nothing."""
        try:
            context = self._place()
            outcome = await execute(command, context)
        except DmrError as error:
            outcome = Outcome(error.message, error=True)
        self.workspace.say(outcome.text, "error" if outcome.error else "information")
        self.refresh_all()
        return outcome.text if outcome.error else ""

    # Which conversation.

    def _show_conversation(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self.workspace.forget_old_notice()
        self._end_edit()
        self._hold_queue()  # What waits was written for what was shown before.
        self._pace.begin()
        self._stats = next((n.stats for n in reversed(conversation.answers) if n.stats), None)
        self._view.leave()
        self._view.show_path(conversation.path)
        self.conversation_saved()

    def open_conversation(self, conversation: Conversation) -> None:
        """Show another conversation; an answer that is on its way is stopped and kept."""
        self.interrupt()
        self._show_conversation(conversation)
        self._composer.prompt.focus()
        self.refresh_all()

    def begin_with(self, name: str) -> None:
        """Chat with this model: in the open chat if that is its own or empty, else in a new one."""
        spoken = bool(self._conversation.root.children)
        # What is not saved would be lost.
        if spoken and name != self.model and self.workspace.settings.save_chats:
            self.open_conversation(Conversation(name))
        else:
            self.use_model(name)

    def open_request(self, model: str, request: ChatRequest) -> None:
        """Make a new chat of what somebody has asked a model, for instance another program.

        Args:
            model: who is to go on with it.
            request: messages and parameters.
        """
        self.open_conversation(Conversation.from_request(familiar_name(model), request))
        self._changed_by_hand()
        last = self._conversation.tip
        if last.role == "user":
            self._view.transcript.focus()
            self._view.cursor.go(Spot(last))
            self.workspace.say("A copy of that request. r lets the model answer it.")
        else:
            self.workspace.say("A copy of that chat, with its answer: write to go on with it.")

    @work(group="chats-action", exit_on_error=False)
    async def continue_last(self) -> None:
        """Open the chat that was used last."""
        last = await self._do(self._keeper.last())
        if last is None:
            self.workspace.say("No chat is saved yet: this is a new one.")
        else:
            last.model = familiar_name(last.model)
            self.open_conversation(last)

    def _changed_by_hand(self) -> None:
        """The tree has changed without an answer: show it and save it."""
        self._view.show_path(self._conversation.path)
        if self.workspace.settings.save_chats:
            self.workspace.sessions.save(self._conversation)
        self.conversation_saved()
        self.refresh_all()

    async def _do(self, job: Awaitable[T]) -> T | None:
        """What came of a job; None where it failed, which is said."""
        try:
            return await job
        except DmrError as error:
            self.workspace.fail(error)
            return None

    # What is wished for with a message.

    @on(ReadingView.Wished)
    def _message_wished(self, event: ReadingView.Wished) -> None:
        node = event.spot.node
        self.remove_class("-zoomed")  # Most wishes need the prompt.
        match event.wish:
            case "edit":
                self._edit(node)
            case "retry":
                self._retry(node)
            case "fork":
                self.open_conversation(self._conversation.fork(node))
                self._changed_by_hand()
                self.workspace.say("This is a copy of the chat up to there.")
            case "delete":
                self._delete_message(node)
            case "save":
                self._save_to_file(event.spot)

    @on(Composer.Said)
    @on(ReadingView.Said)
    def _said(self, event: ReadingView.Said | Composer.Said) -> None:
        self.workspace.say(event.text, "error" if event.failed else "information")
        self.refresh_hints()

    @on(ReadingView.Turned)
    def _turned(self, event: ReadingView.Turned) -> None:
        if self._busy():
            return
        event.node.choose()
        self._changed_by_hand()
        self._view.cursor.go(Spot(event.node))
        self.workspace.say(f"Version {event.node.version} of {len(event.node.versions)}.")

    def _busy(self) -> bool:
        """Whether an answer is on its way, which is then said."""
        if self._talk:
            # Not esc: that takes a waiting message back first, or gives an edit up.
            self.workspace.say("Not while the answer comes: ^c stops it.", "warning")
        return self._talk is not None

    def _edit(self, node: Node) -> None:
        self._editing = node
        self.remove_class("-zoomed")
        what = "your message" if node.role == "user" else "the answer"
        self._composer.begin_edit(node.text, what)
        self.refresh_all()

    def _end_edit(self) -> None:
        self._editing = None
        self._composer.end_edit()

    def _retry(self, node: Node) -> None:
        question = node if node.role == "user" else node.parent
        if question is None or question.role != "user" or self._busy():
            return
        try:
            context = self._place()
        except DmrError as error:
            self.workspace.fail(error)
            return
        self._view.show_until(question, with_it=True)
        clock = self.workspace.clocks.monotonic
        self._begin(context.turn(again=question, clock=clock), again=True)

    def _delete_message(self, node: Node) -> None:
        if self._busy():
            return
        more = sum(1 for _ in node.everything()) - 1
        what = "" if not more else " and its answer" if more == 1 else f" and {more} that follow"
        question = f"Delete this message{what}? x again deletes, esc keeps."
        if not self.workspace.confirmed("delete message", [node.id], question):
            return
        self._view.leave()
        self._conversation.withdraw(node)
        self._changed_by_hand()
        self.workspace.say("Deleted.")

    @work(group="file", exclusive=True, exit_on_error=False)
    async def _save_to_file(self, spot: Spot) -> None:
        code = spot.code
        text = code.text + "\n" if code else spot.node.text + "\n"
        proposed = f"code{code.suffix}" if code else "message.md"
        await self._ask_for_file(
            "Save to file", proposed, lambda file: self._keeper.write(text, file)
        )
        self._view.transcript.focus()

    async def _ask_for_file(
        self, title: str, proposed: str, write: Callable[[Path], Awaitable[Path]]
    ) -> None:
        """Write to a file whose name is asked for, and asked for again where it cannot be."""
        name = await self._composer.ask(title, proposed)
        while name:
            path = await self._do(write(Path(name)))
            if path is not None:
                self.workspace.say(f"Wrote {path}")
                return
            name = await self._composer.ask(title, name)
