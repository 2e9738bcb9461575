"""The answer that is on its way, as the chat screen shows it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from dmr_tui.chat.turn import Turn, TurnStats
from dmr_tui.widgets.figures import grouped
from dmr_tui.widgets.gauge import bar, load_style
from dmr_tui.widgets.line import Line, Part
from dmr_tui.widgets.transcript import TurnView

_BAR = 12
_WIDE = 100


@dataclass
class Talk:
    """One question and its answer, with the widgets that show them.

    Attributes:
        turn: the answer as it comes.
        question: shows what was asked.
        answer: shows what is answered.
    """

    turn: Turn
    question: TurnView
    answer: TurnView

    def show(self, *, finished: bool = False) -> None:
        """Show what has come since the last call."""
        turn = self.turn
        self.answer.think(turn.reasoning, "thoughts" if finished or turn.text else "thinking …")
        if finished or turn.text != self.answer.text:
            self.answer.show(turn.text, finished=finished)
        self.answer.note(_ended(turn) if finished else _under_way(turn))


def _under_way(turn: Turn) -> str:
    stats = turn.stats()
    if stats.completion_tokens:
        speed = f"{stats.generation_rate:.1f} tok/s · " if stats.generation_rate else ""
        return f"{speed}{_tokens(stats.completion_tokens)} so far · esc stops"
    if turn.loading is not None and turn.loading < 1:
        return f"loading {turn.loading:.0%} · esc stops"
    return "reading … · esc stops"


def _ended(turn: Turn) -> str:
    stats = turn.stats()
    parts = ["stopped"] if turn.stopped else []
    if stats.generation_rate:
        parts.append(f"{stats.generation_rate:.1f} tok/s")
    if stats.first_token_seconds is not None:
        parts.append(f"{stats.first_token_seconds:.2f} s to first")
    parts.append(_tokens(stats.completion_tokens))
    if turn.reason == "length":
        parts.append("ended at its limit")
    return " · ".join(parts)


def _tokens(count: int) -> str:
    return f"{grouped(count)} token{'' if count == 1 else 's'}"


class Foot(Line):
    """The row below the prompt: how full the context is, how fast the answer comes."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting = ""
        self._stats: TurnStats | None = None
        self._window = 0
        self._paused = False

    def show(self, *, waiting: str, stats: TurnStats | None, window: int, paused: bool) -> None:
        """Show where things stand.

        Args:
            waiting: what a message waits for; empty when none does.
            stats: of the last turn.
            window: tokens that the model can attend to; 0 where unknown.
            paused: the conversation is scrolled away from its end.
        """
        new = (waiting, stats, window, paused)
        if new != (self._waiting, self._stats, self._window, self._paused):
            self._waiting, self._stats, self._window, self._paused = new
            self.refresh()

    def left(self, width: int) -> list[Part]:
        """What is waited for, else the context."""
        del width
        if self._waiting:
            return [Part(Content.styled(f"  {self._waiting}", "$text-warning"))]
        stats = self._stats
        if stats is None or not self._window or not stats.prompt_tokens:
            return [Part(Content("  "))]
        used = stats.prompt_tokens + stats.completion_tokens
        fraction = used / self._window
        figures = f" {grouped(used)} / {grouped(self._window)}  {fraction:.0%}"
        label = Content.styled("  context ", "$text-muted")
        return [Part(label + bar(fraction, _BAR, style=load_style(fraction)) + Content(figures))]

    def right(self, width: int) -> list[Part]:
        """Speed, and whether the end is followed."""
        del width
        parts = []
        if self._paused:
            parts.append(Content.styled("‖ paused, ^end follows", "$text-warning"))
        stats = self._stats
        if stats is not None and stats.generation_rate:
            parts.append(Content(f"{stats.generation_rate:.1f} tok/s"))
            if stats.first_token_seconds is not None and self.size.width >= _WIDE:
                first = f"{stats.first_token_seconds:.2f} s to first token"
                parts.append(Content.styled(first, "$text-muted"))
        return [Part(Content("   ").join(parts) + Content("  "), "screen.follow")]
