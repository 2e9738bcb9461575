"""A conversation on screen: its turns, what commands said, and failures."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from dmr_tui.chat.commands import Outcome
from dmr_tui.chat.tree import Node
from dmr_tui.chat.turn import Turn
from dmr_tui.errors import DmrError
from dmr_tui.screens.chat.cursor import BlockCursor
from dmr_tui.screens.chat.talk import Talk, ended
from dmr_tui.screens.chat.window import Entry, Window
from dmr_tui.widgets.panel import ErrorPanel
from dmr_tui.widgets.printable import printable
from dmr_tui.widgets.transcript import Transcript
from dmr_tui.widgets.turn import TurnView


class ConversationView(Vertical):
    """The transcript in its box."""

    def __init__(self, id: str = "conversation") -> None:  # noqa: A002  # Textual's own name
        super().__init__(id=id)
        self._unfolded = False

    def compose(self) -> ComposeResult:
        """The transcript; it begins with what an empty one says."""
        earlier, later = Static(id="earlier"), Static(id="later")
        transcript = Transcript(id="transcript")
        self.window = Window(transcript, earlier, later)
        self.cursor = BlockCursor(self.window, transcript)
        with transcript:
            yield Static(id="opening")
            yield earlier
            yield later

    @property
    def transcript(self) -> Transcript:
        """What scrolls."""
        return self.query_one(Transcript)

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands in it."""
        return not self.window.entries

    @property
    def nodes(self) -> list[Node]:
        """The messages that stand in it, in order."""
        return [entry.node for entry in self.window.entries if entry.node is not None]

    def show_opening(self, content: Content) -> None:
        """Say this while there is nothing else to show."""
        self.query_one("#opening", Static).update(content)

    def show_path(self, path: Iterable[Node]) -> None:
        """Show these messages in place of all that stands here."""
        self.window.fill([self._entry_of(node) for node in path])
        self._opening_shown(self.is_empty)
        self.transcript.follow()

    def show_until(self, node: Node, *, with_it: bool = False) -> None:
        """Take away what follows a message, and that one too unless wanted."""
        for at, entry in enumerate(self.window.entries):
            if entry.node is node:
                self.window.cut(at + 1 if with_it else at)
                break
        self._opening_shown(self.is_empty)

    def begin(self, turn: Turn, model: str, now: float, *, again: bool = False) -> Talk:
        """Show a question and the place of its answer.

        Args:
            turn: the question.
            model: who answers.
            now: Unix time.
            again: the question is on screen already.
        """
        self.follow()
        talk = Talk(
            turn,
            make_question=partial(self._question, turn.prompt, now),
            make_answer=partial(self._answer, model, now),
        )
        question, answer = Entry(talk.remake_question), Entry(talk.remake_answer)
        self._add(*([answer] if again else [question, answer]))
        self.transcript.follow()
        talk.show()
        return talk

    def settle(self, talk: Talk) -> None:
        """What is on screen of a talk that has ended are messages from now on."""
        turn = talk.turn
        for view, node in ((talk.question, turn.question), (talk.answer, turn.answer)):
            for entry in self.window.entries[-2:]:
                if node is not None and entry.widget is view:
                    entry.node, entry.make = node, partial(self._view_of, node)
                    view.node = node
                    view.number(node.version, len(node.versions))

    def withdraw(self, talk: Talk) -> None:
        """Take a question off the screen that got no answer at all."""
        views = (talk.question, talk.answer)
        for entry in [each for each in self.window.entries if each.widget in views]:
            if entry.node is None:
                self.window.remove(entry)
        self._opening_shown(self.is_empty)

    def show_failure(self, error: DmrError, remedy: str) -> None:
        """Show what went wrong and what to do."""
        self._add(Entry(partial(ErrorPanel, error, remedy)))

    def show_outcome(self, line: str, outcome: Outcome) -> None:
        """Show what a command said."""
        style = "$text-error" if outcome.error else "$text-muted"
        text = Content.styled(f"{printable(line)}\n", "bold")
        text += Content.styled(printable(outcome.text), style)
        self._add(Entry(partial(Static, text, classes="outcome")))

    def follow(self) -> None:
        """To the end, and stay there."""
        self.window.go("bottom")
        if not self.transcript.paused:
            self.window.trim()
        self.transcript.follow()

    def toggle_thoughts(self) -> bool:
        """Show or fold the thoughts of all answers; whether they are shown now."""
        self._unfolded = not self._unfolded
        for view in self.query(TurnView):
            if view.node is None or view.node.role != "user":
                view.unfold(self._unfolded)
        return self._unfolded

    @on(Transcript.EdgeNear)
    def _edge_near(self, event: Transcript.EdgeNear) -> None:
        self.window.extend(event.edge)

    @on(Transcript.EdgeWanted)
    def _edge_wanted(self, event: Transcript.EdgeWanted) -> None:
        if event.edge == "bottom":
            self.follow()
            return
        self.window.go("top")
        self.transcript.release_anchor()
        self.transcript.scroll_home(animate=False)

    def _add(self, *entries: Entry) -> None:
        self.window.add(*entries)
        self._opening_shown(False)

    def _opening_shown(self, shown: bool) -> None:
        self.query_one("#opening").display = shown

    def _entry_of(self, node: Node) -> Entry:
        return Entry(partial(self._view_of, node), node)

    def _view_of(self, node: Node) -> TurnView:
        if node.role == "user":
            view = self._question(node.text, node.created)
        else:
            view = self._answer(node.model, node.created)
            view.think(node.reasoning, "thoughts")
            view.show(node.text, finished=True)
            if node.stats is not None:
                view.note(ended(node.stats, stopped=node.stopped))
        view.node = node
        view.number(node.version, len(node.versions))
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
