"""A curve of the last values, one cell each."""

from __future__ import annotations

from collections.abc import Iterable

_LEVELS = "▁▂▃▄▅▆▇█"


def spark(values: Iterable[float], width: int) -> str:
    """The last values as bars of eight heights, the largest one full; always `width` cells."""
    last = list(values)[-width:]
    most = max(last, default=0.0)
    top = len(_LEVELS) - 1
    drawn = "".join(
        _LEVELS[round(top * value / most)] if most > 0 else _LEVELS[0] for value in last
    )
    return drawn.rjust(width)
