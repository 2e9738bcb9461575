"""The columns of the table of models."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from textual.content import Content

from dmr_tui.screens.library import Entry, short_name
from dmr_tui.screens.models.filter import FitOf, parameters
from dmr_tui.screens.pulls import Pull
from dmr_tui.screens.verdict import verdict
from dmr_tui.widgets.figures import age, clock, short_count, short_size, tokens
from dmr_tui.widgets.printable import printable
from dmr_tui.widgets.table import Column

Row = Entry | Pull
"""A stored model, or one that is on its way."""

GLYPHS = {
    "ready": ("●", "$text-success"),
    "loading": ("◐", "$text-warning"),
    "unloading": ("◐", "$text-warning"),
    "idle": ("○", "$text-muted"),
    "update": ("!", "$text-warning"),
    "pull": ("↓", "$text-primary"),
}
_NOTHING = Content.styled("–", "$text-disabled")
_UNKNOWN = Content.styled("…", "$text-disabled")


def name_of(row: Row) -> str:
    """What identifies a row."""
    return row.name


class Columns:
    """The columns, and the orders that they sort by."""

    def __init__(
        self,
        fit: FitOf,
        knows: Callable[[Entry], bool],
        outdated: Callable[[Entry], bool],
        now: Callable[[], float] = time.time,
    ) -> None:
        """Take what is known beside the models themselves.

        Args:
            fit: what is known of a model's fit.
            knows: whether its fit has been asked for and answered.
            outdated: whether a registry has something newer under its name.
            now: Unix time, for ages.
        """
        self._fit = fit
        self._knows = knows
        self._outdated = outdated
        self._now = now
        self.orders: dict[str, Callable[[Entry], Any]] = {
            "used": lambda entry: (entry.running is None, -(entry.last_used or 0), entry.name),
            "name": lambda entry: entry.name,
            "parameters": lambda entry: (-parameters(entry), entry.name),
            "quantization": lambda entry: (entry.model.config.quantization, entry.name),
            "context": lambda entry: (-(entry.context or 0), entry.name),
            "size": lambda entry: (-entry.size, entry.name),
            "fit": self._by_fit,
        }
        """How the models are sorted by each column, the most telling end first."""

    def all(self) -> Sequence[Column[Row]]:
        """The columns from left to right."""
        return (
            Column("name", "  NAME", self._name),
            Column("parameters", "PARAMS", _parameters, 6, "right"),
            Column("quantization", "QUANT", _quantization, 6, from_width=52),
            Column("context", "CTX", _context, 5, "right", from_width=64),
            Column("size", "SIZE", _size, 6, "right"),
            Column("fit", "FIT", self._verdict, 11),
            Column("used", "USED", self._used, 5, "right", from_width=58),
        )

    def glyph(self, row: Row) -> Content:
        """The state of a row as one sign."""
        kind: str = "pull" if isinstance(row, Pull) else row.state
        if kind == "idle" and isinstance(row, Entry) and self._outdated(row):
            kind = "update"
        return Content.styled(*GLYPHS[kind])

    def _name(self, row: Row) -> Content:
        return self.glyph(row) + Content(f" {short_name(row.name)}")

    def _verdict(self, row: Row) -> Content:
        if isinstance(row, Pull):
            return Content.styled(_pulling(row), "$text-primary")
        if row.running is not None:
            return _loaded(row)
        fit = self._fit(row)
        if fit is None:
            return _NOTHING if self._knows(row) else _UNKNOWN
        return verdict(fit)

    def _used(self, row: Row) -> Content:
        if isinstance(row, Pull):
            return _NOTHING
        if row.running is not None and row.running.in_use:
            return Content.styled("now", "$text-success")
        return _or_nothing(age(self._now() - row.last_used) if row.last_used else "")

    def _by_fit(self, entry: Entry) -> tuple[Any, ...]:
        """What fits before what does not, the largest need first."""
        fit = self._fit(entry)
        if fit is None:
            return (2, 0, entry.name)
        return (0 if fit.fits else 1, -fit.total if fit.fits else fit.missing, entry.name)


def _loaded(entry: Entry) -> Content:
    worker = entry.running
    assert worker is not None
    if entry.state == "loading":
        share = "" if worker.progress is None else f" {worker.progress:.0%}"
        return Content.styled(f"loading{share}", "$text-warning")
    if entry.state == "unloading":
        return Content.styled("unloading", "$text-warning")
    if 0 < worker.gpu_layers <= worker.layers:
        where = f"SPLIT {worker.gpu_layers}/{worker.layers + 1}"
    else:
        memory = short_size(worker.memory) if worker.memory else ""
        where = f"{'GPU' if worker.gpu_layers else 'CPU'} {memory:>6}".rstrip()
    return Content.styled(where, "bold $text-success")


def _pulling(pull: Pull) -> str:
    if pull.state == "queued":
        return "queued"
    left = pull.seconds_left
    return f"{pull.fraction:.0%}" + (f" {clock(left)}" if left is not None else "")


def _parameters(row: Row) -> Content:
    return _of_model(row, lambda entry: short_count(entry.model.config.parameters))


def _quantization(row: Row) -> Content:
    return _of_model(row, lambda entry: entry.model.config.quantization.replace(" ", ""))


def _context(row: Row) -> Content:
    return _of_model(row, lambda entry: tokens(entry.context) if entry.context else "")


def _size(row: Row) -> Content:
    size = row.total if isinstance(row, Pull) else row.size
    return _or_nothing(short_size(size) if size else "")


def _of_model(row: Row, text: Callable[[Entry], str]) -> Content:
    return Content("") if isinstance(row, Pull) else _or_nothing(printable(text(row)))


def _or_nothing(text: str) -> Content:
    return Content(text) if text else _NOTHING
