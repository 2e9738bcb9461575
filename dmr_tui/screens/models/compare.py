"""Two models side by side: each message goes to both, and each keeps its own conversation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from typing import ClassVar

from textual import on, work
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.worker import Worker

from dmr_tui.actions import Action, bindings
from dmr_tui.chat.commands import ChatContext, is_command
from dmr_tui.chat.conversation import Conversation
from dmr_tui.errors import DmrError
from dmr_tui.screens.chat.conversation import ConversationView
from dmr_tui.screens.chat.talk import Talk
from dmr_tui.screens.shell import ShellScreen
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import speed
from dmr_tui.widgets.printable import printable
from dmr_tui.widgets.prompt import PromptArea

_FLUSH_SECONDS = 0.1
_ANSWER = "answer"
"""What stands above each answer; whose it is says the head of the side."""
_OPENING = (
    "What you write below goes to both models, one after the other, so that their speeds can be "
    "compared. Both conversations are kept among your chats."
)


class CompareScreen(ShellScreen):
    """Two conversations beside each other, with one prompt."""

    MODE = "models"
    CSS_PATH: ClassVar = ["../chat/chat.tcss", "compare.tcss"]
    BINDINGS = bindings("compare")
    AUTO_FOCUS = "#prompt"

    def __init__(self, workspace: Workspace, models: Sequence[str]) -> None:
        """Nothing is asked yet.

        Args:
            workspace: whose runner has the models.
            models: their names.
        """
        super().__init__(workspace)
        self._conversations = [Conversation(name) for name in models]
        self._talks: list[Talk] = []
        self._asking: Worker[None] | None = None
        self._sure = False

    def body(self) -> Iterable[Widget]:
        """The conversations, and where one writes."""
        with Horizontal(id="sides"):
            for number in range(len(self._conversations)):
                yield ConversationView(f"side-{number}")
        yield PromptArea(id="prompt")

    def on_mount(self) -> None:
        """Say what this is for."""
        self._flushing = self.set_interval(_FLUSH_SECONDS, self._flush, pause=True)
        self._prompt.border_title = "⏎ asks both · ^j new line"
        for view, conversation in zip(self._views, self._conversations, strict=True):
            view.border_title = printable(conversation.model)
            view.show_opening(Content.styled(_OPENING, "$text-muted"))

    @property
    def _views(self) -> list[ConversationView]:
        return list(self.query(ConversationView))

    @property
    def _prompt(self) -> PromptArea:
        return self.query_one(PromptArea)

    # What the keys do.

    def hint(self, action: Action) -> str | None:
        """Only what would do something."""
        match action.id:
            case "compare.stop":
                return "Stop" if self._asking else action.title
            case "prompt.submit" | "prompt.newline":
                return action.title
            case "compare.thoughts":
                answers = [node for each in self._conversations for node in each.answers]
                return action.title if any(node.reasoning for node in answers) else None
        return action.title if action.scope == "app" and action.id != "app.endpoint" else None

    def hint_scopes(self) -> tuple[str, ...]:
        """Those of what has the focus."""
        return ("prompt", "compare") if self._prompt.has_focus else ("compare",)

    def interrupt(self) -> bool:
        """Stop the answers, if there are any."""
        if self._asking is None:
            return False
        self._asking.cancel()
        return True

    def action_stop(self) -> None:
        """Stop the answers, else go back; what is written is not thrown away unasked."""
        if self.interrupt():
            return
        if self._prompt.text.strip() and not self._sure:
            self._sure = True
            self.workspace.say("esc again closes this, and what you have written is gone.")
            return
        self.dismiss()

    def action_show_thoughts(self) -> None:
        """Show or fold the thoughts of all answers."""
        for view in self._views:
            view.toggle_thoughts()

    # Asking.

    @on(PromptArea.Submitted)
    def _submitted(self) -> None:
        self._sure = False
        if self._asking is not None:
            self.workspace.say("Not while they answer: esc stops.", "warning")
        elif not self._prompt.text.strip():
            self.workspace.say("Write a message first, then ⏎ sends it to both.")
        elif is_command(self._prompt.text.strip()):
            self.workspace.say(
                "Commands are for the Chat screen: messages alone go here.", "warning"
            )
        else:
            text = self._prompt.take().strip()
            if text not in self._prompt.sent[-1:]:
                self._prompt.sent.append(text)
            self._asking = self._ask(text)
            self.refresh_all()

    @on(PromptArea.Pasted)
    def _pasted(self, event: PromptArea.Pasted) -> None:
        self._prompt.paste(event.text)

    def _give_back(self, text: str) -> None:
        """Put a message that nobody answered back, before what is typed by now."""
        typed = self._prompt.text
        self._prompt.put(f"{text}\n{typed}" if typed.strip() else text)

    @work(group="compare", exit_on_error=False)
    async def _ask(self, text: str) -> None:
        """Put a message to one model after the other."""
        now = self.workspace.clocks.now()
        try:
            contexts = [self._place(each) for each in self._conversations]
            turns = [each.turn(text, clock=self.workspace.clocks.monotonic) for each in contexts]
            self._talks = [
                view.begin(turn, _ANSWER, now)
                for view, turn in zip(self._views, turns, strict=True)
            ]
            self._flushing.resume()
            for view, talk in zip(self._views, self._talks, strict=True):
                await self._answer(view, talk)
        except DmrError as error:
            self.workspace.fail(error)
            self._give_back(text)
        finally:
            self._flushing.pause()
            self._asking = None
            if self.is_mounted:
                self._finish()

    def _place(self, conversation: Conversation) -> ChatContext:
        workspace = self.workspace
        saving = workspace.settings.save_chats
        return ChatContext(
            conversation, workspace.runner, sessions=workspace.sessions, saving=saving
        )

    async def _answer(self, view: ConversationView, talk: Talk) -> None:
        """Let one answer come; a failure is shown where the answer would be."""
        try:
            async with aclosing(talk.turn.stream()) as stream:
                async for _ in stream:
                    pass
        except DmrError as error:
            view.show_failure(error, "The other model is asked all the same.")
        if talk.turn.answer is not None:
            talk.show(finished=True)

    def _flush(self) -> None:
        for talk in self._talks:
            if talk.turn.question is not None and talk.turn.reason is None:
                talk.show()

    def _finish(self) -> None:
        """Show how it ended, and who was faster."""
        talks, facts = self._talks, []
        for view, talk, conversation in zip(
            self._views, self._talks, self._conversations, strict=False
        ):
            if talk.turn.answer is None:
                view.withdraw(talk)
                continue
            talk.show(finished=True)
            view.settle(talk)
            rate = talk.turn.stats().generation_rate
            facts.append(f"{conversation.model} {speed(rate) if rate else 'no speed'}")
        self._talks = []
        if talks and not facts:
            self._give_back(talks[0].turn.prompt)
        if facts:
            kept = "  Both are among your chats." if self.workspace.settings.save_chats else ""
            self.workspace.say(f"{' · '.join(facts)}{kept}")
        self.refresh_all()
