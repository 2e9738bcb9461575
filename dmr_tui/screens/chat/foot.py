"""The row below the prompt: how full the context is, how fast the answer comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.reactive import reactive

from dmr_tui.chat.budget import Budget
from dmr_tui.chat.stats import TurnStats
from dmr_tui.widgets.figures import grouped
from dmr_tui.widgets.gauge import bar, load_style
from dmr_tui.widgets.line import Line, Part

_BAR, _NARROW_BAR = 12, 6
_WIDE = 100
_FULL = 0.8
"""From here on it is said what will be left out."""
_SPARKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Standing:
    """Where a conversation stands.

    Attributes:
        waiting: what a message waits for; empty when none does.
        stats: of the last turn.
        budget: how full the context is; None while its size is unknown.
        pace: tokens per second in the last moments of the answer, oldest first.
        thinking: whether the model is told to think; None: that is up to it.
        paused: the conversation is scrolled away from its end.
    """

    waiting: str = ""
    stats: TurnStats | None = None
    budget: Budget | None = None
    pace: Sequence[float] = ()
    thinking: bool | None = None
    paused: bool = False


class Foot(Line):
    """Draws a `Standing`."""

    standing: reactive[Standing] = reactive(Standing())
    """What is drawn."""

    def left(self, width: int) -> list[Part]:
        """What is waited for, else the context."""
        standing = self.standing
        if standing.waiting:
            return [Part(Content.styled(f"  {standing.waiting}", "$text-warning"))]
        budget = standing.budget
        if budget is None or not budget.window or not budget.used:
            return []
        used, fraction = budget.used + budget.typed, budget.fraction
        wide = width >= _WIDE
        figures = f" {grouped(used)} / {grouped(budget.window)}  {fraction:.0%}"
        label = Content.styled("  context " if wide else "  ctx ", "$text-muted")
        gauge = bar(fraction, _BAR if wide else _NARROW_BAR, style=load_style(fraction))
        parts = [Part(label + gauge + Content(figures))]
        warning = _warning(budget, wide)
        if warning:
            parts.append(Part(Content.styled(f"  {warning}", "$text-warning"), "screen.compact"))
        return parts

    def right(self, width: int) -> list[Part]:
        """Speed, and whether the end is followed."""
        del width
        standing, wide = self.standing, self.size.width >= _WIDE
        parts = []
        if standing.paused:
            parts.append(Content.styled("‖ paused, ^end follows", "$text-warning"))
        stats = standing.stats
        if stats is not None and stats.generation_rate:
            speed = Content(f"{stats.generation_rate:.1f} tok/s")
            if standing.pace:
                speed += Content.styled(f" {sparks(standing.pace)}", "$text-primary")
            parts.append(speed)
            if stats.first_token_seconds is not None:
                words = " s to first token" if wide else " s"
                parts.append(
                    Content.styled(f"{stats.first_token_seconds:.2f}{words}", "$text-muted")
                )
        if standing.thinking is not None and wide:
            parts.append(
                Content.styled(f"thinking {'on' if standing.thinking else 'off'}", "$text-muted")
            )
        shown = Content("   ").join(parts) + Content("  ")
        return [Part(shown, "screen.follow" if standing.paused else "")]


def sparks(values: Sequence[float]) -> str:
    """A row of bars, the highest value as a full one."""
    most = max(values, default=0.0)
    if most <= 0:
        return _SPARKS[0] * len(values)
    last = len(_SPARKS) - 1
    return "".join(_SPARKS[round(max(value, 0.0) / most * last)] for value in values)


def _warning(budget: Budget, wide: bool) -> str:
    """What happens when the context is full; empty while it is not."""
    if budget.fraction < _FULL:
        return ""
    remedy = "/compact sums up" if wide else "/compact"
    if budget.drops:
        plural = "s" if budget.drops != 1 else ""
        if not wide:
            return f"drops {budget.drops} old · {remedy}"
        return f"the next message leaves the oldest {budget.drops} message{plural} out · {remedy}"
    room = max(budget.window - budget.reserve - budget.used - budget.typed, 0)
    if not wide:
        return f"{grouped(room)} left · {remedy}"
    return f"{grouped(room)} tokens until the oldest are left out · {remedy}"
