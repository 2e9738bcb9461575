"""Chat: a conversation with one model."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass

from textual import events, on, work
from textual.message import Message
from textual.widget import Widget
from textual.worker import Worker

from dmr_tui.actions import Action, actions, bindings
from dmr_tui.chat.commands import ChatContext, Outcome, Suggestion, execute, is_command, suggest
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.stats import TurnStats
from dmr_tui.chat.turn import Turn
from dmr_tui.errors import DmrError
from dmr_tui.screens.chat.composer import Composer
from dmr_tui.screens.chat.conversation import ConversationView
from dmr_tui.screens.chat.foot import Foot, Standing
from dmr_tui.screens.chat.opening import opening
from dmr_tui.screens.chat.outbox import Outbox
from dmr_tui.screens.chat.talk import Talk
from dmr_tui.screens.library import familiar_name
from dmr_tui.screens.messages import ShowModels
from dmr_tui.screens.shell import ShellScreen
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.prompt import PromptArea
from dmr_tui.widgets.transcript import Transcript

_FLUSH_SECONDS = 0.1
_BACK_IN_PROMPT = "Your message is in the prompt again."
_KEPT = "What came of the answer is kept; the next message goes on from it."


class ChatScreen(ShellScreen):
    """A transcript above, a prompt below."""

    MODE = "chat"
    CSS_PATH = "chat.tcss"
    BINDINGS = bindings("chat")
    AUTO_FOCUS = "#prompt"

    @dataclass
    class Answered(Message):
        """An answer has ended: finished, stopped or failed."""

        talk: Talk
        failure: DmrError | None

    def __init__(self, workspace: Workspace) -> None:
        """A new conversation, with a model that is in memory or else the first one."""
        super().__init__(workspace)
        self._conversation = Conversation("")
        self._chat: ChatContext | None = None
        self._talk: Talk | None = None
        self._answering: Worker[None] | None = None
        self._outbox = Outbox(workspace)
        self._stats: TurnStats | None = None
        self._turns = 0

    def body(self) -> Iterable[Widget]:
        """Conversation, prompt, and what is measured."""
        yield ConversationView()
        yield Composer(self._suggest)
        yield Foot()

    def on_mount(self) -> None:
        """Begin to show answers as they come."""
        super().on_mount()
        self.watch(self._view.transcript, "paused", self._paused_changed, init=False)
        self._flushing = self.set_interval(_FLUSH_SECONDS, self._flush, pause=True)

    @property
    def _view(self) -> ConversationView:
        return self.query_one(ConversationView)

    @property
    def _composer(self) -> Composer:
        return self.query_one(Composer)

    def _place(self) -> ChatContext:
        """What a command or a question acts on.

        Raises:
            DmrError: there is no runner (yet).
        """
        runner = self.workspace.runner
        if self._chat is None:
            shortcuts, sessions = _shortcuts(), self.workspace.sessions
            self._chat = ChatContext(self._conversation, runner, shortcuts, sessions)
        self._chat.runner = runner
        return self._chat

    # Whom to talk to.

    @property
    def model(self) -> str:
        """Whom it talks to; empty while there is nobody."""
        return self._conversation.model

    def use_model(self, name: str) -> None:
        """Talk to this model from now on; what was said stays."""
        if name != self.model:
            before, self._conversation.model = self.model, name
            if before and self._conversation.turns:
                self.workspace.say(f"{name} goes on with the conversation.")
        self.refresh_all()
        self._send_next()

    def _choose_model(self) -> None:
        entries = self.workspace.library.entries
        if not self.model and entries:
            loaded = sorted(entries, key=lambda entry: entry.running is None)
            self._conversation.model = loaded[0].name

    # What is shown.

    def workspace_changed(self) -> None:
        """Send what waited for the runner or for a pull."""
        self._choose_model()
        self._give_up_waiting()
        self._send_next()

    def show_workspace(self) -> None:
        """Show whom one talks to and what a message waits for."""
        self._choose_model()
        self._turns = turns = len(self._conversation.questions)
        said = f"{turns} turn{'s' if turns != 1 else ''}" if turns else "New chat"
        view = self._view
        view.border_title = f"{said} · {self.model}" if self.model else "Chat"
        if view.is_empty:
            view.show_opening(opening(self.workspace, self.model, self.size.width))
        self._show_foot()

    def _paused_changed(self) -> None:
        self._show_foot()
        self.refresh_hints()

    def _show_foot(self) -> None:
        entry = self.workspace.library.find(self.model) if self.model else None
        running = entry.running if entry else None
        self.query_one(Foot).standing = Standing(
            waiting=self._outbox.waits_for(self.model, answering=self._talk is not None),
            stats=self._talk.turn.stats() if self._talk else self._stats,
            window=running.context_size if running else 0,
            paused=self._view.transcript.paused,
        )

    def hint(self, action: Action) -> str | None:
        """Stop only while there is something to stop."""
        match action.id:
            case "chat.stop":
                waiting = "Take back" if self._outbox else None
                return "Stop" if self._talk else waiting
            case "chat.new" | "transcript.copy_answer":
                return action.title if self._conversation.turns else None
            case "chat.follow":
                return action.title if self._view.transcript.paused else None
            case "app.endpoint":
                return None
        return action.title

    def hint_scopes(self) -> tuple[str, ...]:
        """Those of the prompt or of the conversation, whichever has the focus."""
        return ("transcript" if self._view.transcript.has_focus else "prompt", "chat")

    # Asking.

    async def _suggest(self, before: str) -> list[Suggestion]:
        try:
            context = self._place()
        except DmrError:
            return []  # The header says that there is no runner.
        return await suggest(before, context)

    @on(PromptArea.Submitted)
    def _submitted(self, event: PromptArea.Submitted) -> None:
        text = event.text.strip()
        if not text:
            self._outbox.replaces = None
            return
        self._composer.prompt.take()
        if is_command(text):
            self._outbox.replaces = None
            self._run_command(text)
        else:
            self._outbox.put(text)
            self._send_next()
            self.refresh_all()

    @work(group="command", exit_on_error=False)
    async def _run_command(self, line: str) -> None:
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
        self._obey(outcome, context)
        self.refresh_all()

    def _obey(self, outcome: Outcome, context: ChatContext) -> None:
        """Do what a command wants done, besides showing what it says."""
        if outcome.copy:
            self.app.copy_to_clipboard(outcome.copy)
        if outcome.put:
            self._composer.prompt.put(outcome.put)
            self._outbox.replaces = outcome.replaces
        if outcome.again is not None and not self._talk:
            monotonic = self.workspace.clocks.monotonic
            self._view.show_until(self._conversation, outcome.again, with_it=True)
            self._begin(context.turn(again=outcome.again, clock=monotonic), again=True)
        if outcome.leave:
            self.post_message(ShowModels())

    def _show_conversation(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._stats = next((n.stats for n in reversed(conversation.answers) if n.stats), None)
        self._view.show_path(conversation.path)

    def _send_next(self) -> None:
        """Put the first message that waits to the model, if it can answer now."""
        if self._talk or not self._outbox.can_go(self.model):
            return
        text, replaces = self._outbox.take()
        if replaces is not None:
            self._view.show_until(self._conversation, replaces)
        monotonic = self.workspace.clocks.monotonic
        self._begin(self._place().turn(text, replaces=replaces, clock=monotonic))

    def _begin(self, turn: Turn, *, again: bool = False) -> None:
        now = self.workspace.clocks.now()
        self._talk = self._view.begin(turn, self.model, now, again=again)
        self._flushing.resume()
        self._answering = self._answer(self._talk)
        self.refresh_all()

    @work(group="answer", exit_on_error=False)
    async def _answer(self, talk: Talk) -> None:
        """Let the answer come; the timer shows it."""
        failure: DmrError | None = None
        try:
            async with aclosing(talk.turn.stream()) as stream:
                async for _ in stream:
                    pass
        except DmrError as error:
            failure = error
        finally:
            self.post_message(self.Answered(talk, failure))

    def _flush(self) -> None:
        if self._talk is not None:
            self._talk.show()
            self._show_foot()
            # A question joins the conversation only when its files have been read.
            if len(self._conversation.questions) != self._turns:
                self.refresh_all()

    @on(Answered)
    async def _answered(self, event: Answered) -> None:
        turn = event.talk.turn
        self._flushing.pause()
        self._talk, self._answering = None, None
        self._stats = turn.stats()
        kept = turn.answer is not None
        if kept:
            event.talk.show(finished=True)
        else:
            await self._view.withdraw(event.talk)
            self._composer.give_back(turn.prompt)
        if event.failure is not None:
            self._view.show_failure(event.failure, _KEPT if kept else _BACK_IN_PROMPT)
            self._hold_queue()
        if turn.left_out:
            self.workspace.say(f"{turn.left_out} earlier messages no longer fit and are not sent.")
        if self.workspace.ready:
            await self.workspace.library.refresh_running(self.workspace.runner)
        self._send_next()
        self.refresh_all()

    def _hold_queue(self) -> None:
        """After a failure nothing is sent by itself."""
        while self._outbox:
            self._composer.give_back(self._outbox.take_back())

    def _give_up_waiting(self) -> None:
        """A pull that a message waits for has failed or was cancelled."""
        pull = None if self._talk else self._outbox.broken_pull(self.model)
        if pull is not None:
            self._hold_queue()
            if pull.failure is not None:
                self._view.show_failure(pull.failure, _BACK_IN_PROMPT)

    # Actions.

    def action_stop(self) -> None:
        """Close what is suggested, take a waiting message back, or stop the answer."""
        if self._composer.close_completions():
            return
        if self._outbox:
            self._composer.give_back(self._outbox.take_back())
            self.refresh_all()
        elif not self.interrupt():
            transcript = self._view.transcript
            (self._composer.prompt if transcript.has_focus else transcript).focus()

    def interrupt(self) -> bool:
        """Stop the answer, if there is one."""
        if self._answering is None:
            return False
        self._answering.cancel()
        return True

    @on(Transcript.WritingWanted)
    def _write(self) -> None:
        self._composer.prompt.focus()

    def action_new(self) -> None:
        """Begin a new conversation; the last one stays saved."""
        self.interrupt()
        self._conversation.clear()
        self._show_conversation(self._conversation)
        self._write()
        self.refresh_all()

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
        self._view.transcript.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        """Towards the end."""
        self._view.transcript.scroll_page_down(animate=False)

    def action_follow(self) -> None:
        """To the end, and stay there."""
        self._view.transcript.follow()

    @on(PromptArea.Left)
    def _left(self) -> None:
        self.post_message(ShowModels())

    def on_paste(self, event: events.Paste) -> None:
        """What is pasted while one looks back goes into the prompt too."""
        prompt = self._composer.prompt
        if not prompt.has_focus:
            prompt.insert(event.text)
            prompt.focus()


def _shortcuts() -> str:
    rows = [(action.key, action.help) for action in actions("prompt", "chat") if action.keys]
    width = max(len(key) for key, _ in rows)
    return "\n".join(f"  {key:<{width}}  {text}" for key, text in rows)
