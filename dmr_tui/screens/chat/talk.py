"""The answer that is on its way, as the chat screen shows it."""

from __future__ import annotations

from collections.abc import Callable

from dmr_tui.chat.stats import TurnStats
from dmr_tui.chat.turn import Turn
from dmr_tui.widgets.figures import grouped
from dmr_tui.widgets.turn import TurnView


class Talk:
    """One question and its answer, with the widgets that show them.

    Attributes:
        turn: the answer as it comes.
        question: shows what was asked.
        answer: shows what is answered.
    """

    def __init__(
        self, turn: Turn, make_question: Callable[[], TurnView], make_answer: Callable[[], TurnView]
    ) -> None:
        """Nothing has come yet.

        Args:
            turn: the answer as it comes.
            make_question: makes the widget of the question.
            make_answer: makes an empty widget for the answer.
        """
        self.turn = turn
        self._make_question, self._make_answer = make_question, make_answer
        self.question, self.answer = make_question(), make_answer()

    def remake_question(self) -> TurnView:
        """A widget for the question; the one before may have left the screen."""
        self.question = self._make_question()
        return self.question

    def remake_answer(self) -> TurnView:
        """A widget for the answer, with what has come so far."""
        self.answer = self._make_answer()
        self.show()
        return self.answer

    def show(self, *, finished: bool = False) -> None:
        """Show what has come since the last call."""
        turn = self.turn
        self.answer.think(turn.reasoning, "thoughts" if finished or turn.text else "thinking …")
        if finished or turn.text != self.answer.text:
            self.answer.show(turn.text, finished=finished)
        if finished:
            note = ended(turn.stats(), stopped=turn.stopped, at_limit=turn.reason == "length")
        else:
            note = _under_way(turn)
        self.answer.note(note)


def ended(stats: TurnStats, *, stopped: bool = False, at_limit: bool = False) -> str:
    """What the head of an answer that has ended says: how, how fast, how long."""
    parts = ["stopped"] if stopped else []
    if stats.generation_rate:
        parts.append(f"{stats.generation_rate:.1f} tok/s")
    if stats.first_token_seconds is not None:
        parts.append(f"{stats.first_token_seconds:.2f} s to first")
    parts.append(_tokens(stats.completion_tokens))
    if at_limit:
        parts.append("ended at its limit")
    return " · ".join(parts)


def _under_way(turn: Turn) -> str:
    stats = turn.stats()
    if stats.completion_tokens:
        speed = f"{stats.generation_rate:.1f} tok/s · " if stats.generation_rate else ""
        return f"{speed}{_tokens(stats.completion_tokens)} so far · esc stops"
    if turn.question is None:
        return "waiting …"
    if turn.loading is not None and turn.loading < 1:
        return f"loading {turn.loading:.0%} · esc stops"
    return "reading … · esc stops"


def _tokens(count: int) -> str:
    return f"{grouped(count)} token{'' if count == 1 else 's'}"
