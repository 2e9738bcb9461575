"""Tokens per second of all models together, and what that comes to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual.content import Content

from dmr_tui.runner.activity.records import RequestRecord
from dmr_tui.screens.history import GENERATED, PROMPTS
from dmr_tui.screens.monitor.readout import Readout
from dmr_tui.screens.monitor.view import View
from dmr_tui.widgets.figures import grouped
from dmr_tui.widgets.graph import chart

_AXIS = 7
_SENTENCES = 3


class Throughput(Readout):
    """A chart of generated tokens, and figures."""

    heading = "Tokens per second · all models"

    def lines(self, view: View, width: int, height: int) -> Sequence[Content]:
        """The chart above the figures; beside them where there is little room."""
        facts = _facts(view)
        if height <= _SENTENCES:
            return _beside(view, facts, width, height)
        rows, top = chart(view.columns(GENERATED, max(width - _AXIS, 1)), height - _SENTENCES - 1)
        return [*_with_axis(rows, top, width), *facts]

    def render(self) -> Content:
        """Without a frame the chart says itself what it is."""
        if self._view is None or self.styles.border_top[0]:
            return super().render()
        width, height = self.size
        return Content("\n").join(self.lines(self._view, width, height))


def _with_axis(rows: list[Content], top: float, width: int) -> list[Content]:
    lines = []
    for index, row in enumerate(rows):
        shown = f"{top:g}" if index == 0 else ""
        lines.append(Content.styled(f"{shown:>5} ┤", "$text-muted") + row)
    floor = Content.styled(f"{0:>5} ┼" + "─" * max(width - _AXIS, 0), "$text-muted")
    return [*lines, floor]


def _beside(view: View, facts: list[Content], width: int, height: int) -> list[Content]:
    """Two short lines of figures to the right of a chart."""
    figures = [facts[0], facts[2]]
    room = max(width - _AXIS - max(each.cell_length for each in figures) - 2, 4)
    rows, top = chart(view.columns(GENERATED, room), max(height, 1))
    lines = []
    for index, row in enumerate(rows):
        level = f"{top:g}" if index == 0 else "0" if index == len(rows) - 1 else ""
        label = Content.styled(f"{level:>5} ┤", "$text-muted")
        beside = figures[index] if index < len(figures) else Content("")
        lines.append(label + row + Content("  ") + beside)
    return lines


def _facts(view: View) -> list[Content]:
    history = view.history[GENERATED]
    seen = [value for value in history.since(view.now - view.window) if value > 0]
    mean, most = (sum(seen) / len(seen), max(seen)) if seen else (0.0, 0.0)
    read, cached = _prompts(view)
    hits = f"cache hits {cached / (read + cached):.0%}" if read + cached else "cache hits –"
    told, written = totals(view.requests, _midnight(view.time))
    return [
        _figures([("gen", history.latest, "now"), ("", mean, "avg"), ("", most, "max")]),
        _figures([("prompt", view.history[PROMPTS].latest, "now")])
        + Content.styled(f" · {hits}", "$text-muted"),
        Content.styled(f"today {grouped(told)} in · {grouped(written)} out", "$text-muted"),
    ]


def _figures(figures: Sequence[tuple[str, float, str]]) -> Content:
    parts = []
    for label, value, meaning in figures:
        shown = grouped(round(value)) if value >= 100 else f"{value:.1f}"
        before = Content.styled(f"{label} ", "$text-muted") if label else Content("")
        parts.append(before + Content(shown) + Content.styled(f" {meaning}", "$text-muted"))
    return Content.styled(" · ", "$text-muted").join(parts)


def _prompts(view: View) -> tuple[int, int]:
    """Prompt tokens of the models in memory: computed, and known already."""
    told = [model.stats for model in view.models if model.stats is not None]
    return sum(each.prompt_tokens for each in told), sum(each.cached_tokens for each in told)


def totals(requests: Sequence[RequestRecord], since: float) -> tuple[int, int]:
    """Tokens in and out of the requests after a Unix time."""
    today = [each for each in requests if each.time >= since]
    told = sum(each.prompt_tokens or 0 for each in today)
    return told, sum(each.completion_tokens or 0 for each in today)


def _midnight(time: float) -> float:
    """When today began, where this program runs."""
    return datetime.fromtimestamp(time).replace(hour=0, minute=0, second=0).timestamp()
