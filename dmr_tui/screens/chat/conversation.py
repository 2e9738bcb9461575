"""A conversation on screen: its turns, what commands said, and failures."""

from __future__ import annotations

import time
from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from dmr_tui.chat.commands import Outcome
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.tree import Node
from dmr_tui.chat.turn import Turn
from dmr_tui.errors import DmrError
from dmr_tui.screens.chat.talk import Talk, ended
from dmr_tui.widgets.panel import ErrorPanel
from dmr_tui.widgets.printable import printable
from dmr_tui.widgets.transcript import Transcript, TurnView


class ConversationView(Vertical):
    """The transcript in its box."""

    def __init__(self) -> None:
        super().__init__(id="conversation")
        self._unfolded = False

    def compose(self) -> ComposeResult:
        """The transcript; it begins with what an empty one says."""
        with Transcript(id="transcript"):
            yield Static(id="opening")

    @property
    def transcript(self) -> Transcript:
        """What scrolls."""
        return self.query_one(Transcript)

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands in it."""
        return len(self.transcript.children) == 1

    def show_opening(self, content: Content) -> None:
        """Say this while there is nothing else to show."""
        self.query_one("#opening", Static).update(content)

    def show_path(self, path: Iterable[Node]) -> None:
        """Show these messages in place of all that stands here."""
        self.transcript.query("TurnView, ErrorPanel, .outcome").remove()
        self._opening_shown(True)
        self._add(*(self._view_of(node) for node in path))

    def show_until(self, conversation: Conversation, node: Node, *, with_it: bool = False) -> None:
        """Show the messages before one, and that one too if wanted."""
        path = conversation.path
        place = path.index(node) if node in path else len(path)
        self.show_path(path[: place + 1 if with_it else place])

    def begin(self, turn: Turn, model: str, now: float, *, again: bool = False) -> Talk:
        """Show a question and the place of its answer.

        Args:
            turn: the question.
            model: who answers.
            now: Unix time.
            again: the question is on screen already.
        """
        question, answer = self._question(turn.prompt, now), self._answer(model, now)
        talk = Talk(turn, question, answer)
        self._add(*([answer] if again else [question, answer]))
        self.transcript.follow()
        talk.show()
        return talk

    async def withdraw(self, talk: Talk) -> None:
        """Take a question off the screen that got no answer at all."""
        for view in (talk.question, talk.answer):
            if view.is_attached:
                await view.remove()
        self._opening_shown(self.is_empty)

    def show_failure(self, error: DmrError, remedy: str) -> None:
        """Show what went wrong and what to do."""
        self._add(ErrorPanel(error, remedy))

    def show_outcome(self, line: str, outcome: Outcome) -> None:
        """Show what a command said."""
        style = "$text-error" if outcome.error else "$text-muted"
        text = Content.styled(f"{line}\n", "bold") + Content.styled(printable(outcome.text), style)
        self._add(Static(text, classes="outcome"))

    def toggle_thoughts(self) -> bool:
        """Show or fold the thoughts of all answers; whether they are shown now."""
        self._unfolded = not self._unfolded
        for view in self.query(TurnView):
            view.unfold(self._unfolded)
        return self._unfolded

    def _add(self, *widgets: Widget) -> None:
        if widgets:
            self.transcript.mount(*widgets)
            self._opening_shown(False)

    def _opening_shown(self, shown: bool) -> None:
        self.query_one("#opening").display = shown

    def _view_of(self, node: Node) -> TurnView:
        if node.role == "user":
            return self._question(node.text, node.created)
        view = self._answer(node.model, node.created)
        view.think(node.reasoning, "thoughts")
        view.show(node.text, finished=True)
        if node.stats is not None:
            view.note(ended(node.stats, stopped=node.stopped))
        return view

    def _question(self, text: str, when: float) -> TurnView:
        view = TurnView("you", _time_of_day(when), style="$text-accent")
        view.show_plain(text)
        return view

    def _answer(self, model: str, when: float) -> TurnView:
        view = TurnView(model, _time_of_day(when))
        view.unfold(self._unfolded)
        return view


def _time_of_day(when: float) -> str:
    return time.strftime("%H:%M", time.localtime(when))
