"""Chat: a conversation with one model, the saved ones beside it, and how the model answers."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events, on, work
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from dmr_tui.actions import Action, bindings
from dmr_tui.chat.sessions import ChatInfo
from dmr_tui.screens.chat.chats import ChatList, ChatsPane
from dmr_tui.screens.chat.composer import Composer
from dmr_tui.screens.chat.cursor import Spot
from dmr_tui.screens.chat.drafting import Drafting
from dmr_tui.screens.chat.keeping import newest_with
from dmr_tui.screens.chat.parameters import ParametersPane
from dmr_tui.screens.chat.revising import RevisingScreen
from dmr_tui.screens.library import familiar_name
from dmr_tui.screens.messages import ShowModels
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.prompt import PromptArea
from dmr_tui.widgets.transcript import Transcript

_TWICE_SECONDS = 0.6
"""Two presses of a key within this time are meant as one."""


class ChatScreen(RevisingScreen):
    """The conversation in the middle, the saved chats to its left, the parameters to its right."""

    MODE = "chat"
    CSS_PATH = "chat.tcss"
    BINDINGS = bindings("chat")
    AUTO_FOCUS = "#prompt"

    def __init__(self, workspace: Workspace) -> None:
        """See `AskingScreen`."""
        super().__init__(workspace)
        self._drafting = Drafting(workspace)
        self._escaped = -_TWICE_SECONDS

    def body(self) -> Iterable[Widget]:
        """Three columns; the outer ones are shown when they are asked for."""
        chats = ChatsPane(lambda: self.workspace.sessions, self.workspace.clocks.now)
        yield Horizontal(chats, Vertical(*self.middle(), id="middle"), ParametersPane())

    def on_mount(self) -> None:
        """Look for what an earlier program has not sent."""
        for pane in self._panes:
            pane.display = False
        self.watch(self._view.transcript, "paused", self._paused_changed, init=False)
        self._recover()

    @property
    def _panes(self) -> tuple[ChatsPane, ParametersPane]:
        return self.query_one(ChatsPane), self.query_one(ParametersPane)

    # What is typed is never lost.

    @work(group="drafts", exit_on_error=False)
    async def _recover(self) -> None:
        draft, older = await self._drafting.recover()
        self._composer.prompt.sent[:0] = older
        if draft:
            self._composer.restore(draft)
            self.workspace.say("What you had typed is in the prompt again.")

    @on(Composer.DraftChanged)
    def _draft_changed(self) -> None:
        draft = self._composer.draft(self._outbox.texts)
        self._drafting.note(draft)
        self._show_foot()

    def on_unmount(self) -> None:
        """What is typed now is there again next time."""
        self._drafting.finish()

    # What is shown.

    def show_workspace(self) -> None:
        """Show the conversation, and the panes that are open."""
        super().show_workspace()
        self._draft_changed()
        _, parameters = self._panes
        if parameters.display:
            parameters.show(self._conversation)

    def conversation_saved(self) -> None:
        """Show the saved chats as they are now."""
        chats, _ = self._panes
        if chats.display:
            chats.refresh_list(self._conversation.id)

    def _paused_changed(self) -> None:
        self._show_foot()
        self.refresh_hints()

    def hint(self, action: Action) -> str | None:
        """Only what would do something."""
        spoken = bool(self._conversation.root.children)
        match action.id:
            case "chat.stop":
                return self._escape_hint()
            case "chat.new" | "chat.copy_answer" | "chat.block_up":
                return action.title if spoken else None
            case "chat.follow":
                return action.title if self._view.transcript.paused else None
            case "transcript.zoom" if self.has_class("-zoomed"):
                return "All"
            case "prompt.submit" if self._composer.editing:
                return "Send anew"
            case "prompt.search":
                return action.title if self._composer.prompt.sent else None
            case "app.endpoint":
                return None
        if action.scope == "message":
            return self._message_hint(action)
        if action.scope == "chats" and action.name not in ("new", "find"):
            return action.title if self.query_one(ChatList).chat is not None else None
        return action.title

    def _escape_hint(self) -> str | None:
        if self.workspace.notice.deed:
            return "Keep"
        if self._composer.editing:
            return "Give up"
        if self._outbox:
            return "Take back"
        return "Stop" if self._talk else None

    def _message_hint(self, action: Action) -> str | None:
        spot = self._view.spot
        if spot is None:
            return None
        match action.name:
            case "version_before" | "version_after":
                count = len(spot.node.versions)
                return f"{spot.node.version}/{count}" if count > 1 else None
            case "thoughts":
                view = self._view.cursor.view
                return action.title if view is not None and view.folds else None
        return action.title

    def hint_scopes(self) -> tuple[str, ...]:
        """Those of what has the focus."""
        if self._view.transcript.has_focus:
            return ("message", "transcript", "chat")
        if self.query_one(ChatList).has_focus:
            return ("chats", "chat")
        return ("prompt", "chat") if self._composer.prompt.has_focus else ("chat",)

    # The panes.

    def action_show_chats(self) -> None:
        """Show the saved chats and go to them, or hide them."""
        chats, _ = self._panes
        if self._toggle(chats):
            chats.refresh_list(self._conversation.id)
            chats.list.focus()

    def action_show_parameters(self) -> None:
        """Show the parameters and go to them, or hide them."""
        _, parameters = self._panes
        if self._toggle(parameters):
            parameters.show(self._conversation)
            parameters.query_one("#field-temperature").focus()

    def _toggle(self, pane: Widget) -> bool:
        """Show a pane, or hide it and go back to the prompt; whether it is shown now."""
        shown = not pane.display
        self._show_pane(pane if shown else None)
        if not shown:
            self._composer.prompt.focus()
        return shown

    def _show_pane(self, pane: Widget | None) -> None:
        """Show this one and no other: two would leave no room for what they are about."""
        self.remove_class("-zoomed")
        for each in self._panes:
            each.display = each is pane
        self.set_class(pane is not None, "-pane")
        self.call_after_refresh(self.refresh_hints)

    def on_descendant_focus(self) -> None:
        """On a narrow screen a pane hides the conversation: leave it when that gets the focus."""
        super().on_descendant_focus()
        alone = self._is_narrow and self.has_class("-pane")
        if alone and self.query_one("#middle").has_focus_within:
            self._show_pane(None)

    def _back_to_chats(self) -> None:
        """From a question above the prompt to the list that it was asked in.

        At once: a focus that came later would find the pane closed by the prompt's before it.
        """
        chats, _ = self._panes
        if not chats.display:
            self._show_pane(chats)
        self.set_focus(chats.list)

    @on(ParametersPane.Changed)
    @work(group="parameters", exit_on_error=False)
    async def _parameter_changed(self, event: ParametersPane.Changed) -> None:
        problem = await self.set_quietly(event.command)
        if problem:
            self.query_one(ParametersPane).refuse(problem)

    @on(ChatList.OptionHighlighted, "#chat-list")
    def _other_chat(self) -> None:
        self.refresh_hints()

    @on(ChatList.Wished)
    @work(group="chats-action", exit_on_error=False)
    async def _chat_wished(self, event: ChatList.Wished) -> None:
        chat = event.chat
        match event.wish:
            case "new":
                self.action_new()
            case "undelete":
                back = await self._do(self._keeper.restore())
                self.workspace.say(f"'{back.title}' is back." if back else "Nothing was deleted.")
            case "open" | "fork" if chat is not None:
                await self._open_chat(chat, fork=event.wish == "fork")
            case "delete" if chat is not None:
                await self._delete_chat(chat)
            case "rename" if chat is not None:
                await self._rename_chat(chat)
            case "export" if chat is not None:
                await self._export_chat(chat)
            case _:
                self.workspace.say("There is no chat here.")
        self.conversation_saved()
        self.refresh_all()

    async def _open_chat(self, chat: ChatInfo, *, fork: bool) -> None:
        found = await self._do(self._keeper.load(chat.id))
        if found is None:
            return
        found.model = familiar_name(found.model)
        chats, _ = self._panes
        hit = newest_with(found, chats.query_text)
        if hit is not None:
            hit.choose()
        if fork:
            self.open_conversation(found.fork())
            self._changed_by_hand()
            self.workspace.say("This is a copy of the chat.")
            return
        self.open_conversation(found)
        if hit is not None:
            self._view.transcript.focus()
            self._view.cursor.go(Spot(hit))

    async def _delete_chat(self, chat: ChatInfo) -> None:
        turns = f"{chat.turns} turn{'s' if chat.turns != 1 else ''}"
        question = f"Delete '{chat.title}', {turns}? d again deletes, esc keeps."
        if not self.workspace.confirmed("delete chat", [chat.id], question):
            return
        if await self._do(self._keeper.delete(chat)):
            if chat.id == self._conversation.id:
                self.interrupt()
                self._show_conversation(self._conversation.following())
            self.workspace.say(f"Deleted '{chat.title}'. u brings it back, until you leave.")

    async def _rename_chat(self, chat: ChatInfo) -> None:
        title = await self._composer.ask("Rename the chat", chat.title)
        if title:
            await self._do(self._keeper.rename(chat, title))
            if chat.id == self._conversation.id:
                self._conversation.title = title
        self._back_to_chats()

    async def _export_chat(self, chat: ChatInfo) -> None:
        proposed = self._keeper.file_name(chat)
        await self._ask_for_file(
            "Export to a file, .md or .json", proposed, lambda file: self._keeper.export(chat, file)
        )
        self._back_to_chats()

    # Other actions.

    def action_stop(self) -> None:
        """Close what is open, take a waiting message back, or stop the answer; twice: edit."""
        now = self.workspace.clocks.monotonic()
        twice, self._escaped = now - self._escaped < _TWICE_SECONDS, -_TWICE_SECONDS
        if self.workspace.notice.deed:
            self.workspace.say("Kept.")
        elif self._composer.close():
            pass
        elif self._composer.editing:
            self._end_edit()
        elif self._outbox:
            self._composer.give_back(self._outbox.take_back())
        elif self._talk:
            self._escaped = now
            self.interrupt()
        elif twice and self._conversation.questions:
            self._edit(self._conversation.questions[-1])
        else:
            self._step_back()
        self.refresh_all()

    def _step_back(self) -> None:
        """From a pane to the prompt; from the prompt to the conversation, and back."""
        chats, parameters = self._panes
        prompt, transcript = self._composer.prompt, self._view.transcript
        if chats.display and chats.has_focus_within and chats.leave_search():
            chats.list.focus()
        elif parameters.has_focus_within:
            self._toggle(parameters)
        elif chats.has_focus_within:
            self._toggle(chats)
        elif prompt.has_focus:
            self._escaped = self.workspace.clocks.monotonic()
            transcript.focus()
        else:
            self.remove_class("-zoomed")
            self._view.leave()
            prompt.focus()

    @on(Transcript.ZoomWanted)
    def _zoom(self) -> None:
        self.toggle_class("-zoomed")
        self.refresh_hints()

    @on(Transcript.WritingWanted)
    def _write(self) -> None:
        self.remove_class("-zoomed")
        self._view.leave()
        self._composer.prompt.focus()

    def action_block_up(self) -> None:
        """The message or the block of code above."""
        self._view.step(-1)

    def action_block_down(self) -> None:
        """The message or the block of code below."""
        self._view.step(1)

    def action_new(self) -> None:
        """Begin a new conversation; the last one stays saved."""
        self.open_conversation(self._conversation.following())

    def action_compact(self) -> None:
        """Let the model sum up the older turns."""
        if not self._busy():
            self._run_command("/compact")

    def action_show_thoughts(self) -> None:
        """Show or fold the thoughts of all answers."""
        shown = self._view.toggle_thoughts()
        self.workspace.say(f"Thoughts are {'shown' if shown else 'folded'}.")

    def action_copy_answer(self) -> None:
        """Copy the last answer as Markdown."""
        for answer in self._conversation.answers[-1:]:
            self.app.copy_to_clipboard(answer.text)
            self.workspace.say("Copied the last answer as Markdown.")

    def action_page_up(self) -> None:
        """Look back."""
        self._page_target().scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        """Towards the end."""
        self._page_target().scroll_page_down(animate=False)

    def _page_target(self) -> Widget:
        """What the paging keys move: the list of chats while it has the focus."""
        chats = self.query_one(ChatList)
        return chats if chats.has_focus else self._view.transcript

    def action_follow(self) -> None:
        """To the end, and stay there."""
        self._view.follow()

    @on(PromptArea.Left)
    def _left(self) -> None:
        self.post_message(ShowModels())

    async def on_paste(self, event: events.Paste) -> None:
        """What is pasted while one looks back goes into the prompt too."""
        prompt = self._composer.prompt
        if not prompt.has_focus:
            await self._composer.paste(event.text)
            prompt.focus()
