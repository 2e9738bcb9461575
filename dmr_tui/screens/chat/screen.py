"""Chat: a conversation with one model."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass

from textual import events, on, work
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker

from dmr_tui.actions import Action, actions, bindings
from dmr_tui.chat.commands import ChatContext, Outcome, execute, is_command
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.turn import Turn, TurnStats
from dmr_tui.errors import DmrError
from dmr_tui.screens.chat.composer import Composer
from dmr_tui.screens.chat.opening import opening
from dmr_tui.screens.chat.talk import Foot, Talk
from dmr_tui.screens.library import familiar_name
from dmr_tui.screens.messages import ShowModels
from dmr_tui.screens.shell import ShellScreen
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import clock
from dmr_tui.widgets.panel import ErrorPanel
from dmr_tui.widgets.prompt import PromptArea
from dmr_tui.widgets.transcript import Transcript, TurnView

_FLUSH_SECONDS = 0.1
_PREVIEW = 20
_BACK_IN_PROMPT = "Your message is in the prompt again."


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

    def __init__(self, workspace: Workspace, model: str = "") -> None:
        """A new conversation.

        Args:
            workspace: what the screens share.
            model: whom to talk to; empty: one that is in memory, else the first one.
        """
        super().__init__(workspace)
        self._conversation = Conversation(model)
        self._talk: Talk | None = None
        self._answering: Worker[None] | None = None
        self._queue: list[str] = []
        self._stats: TurnStats | None = None
        self._thoughts_shown = False

    def body(self) -> Iterable[Widget]:
        """Transcript, completions, prompt and what is measured."""
        with Vertical(id="conversation"), Transcript(id="transcript"):
            yield Static(id="opening")
        yield Composer(id="composer")
        yield Foot()

    def on_mount(self) -> None:
        """Begin to show answers as they come."""
        super().on_mount()
        self.watch(self._transcript, "paused", self._paused_changed, init=False)
        self._flushing = self.set_interval(_FLUSH_SECONDS, self._flush, pause=True)

    @property
    def _transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def _composer(self) -> Composer:
        return self.query_one(Composer)

    # Whom to talk to.

    def use_model(self, name: str) -> None:
        """Talk to this model from now on; what was said stays."""
        if name != self._conversation.model:
            before, self._conversation.model = self._conversation.model, name
            if before and self._conversation.turns:
                self.workspace.say(f"{name} goes on with the conversation.")
        self.refresh_all()
        self._send_next()

    @property
    def model(self) -> str:
        """Whom it talks to; empty while there is nobody."""
        return self._conversation.model

    def _choose_model(self) -> None:
        library = self.workspace.library
        if not self.model and library.entries:
            entries = sorted(library.entries, key=lambda entry: entry.running is None)
            self._conversation.model = entries[0].name

    # What is shown.

    def workspace_changed(self) -> None:
        """Send what waited for the runner or for a pull."""
        self._choose_model()
        self._give_up_waiting()
        self._send_next()

    def show_workspace(self) -> None:
        """Show whom one talks to and what a message waits for."""
        self._choose_model()
        turns = sum(turn.role == "user" for turn in self._conversation.turns)
        box = self.query_one("#conversation")
        said = f"{turns} turn{'s' if turns != 1 else ''}" if turns else "New chat"
        box.border_title = f"{said} · {self.model}" if self.model else "Chat"
        empty = self.query_one("#opening", Static)
        empty.display = len(self._transcript.children) == 1
        if empty.display:
            empty.update(opening(self.workspace, self.model, self.size.width))
        self._show_foot()

    def _paused_changed(self) -> None:
        self._show_foot()
        self.refresh_hints()

    def _show_foot(self) -> None:
        entry = self.workspace.library.find(self.model) if self.model else None
        running = entry.running if entry else None
        stats = self._talk.turn.stats() if self._talk else self._stats
        self.query_one(Foot).show(
            waiting=self._waiting_for(),
            stats=stats,
            window=running.context_size if running else 0,
            paused=self._transcript.paused,
        )

    def _waiting_for(self) -> str:
        if not self._queue:
            return ""
        line = self._queue[0].replace("\n", " ")
        message = f"“{line[:_PREVIEW]}…”" if len(line) > _PREVIEW else f"“{line}”"
        if self._talk:
            return f"{message} is sent when the answer ends · esc takes it back"
        pull = self.workspace.pulls.find(self.model)
        if pull is not None:
            left = f", {clock(pull.seconds_left)} left" if pull.seconds_left is not None else ""
            return f"{message} waits for {pull.name}: {pull.fraction:.0%}{left} · esc takes it back"
        return f"{message} waits for the runner · esc takes it back"

    def hint(self, action: Action) -> str | None:
        """Stop only while there is something to stop."""
        match action.id:
            case "chat.stop":
                if self._talk:
                    return "Stop"
                if self._queue:
                    return "Take back"
                return None
            case "chat.new" | "transcript.copy_answer":
                return action.title if self._conversation.turns else None
            case "chat.follow":
                return action.title if self._transcript.paused else None
            case "app.toggle_endpoint":
                return None
        return action.title

    def hint_scopes(self) -> tuple[str, ...]:
        """The prompt has the focus, so its keys count too."""
        return ("transcript" if self._transcript.has_focus else "prompt", "chat")

    # Asking.

    @on(PromptArea.Submitted)
    def _submitted(self, event: PromptArea.Submitted) -> None:
        text = event.text.strip()
        if not text:
            return
        self._composer.prompt.take()
        if is_command(text):
            self._run_command(text)
        else:
            self._queue.append(text)
            self._send_next()
            self.refresh_all()

    @work(group="command", exit_on_error=False)
    async def _run_command(self, line: str) -> None:
        try:
            context = ChatContext(self._conversation, self.workspace.runner, _shortcuts())
        except DmrError as error:
            self._show_outcome(line, Outcome(error.message, error=True))
            return
        outcome = await execute(line, context)
        if outcome.leave:
            self.post_message(ShowModels())
            return
        if outcome.cleared:
            self._clear()
        elif outcome.text:
            self._show_outcome(line, outcome)
        self._conversation.model = familiar_name(self._conversation.model)
        self.refresh_all()

    def _show_outcome(self, line: str, outcome: Outcome) -> None:
        style = "$text-error" if outcome.error else "$text-muted"
        text = Content.styled(f"{line}\n", "bold") + Content.styled(outcome.text, style)
        self._add(Static(text, classes="outcome"))

    def _send_next(self) -> None:
        """Put the first message that waits to the model, if it can answer now."""
        workspace = self.workspace
        if not self._queue or self._talk or not workspace.ready or not self.model:
            return
        if workspace.pulls.find(self.model) or not workspace.library.loaded:
            return
        self._ask(self._queue.pop(0))

    def _ask(self, text: str) -> None:
        clocks = self.workspace.clocks
        turn = Turn(self._conversation, self.workspace.runner, text, clock=clocks.monotonic)
        when = time.strftime("%H:%M", time.localtime(clocks.now()))
        question = TurnView("you", when, style="$text-accent")
        question.show_plain(text)
        answer = TurnView(self.model, when)
        answer.unfold(self._thoughts_shown)
        self._talk = Talk(turn, question, answer)
        self._add(question, answer)
        self._transcript.follow()
        self._talk.show()
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

    @on(Answered)
    async def _answered(self, event: Answered) -> None:
        talk = event.talk
        self._flushing.pause()
        self._talk, self._answering = None, None
        self._stats = talk.turn.stats()
        if talk.turn.text or talk.turn.reasoning or talk.turn.reason:
            talk.show(finished=True)
        else:
            # Nothing came, so the question is taken back; it must not be lost.
            await talk.question.remove()
            await talk.answer.remove()
            self._composer.give_back(talk.turn.prompt)
        if event.failure is not None:
            self._add(ErrorPanel(event.failure, _BACK_IN_PROMPT))
            self._hold_queue()
        if self.workspace.ready:
            await self.workspace.library.refresh_running(self.workspace.runner)
        self._send_next()
        self.refresh_all()

    def _hold_queue(self) -> None:
        """After a failure nothing is sent by itself."""
        while self._queue:
            self._composer.give_back(self._queue.pop())

    def _give_up_waiting(self) -> None:
        """A pull that a message waits for has failed or was cancelled."""
        if not self._queue or self._talk:
            return
        if self.workspace.pulls.find(self.model) or self.workspace.library.find(self.model):
            return
        ended = [pull for pull in self.workspace.pulls.all if pull.name == self.model]
        if ended and ended[0].state != "done":
            self._hold_queue()
            if ended[0].failure is not None:
                self._add(ErrorPanel(ended[0].failure, _BACK_IN_PROMPT))

    def _add(self, *widgets: Widget) -> None:
        self._transcript.mount(*widgets)
        self.query_one("#opening").display = False

    # Actions.

    def action_stop(self) -> None:
        """Close the completions, take a waiting message back, or stop the answer."""
        if self._composer.close_completions():
            return
        if self._queue:
            self._composer.give_back(self._queue.pop())
            self.refresh_all()
        elif self._answering is not None:
            self._answering.cancel()
        elif self._transcript.has_focus:
            self._write()
        else:
            self._transcript.focus()

    @on(Transcript.WritingWanted)
    def _write(self) -> None:
        self._composer.prompt.focus()

    def interrupt(self) -> bool:
        """Stop the answer, if there is one."""
        if self._answering is None:
            return False
        self._answering.cancel()
        return True

    def action_new(self) -> None:
        """Forget what was said and begin again."""
        if self._answering is not None:
            self._answering.cancel()
        self._conversation.clear()
        self._clear()
        self._write()
        self.refresh_all()

    def _clear(self) -> None:
        self._stats = None
        self._transcript.query("TurnView, ErrorPanel, .outcome").remove()
        self.call_after_refresh(self.refresh_all)

    def action_show_thoughts(self) -> None:
        """Show or fold the thoughts of all answers."""
        self._thoughts_shown = not self._thoughts_shown
        for view in self.query(TurnView):
            view.unfold(self._thoughts_shown)
        self.workspace.say(
            "Thoughts are shown." if self._thoughts_shown else "Thoughts are folded."
        )

    def action_copy_answer(self) -> None:
        """Copy the last answer as Markdown."""
        answers = [turn for turn in self._conversation.turns if turn.role == "assistant"]
        if answers:
            self.app.copy_to_clipboard(str(answers[-1].content))
            self.workspace.say("Copied the last answer as Markdown.")

    def action_page_up(self) -> None:
        """Look back."""
        self._transcript.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        """Towards the end."""
        self._transcript.scroll_page_down(animate=False)

    def action_follow(self) -> None:
        """To the end, and stay there."""
        self._transcript.follow()

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
    rows = [(action.key, action.help) for action in actions("prompt", "chat")]
    width = max(len(key) for key, _ in rows)
    return "\n".join(f"  {key:<{width}}  {text}" for key, text in rows)
