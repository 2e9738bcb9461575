"""A bar that shows a part of a whole."""

from __future__ import annotations

from textual.content import Content

_EIGHTHS = " ▏▎▍▌▋▊▉"
_HIGH, _FULL = 0.75, 0.92


def bar(fraction: float, width: int, *, style: str = "$primary") -> Content:
    """A bar of `width` cells and a mark at each end: `▕███▌    ▏`.

    Args:
        fraction: 0 to 1; what lies outside is cut.
        width: cells between the marks.
        style: colour of the filled part.
    """
    eighths = round(min(max(fraction, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    filled = "█" * full + (_EIGHTHS[part] if part else "")
    empty = " " * (width - len(filled))
    return Content.assemble(
        ("▕", "$text-disabled"), (filled + empty, f"{style} on $panel"), ("▏", "$text-disabled")
    )


def load_style(fraction: float) -> str:
    """The colour of a load: calm, high, full."""
    if fraction >= _FULL:
        return "$error"
    return "$warning" if fraction >= _HIGH else "$primary"
