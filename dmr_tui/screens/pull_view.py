"""How far a pull is, in a few lines."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from dmr_tui.screens.pulls import Pull
from dmr_tui.widgets.figures import clock, long_size
from dmr_tui.widgets.gauge import bar

_WIDEST = 40
_WORDS = {"queued": ("waits for its turn",), "paused": ("paused",)}


def pull_content(pull: Pull, width: int) -> Content:
    """A bar for the whole, and below it each layer.

    Args:
        pull: the pull.
        width: cells that the bar may take.
    """
    size = min(max(width - 8, 8), _WIDEST)
    lines = [bar(pull.fraction, size) + Content(f" {pull.fraction:4.0%}")]
    figures = [f"{long_size(pull.done)} of {long_size(pull.total)}" if pull.total else ""]
    figures = [*filter(None, figures), *_WORDS.get(pull.state, ())] or ["asking …"]
    if pull.rate:
        figures.append(f"{long_size(pull.rate)}/s")
    if pull.seconds_left is not None:
        figures.append(f"{clock(pull.seconds_left)} left")
    lines.append(Content(" · ".join(figures)))
    for digest, (total, current) in pull.layers.items():
        done = "✓" if total and current >= total else "↓"
        short = digest.removeprefix("sha256:")[:12]
        text = f"{done} {short}  {long_size(current)} of {long_size(total)}"
        lines.append(Content.styled(text, "$text-muted"))
    return Content("\n").join(lines)


def farewell(pulls: Sequence[Pull]) -> str:
    """What is said below the shell's prompt of pulls that the program leaves unfinished."""
    if not pulls:
        return ""
    names = ", ".join(f"{pull.name} ({_kept(pull)})" for pull in pulls)
    first = pulls[0].name
    verb, them = ("is", "it") if len(pulls) == 1 else ("are", "them")
    return f"{names} {verb} not here yet: `dmr` goes on with {them}, or `dmr pull {first}`."


def _kept(pull: Pull) -> str:
    return f"{long_size(pull.done)} kept" if pull.done else "nothing fetched yet"
