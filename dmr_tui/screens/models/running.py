"""What is in memory: a line or two for each model, below the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from dmr_tui.screens.library import Entry, short_name
from dmr_tui.screens.models.columns import GLYPHS
from dmr_tui.widgets.figures import clock, grouped, short_size, speed
from dmr_tui.widgets.gauge import bar, load_style
from dmr_tui.widgets.printable import printable

if TYPE_CHECKING:
    from dmr_tui.engine.profile import RunningModel

_NAME = 16
_BAR = 8
_MOST = 3
"""Models that are shown where there is room; the Monitor screen shows all."""


class Running(Static):
    """The models in memory; not there while there are none."""

    def __init__(self) -> None:
        super().__init__(id="running")
        self._last: Content | None = None

    def show(self, entries: Sequence[Entry], now: float, *, narrow: bool) -> None:
        """Show those of these models that are in memory.

        Args:
            entries: all models.
            now: Unix time, for what is left until one is unloaded.
            narrow: there is one line for all of them.
        """
        loaded = [entry for entry in entries if entry.running is not None]
        self.display = bool(loaded)
        self.border_title = None if narrow else f"In memory {len(loaded)}"
        self.border_subtitle = None if narrow else "l unload · P pin"
        if narrow:
            line = Content("   ").join([_one(entry, now) for entry in loaded])
            content = line.truncate(max(self.app.size.width - 2, 1), ellipsis=True)
        else:
            lines = [line for entry in loaded[:_MOST] for line in _lines(entry, now)]
            if len(loaded) > _MOST:
                lines.append(Content.styled(f"{len(loaded) - _MOST} more", "$text-muted"))
            content = Content("\n").join(lines)
        if content != self._last:
            self._last = content
            self.update(content)


def _worker(entry: Entry) -> RunningModel:
    assert entry.running is not None
    return entry.running


def _one(entry: Entry, now: float) -> Content:
    worker, stats = _worker(entry), _worker(entry).stats
    parts = [short_size(worker.memory) if worker.memory else ""]
    if stats is not None and stats.kv_used and worker.context_size:
        parts.append(f"KV {stats.kv_used / worker.context_size:.0%}")
    if worker.in_use and stats is not None and stats.generation_speed:
        parts.append(speed(stats.generation_speed))
    parts.append(_stay(entry, now))
    return _name(entry) + Content.styled(f" {' '.join(filter(None, parts))}", "$text-muted")


def _lines(entry: Entry, now: float) -> list[Content]:
    worker, stats = _worker(entry), _worker(entry).stats
    facts = [worker.backend, _placed(worker), short_size(worker.memory) if worker.memory else ""]
    first = _name(entry, _NAME) + Content(f"  {'  '.join(filter(None, facts))}")
    if entry.state == "loading":
        share = worker.progress or 0.0
        return [first + Content("  ") + bar(share, _BAR) + Content(f" {share:.0%}")]
    parts = []
    if worker.context_size:
        used = (stats.kv_used if stats else 0) / worker.context_size
        shown = f" {used:.0%} of {grouped(worker.context_size)}"
        parts.append(Content("KV ") + bar(used, _BAR, style=load_style(used)) + Content(shown))
    if worker.slots:
        busy = stats.busy if stats else worker.in_use
        parts.append(Content(f"{busy} of {worker.slots} slots busy" if busy else "idle"))
    if stats is not None and stats.generation_speed and worker.in_use:
        parts.append(Content.styled(speed(stats.generation_speed), "$text-success"))
    parts.append(Content.styled(_stay(entry, now, words=True), "$text-muted"))
    return [first, Content("  ") + Content("  ").join(parts)]


def _name(entry: Entry, width: int = 0) -> Content:
    glyph, style = GLYPHS[entry.state]
    name = printable(short_name(entry.name))
    if width:
        name = name[: width - 1] + "…" if len(name) > width else name.ljust(width)
    return Content.styled(f"{glyph} ", style) + Content.styled(name, "bold")


def _placed(worker: RunningModel) -> str:
    if not worker.gpu_layers:
        return "on CPU" if worker.state == "ready" else ""
    total = worker.layers + 1 if worker.layers else worker.gpu_layers
    return f"{worker.gpu_layers}/{total} on GPU"


def _stay(entry: Entry, now: float, *, words: bool = False) -> str:
    """How long it stays: pinned, or the time until it is unloaded."""
    worker = _worker(entry)
    if worker.state != "ready":
        return worker.state
    if entry.pinned:
        return "pinned"
    if worker.in_use:
        return "answering"
    if worker.last_used is None:
        return ""
    left = clock(max(worker.last_used + worker.keep_alive - now, 0))
    return f"unloads in {left}" if words else left
