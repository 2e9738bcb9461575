"""Asking a model and showing its answers: what waits, what is being answered, what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace

from textual import on, work
from textual.message import Message
from textual.widget import Widget
from textual.worker import Worker

from dmr_tui.actions import actions
from dmr_tui.chat.budget import Budget, measure
from dmr_tui.chat.commands import ChatContext, Suggestion, suggest
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.history import History, forgets
from dmr_tui.chat.parameters import set_in_few_words
from dmr_tui.chat.stats import TurnStats
from dmr_tui.chat.turn import Turn
from dmr_tui.errors import DmrError
from dmr_tui.screens.chat.composer import Composer
from dmr_tui.screens.chat.foot import Foot, Standing
from dmr_tui.screens.chat.opening import opening
from dmr_tui.screens.chat.outbox import Outbox
from dmr_tui.screens.chat.pace import Pace
from dmr_tui.screens.chat.reading import ReadingView
from dmr_tui.screens.chat.talk import Talk
from dmr_tui.screens.shell import ShellScreen
from dmr_tui.screens.workspace import Workspace

_FLUSH_SECONDS = 0.1
_BACK_IN_PROMPT = "Your message is in the prompt again."
_KEPT = "What came of the answer is kept; the next message goes on from it."


class AskingScreen(ShellScreen):
    """A transcript above, a prompt below, and one conversation in them."""

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
        self._changing = 0
        """Commands at work on the path or the chat: what is written meanwhile goes behind them."""
        self._answering: Worker[None] | None = None
        self._outbox = Outbox(workspace)
        self._pace = Pace()
        self._stats: TurnStats | None = None
        self._turns = 0

    def middle(self) -> Iterable[Widget]:
        """Conversation, prompt, and what is measured."""
        yield ReadingView()
        history = None if forgets() else self.workspace.paths.history
        yield Composer(self._suggest, History(history))
        yield Foot()

    def on_mount(self) -> None:
        """Begin to show answers as they come."""
        self._flushing = self.set_interval(_FLUSH_SECONDS, self._flush, pause=True)

    @property
    def _view(self) -> ReadingView:
        return self.query_one(ReadingView)

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
            self._chat = ChatContext(
                self._conversation,
                runner,
                _shortcuts(),
                self.workspace.sessions,
                self.workspace.settings.save_chats,
            )
        self._chat.runner = runner
        self._chat.conversation = self._conversation
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
            if before and self._conversation.root.children:
                later = " once it is here" if self.workspace.pulls.find(name) else ""
                self.workspace.say(f"{name} goes on with the conversation{later}.")
        self._composer.prompt.focus()
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
        view, conversation = self._view, self._conversation
        said = [f"{turns} turn{'s' if turns != 1 else ''}" if turns else "New chat"]
        if conversation.title and turns:
            said.insert(0, conversation.title)
        if self.model:
            said.append(self.model)
        said += set_in_few_words(conversation)
        view.border_title = " · ".join(said).replace("[", "\\[") if self.model else "Chat"
        if view.is_empty:
            view.show_opening(opening(self.workspace, self.model, self.size.width))
        self._show_foot()

    def _show_foot(self) -> None:
        thinking = self._conversation.template_options.get("enable_thinking")
        self.query_one(Foot).standing = Standing(
            waiting=self._outbox.waits_for(self.model, answering=self._talk is not None),
            stats=self._talk.turn.stats() if self._talk else self._stats,
            budget=self._budget(),
            pace=self._pace.rates,
            thinking=thinking if isinstance(thinking, bool) else None,
            paused=self._view.transcript.paused,
        )

    def _budget(self) -> Budget | None:
        entry = self.workspace.library.find(self.model) if self.model else None
        window = entry.running.context_size if entry and entry.running else 0
        if not window or not self._conversation.root.children:
            return None
        budget = measure(self._conversation, window, self._composer.message)
        if self._talk is not None and (stats := self._talk.turn.stats()).prompt_tokens:
            # What comes is not in the conversation yet.
            budget = replace(budget, used=stats.prompt_tokens + stats.completion_tokens)
        return budget

    # Asking.

    async def _suggest(self, before: str) -> list[Suggestion]:
        try:
            context = self._place()
        except DmrError:
            return []  # The header says that there is no runner.
        return await suggest(before, context)

    def _send_next(self) -> None:
        """Put the first message that waits to the model, if it can answer now."""
        if self._talk or self._changing or not self._outbox.can_go(self.model):
            return
        letter = self._outbox.take()
        if letter.replaces is not None:
            self._view.show_until(letter.replaces)
        monotonic = self.workspace.clocks.monotonic
        turn = self._place().turn(letter.text, replaces=letter.replaces, clock=monotonic)
        self._begin(turn)

    def _begin(self, turn: Turn, *, again: bool = False) -> None:
        now = self.workspace.clocks.now()
        self._view.leave()
        self._pace.begin()
        self._talk = self._view.begin(turn, self.model, now, again=again)
        self._flushing.resume()
        self._answering = self._answer()
        self.refresh_all()

    @work(group="answer", exit_on_error=False)
    async def _answer(self) -> None:
        """Let the answer come; the timer shows it.

        The talk is no argument: a worker keeps its arguments, and whatever it has scheduled keeps
        the worker, as the time after which an idle model leaves: minutes of widgets.
        """
        talk = self._talk
        assert talk is not None
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
            turn = self._talk.turn
            self._pace.note(self.workspace.clocks.monotonic(), turn.stats().completion_tokens)
            self._show_foot()
            # A question joins the conversation only when its files have been read.
            if len(self._conversation.questions) != self._turns:
                self.refresh_all()

    @on(Answered)
    async def _answered(self, event: Answered) -> None:
        talk, turn = event.talk, event.talk.turn
        self._flushing.pause()
        self._talk, self._answering = None, None
        self._stats = turn.stats()
        kept = turn.answer is not None
        if kept:
            talk.show(finished=True)
            self._view.settle(talk)
        else:
            self._withdraw(talk)
        if event.failure is not None:
            self._view.show_failure(event.failure, _KEPT if kept else _BACK_IN_PROMPT)
            self._hold_queue()
        if turn.left_out:
            self.workspace.say(f"{turn.left_out} earlier messages no longer fit and are not sent.")
        if self.workspace.ready:
            await self.workspace.library.refresh_running(self.workspace.runner)
        self._send_next()
        self.conversation_saved()
        self.refresh_all()

    def _withdraw(self, talk: Talk) -> None:
        """Nothing came: the path is what it was before the question."""
        self._view.withdraw(talk)
        if self._view.nodes != self._conversation.path:
            self._view.show_path(self._conversation.path)
        if not talk.turn.again:
            self._composer.give_back(talk.turn.prompt)

    def conversation_saved(self) -> None:
        """The saved chats are other ones than before."""

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

    def interrupt(self) -> bool:
        """Stop the answer, if there is one."""
        if self._answering is None:
            return False
        self._answering.cancel()
        return True


def _shortcuts() -> str:
    rows = [(action.key, action.help) for action in actions("prompt", "chat") if action.keys]
    width = max(len(key) for key, _ in rows)
    return "\n".join(f"  {key:<{width}}  {text}" for key, text in rows)
