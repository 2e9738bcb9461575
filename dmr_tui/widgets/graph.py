"""Figures over time, drawn with blocks: one row, or several with an axis."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

from textual.content import Content

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_ROUND = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)


def spark(values: Sequence[float | None], top: float, *, style: str = "$primary") -> Content:
    """One row, a cell for each value.

    Args:
        values: the oldest first; None is left blank, 0 is the lowest block.
        top: the value of a full cell.
        style: its colour.
    """
    return Content.styled("".join(_cell(value, top, 1) for value in values), style)


def chart(
    values: Sequence[float | None], height: int, *, style: str = "$primary"
) -> tuple[list[Content], float]:
    """Several rows, the highest first, scaled to the values.

    Returns:
        The rows, and the value of their upper edge.
    """
    top = round_up(max((value for value in values if value is not None), default=0.0))
    rows = []
    for level in reversed(range(height)):
        cells = (_cell(value, top, height, level) for value in values)
        rows.append(Content.styled("".join(cells), style))
    return rows, top


def round_up(value: float) -> float:
    """The next number that is easy to read, such as 1.5, 20 or 600; 1 for nothing."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** floor(log10(value))
    return next(step * power for step in _ROUND if value <= step * power)


def _cell(value: float | None, top: float, height: int, level: int = 0) -> str:
    """What a value fills of the cell at a level, of so many, the lowest being 0."""
    if value is None or top <= 0:
        return " "
    eighths = round(min(max(value / top, 0.0), 1.0) * height * 8)
    # Nothing is something else than not known.
    least = 1 if level == 0 else 0
    return _EIGHTHS[min(max(eighths - 8 * level, least), 8)]
