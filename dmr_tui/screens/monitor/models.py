"""The models in memory: a table of what each one does, and its plan beside reality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from textual.content import Content

from dmr_tui.engine.profile import RunningModel
from dmr_tui.engine.stats import Stats
from dmr_tui.screens.library import familiar_name, short_name
from dmr_tui.screens.monitor.readout import Readout
from dmr_tui.screens.monitor.view import View
from dmr_tui.widgets.figures import clock, grouped, part_of, short_size
from dmr_tui.widgets.gauge import bar, load_style
from dmr_tui.widgets.printable import printable
from dmr_tui.widgets.table import Column, Table

_NOTHING = Content.styled("–", "$text-disabled")
_NONE = Stats()
_BAR = 6
_WIDE, _WIDEST = 96, 124
_GLYPHS = {"ready": ("●", "$text-success")}
_COMING = ("◐", "$text-warning")


class ModelsTable(Table[RunningModel]):
    """What runs, a row each; a row that loads tells how far it is."""

    def __init__(self) -> None:
        super().__init__(self._make_columns(), identity=lambda model: model.id, id="monitor-models")
        self._view: View | None = None

    def look(self, view: View, order: str, *, reverse: bool) -> None:
        """Show another look, sorted by the column `order`."""
        self._view = view
        rows = sorted(view.models, key=lambda model: sort_key(view, model, order), reverse=reverse)
        self.show(rows, sorted_by=order, reverse=reverse)

    def spanning(self, thing: RunningModel) -> Content | None:
        """How far a load is."""
        view = self._view
        if thing.state == "ready" or view is None:
            return None
        if thing.state != "loading":
            return Content.styled(f"{thing.state} …", "$text-warning")
        if thing.progress is None or thing.progress <= 0:
            return Content.styled("loading …", "$text-warning")
        part = thing.progress
        words = [
            Content.styled("loading ", "$text-warning"),
            bar(part, 20),
            Content(f" {part:.0%}"),
        ]
        if thing.planned:
            words.append(Content(f"  {part_of(part * thing.planned, thing.planned)}"))
        left = view.history.load_seconds_left(view.now, thing)
        if left is not None:
            words.append(Content.styled(f"  ~{left:.0f} s left", "$text-muted"))
        return Content.assemble(*words)

    def _make_columns(self) -> Sequence[Column[RunningModel]]:
        return (
            Column("name", "  MODEL", self._called),
            Column("backend", "BACKEND", lambda model: Content(model.backend), 12,
                   from_width=_WIDEST),
            Column("layers", "LAYERS", _layers, 7, "right", from_width=_WIDE),
            Column("memory", "MEM", self._memory, 5, "right"),
            Column("kv", "KV", _kv, 4, "right"),
            Column("bar", "", _kv_bar, _BAR + 2, from_width=_WIDE),
            Column("slots", "SLOTS", _slots, 5, "right"),
            Column("queue", "QUEUE", _queue, 5, "right"),
            Column("prompts", "PROMPT/s", _speed("prompt_speed"), 8, "right"),
            Column("generated", "GEN/s", _speed("generation_speed"), 6, "right"),
            Column("first", "TTFT", _first("first_token_p50"), 6, "right"),
            Column("slow", "P95", _first("first_token_p95"), 6, "right", from_width=_WIDE),
            Column("unloads", "UNLOADS", self._unloads, 7, "right"),
        )  # fmt: skip

    def _called(self, model: RunningModel) -> Content:
        whole = model.name if self._view is None else self._view.name(model)
        name = short_name(whole, self._widths()[0][1] - 2)
        return Content.styled(*_GLYPHS.get(model.state, _COMING)) + f" {printable(name)}"

    def _memory(self, model: RunningModel) -> Content:
        size = model.memory if self._view is None else self._view.memory(model)
        return Content(short_size(size)) if size else _NOTHING

    def _unloads(self, model: RunningModel) -> Content:
        left = None if self._view is None else seconds_left(model, self._view.time)
        if model.keep_alive < 0:
            return Content.styled("pinned", "$text-accent")
        if left is None:
            return Content.styled("in use", "$text-success") if model.in_use else _NOTHING
        return Content(clock(left))


class Reality(Readout):
    """The memory plan of the selected model beside what it takes, and the last eviction."""

    model: RunningModel | None = None

    def lines(self, view: View, width: int, height: int) -> Sequence[Content]:
        """One line."""
        del width, height
        wanted = None if self.model is None else self.model.id
        model = next((each for each in view.models if each.id == wanted), None)
        facts = []
        if model is not None and model.planned and model.state == "ready":
            real = view.memory(model)
            off = (real - model.planned) / model.planned
            facts.append(
                f"plan and reality  {printable(view.name(model))} {short_size(model.planned)} → "
                f"{short_size(real)} ({off:+.0%})"
            )
        if model is not None and model.context_size:
            facts.append(f"context {grouped(model.context_size)}")
        evicted = next((each for each in reversed(view.events) if each.kind == "evict"), None)
        if evicted is not None:
            facts.append(f"last eviction {familiar_name(evicted.model)}: {evicted.text}")
        return [Content.styled("  " + "   ·   ".join(map(printable, facts)), "$text-muted")]

    def render(self) -> Content:
        """The line, without a title."""
        if self._view is None:
            return Content("")
        (line,) = self.lines(self._view, *self.size)
        return line.truncate(self.size.width, ellipsis=True)


ORDERS = ("name", "memory", "kv", "slots", "queue", "prompts", "generated", "first", "unloads")
"""The columns that the models can be sorted by."""


def sort_key(view: View, model: RunningModel, order: str) -> Any:
    """What a model is sorted by: the most telling end first."""
    stats = model.stats or _NONE
    left = seconds_left(model, view.time)
    key: float = {
        "memory": -view.memory(model),
        "kv": -_kv_part(model),
        "slots": -stats.busy,
        "queue": -stats.waiting,
        "prompts": -stats.prompt_speed,
        "generated": -stats.generation_speed,
        "first": -(stats.first_token_p50 or 0.0),
        "unloads": float("inf") if left is None else left,
    }.get(order, 0.0)
    return (key, view.name(model))


def seconds_left(model: RunningModel, time: float) -> float | None:
    """Until an idle model is unloaded; None while that is not to be."""
    idle = model.state == "ready" and not model.in_use and model.keep_alive >= 0
    if not idle or model.last_used is None:
        return None
    return max(model.last_used + model.keep_alive - time, 0.0)


def _layers(model: RunningModel) -> Content:
    if not model.layers:
        return _NOTHING
    # The output counts as a layer on a GPU, but not as one of the model's.
    return Content(f"{min(model.gpu_layers, model.layers)}/{model.layers}")


def _kv_part(model: RunningModel) -> float:
    used = (model.stats or _NONE).kv_used
    return used / model.context_size if model.context_size else 0.0


def _holds_kv(model: RunningModel) -> bool:
    return model.mode == "completion" and model.slots > 0


def _kv(model: RunningModel) -> Content:
    return Content(f"{_kv_part(model):.0%}") if _holds_kv(model) else _NOTHING


def _kv_bar(model: RunningModel) -> Content:
    if not _holds_kv(model):
        return Content("")
    return bar(_kv_part(model), _BAR, style=load_style(_kv_part(model)))


def _slots(model: RunningModel) -> Content:
    if not model.slots:
        return Content(str(model.in_use)) if model.in_use else _NOTHING
    return Content(f"{(model.stats or _NONE).busy}/{model.slots}")


def _queue(model: RunningModel) -> Content:
    waiting = (model.stats or _NONE).waiting
    return Content.styled(str(waiting), "$text-warning" if waiting else "")


def _speed(field: str) -> Callable[[RunningModel], Content]:
    def cell(model: RunningModel) -> Content:
        speed: float = getattr(model.stats or _NONE, field)
        if not speed:
            return _NOTHING
        return Content(grouped(round(speed)) if speed >= 100 else f"{speed:.1f}")

    return cell


def _first(field: str) -> Callable[[RunningModel], Content]:
    def cell(model: RunningModel) -> Content:
        seconds: float | None = getattr(model.stats or _NONE, field)
        if seconds is None:
            return _NOTHING
        return Content(f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.0f} s")

    return cell
