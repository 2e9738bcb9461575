"""The columns of the table of models."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from textual.content import Content

from dmr_tui.screens.library import Entry
from dmr_tui.screens.pulls import Pull
from dmr_tui.widgets.figures import age, clock, short_size, tokens
from dmr_tui.widgets.printable import printable
from dmr_tui.widgets.table import Column

Row = Entry | Pull
"""A stored model, or one that is on its way."""

GLYPHS = {
    "ready": ("●", "$text-success"),
    "loading": ("◐", "$text-warning"),
    "unloading": ("◐", "$text-warning"),
    "idle": ("○", "$text-muted"),
    "pull": ("↓", "$text-primary"),
}
_NOTHING = Content.styled("–", "$text-disabled")


def short_name(name: str) -> str:
    """A name as it fits into a column: without the middle of a long path."""
    parts = name.replace("huggingface.co/", "hf.co/").split("/")
    return "/".join([parts[0], "…", parts[-1]] if len(parts) > 2 else parts)


def name_of(row: Row) -> str:
    """What identifies a row."""
    return row.name


def columns(now: Callable[[], float] = time.time) -> Sequence[Column[Row]]:
    """The columns, with the clock that ages are told from."""

    def used(row: Row) -> Content:
        if isinstance(row, Pull):
            left = row.seconds_left
            shown = f"{row.fraction:.0%}" + (f" {clock(left)}" if left is not None else "")
            return Content.styled(shown, "$text-primary")
        if row.running is not None and row.running.in_use:
            return Content.styled("now", "$text-success")
        return _or_nothing(age(now() - row.last_used) if row.last_used else "")

    return (
        Column("name", "  NAME", _name),
        Column("parameters", "PARAMS", _fact("parameters"), 8, "right"),
        Column("quantization", "QUANT", _fact("quantization"), 7, from_width=58),
        Column("context", "CTX", _context, 5, "right", from_width=66),
        Column("size", "SIZE", _size, 6, "right"),
        Column("used", "USED", used, 9, "right"),
    )


SORTS: dict[str, Callable[[Entry], Any]] = {
    "used": lambda entry: (entry.running is None, -(entry.last_used or 0), entry.name),
    "name": lambda entry: entry.name,
    "parameters": lambda entry: (-_count(entry.model.config.parameters), entry.name),
    "quantization": lambda entry: (entry.model.config.quantization, entry.name),
    "context": lambda entry: (-(entry.context or 0), entry.name),
    "size": lambda entry: (-entry.size, entry.name),
}
"""How the models are sorted by each column, the most telling end first."""


def glyph(row: Row) -> Content:
    """The state of a row as one sign."""
    kind = "pull" if isinstance(row, Pull) else row.state
    return Content.styled(*GLYPHS[kind])


def _name(row: Row) -> Content:
    return glyph(row) + Content(f" {short_name(row.name)}")


def _fact(field: str) -> Callable[[Row], Content]:
    def cell(row: Row) -> Content:
        if isinstance(row, Pull):
            return Content("")
        return _or_nothing(printable(str(getattr(row.model.config, field))).replace(" ", ""))

    return cell


def _context(row: Row) -> Content:
    if isinstance(row, Pull):
        return Content("")
    return _or_nothing(tokens(row.context) if row.context else "")


def _size(row: Row) -> Content:
    size = row.total if isinstance(row, Pull) else row.size
    return _or_nothing(short_size(size) if size else "")


def _or_nothing(text: str) -> Content:
    return Content(text) if text else _NOTHING


def _count(parameters: str) -> float:
    """The number that `361.82M` stands for; 0 for none."""
    text = parameters.replace(" ", "").upper()
    scale = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(text[-1:], 1.0)
    try:
        return float(text.rstrip("KMBT")) * scale
    except ValueError:
        return 0.0
