"""The row below the prompt: how full the context is, how fast the answer comes."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.reactive import reactive

from dmr_tui.chat.stats import TurnStats
from dmr_tui.widgets.figures import grouped
from dmr_tui.widgets.gauge import bar, load_style
from dmr_tui.widgets.line import Line, Part

_BAR = 12
_WIDE = 100


@dataclass(frozen=True)
class Standing:
    """Where a conversation stands.

    Attributes:
        waiting: what a message waits for; empty when none does.
        stats: of the last turn.
        window: tokens that the model can attend to; 0 where unknown.
        paused: the conversation is scrolled away from its end.
    """

    waiting: str = ""
    stats: TurnStats | None = None
    window: int = 0
    paused: bool = False


class Foot(Line):
    """Draws a `Standing`."""

    standing: reactive[Standing] = reactive(Standing())
    """What is drawn."""

    def left(self, width: int) -> list[Part]:
        """What is waited for, else the context."""
        del width
        standing, stats = self.standing, self.standing.stats
        if standing.waiting:
            return [Part(Content.styled(f"  {standing.waiting}", "$text-warning"))]
        if stats is None or not standing.window or not stats.prompt_tokens:
            return []
        used = stats.prompt_tokens + stats.completion_tokens
        fraction = used / standing.window
        figures = f" {grouped(used)} / {grouped(standing.window)}  {fraction:.0%}"
        label = Content.styled("  context ", "$text-muted")
        return [Part(label + bar(fraction, _BAR, style=load_style(fraction)) + Content(figures))]

    def right(self, width: int) -> list[Part]:
        """Speed, and whether the end is followed."""
        del width
        parts = []
        if self.standing.paused:
            parts.append(Content.styled("‖ paused, ^end follows", "$text-warning"))
        stats = self.standing.stats
        if stats is not None and stats.generation_rate:
            parts.append(Content(f"{stats.generation_rate:.1f} tok/s"))
            if stats.first_token_seconds is not None and self.size.width >= _WIDE:
                first = f"{stats.first_token_seconds:.2f} s to first token"
                parts.append(Content.styled(first, "$text-muted"))
        return [Part(Content("   ").join(parts) + Content("  "), "screen.follow")]
