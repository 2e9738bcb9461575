"""What is written can be read: the contrast of every pair of colours that text is drawn in."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import Theme

from dmr_tui.widgets.themes import THEMES

READABLE = 4.5
"""WCAG 2.2, 1.4.3: the least contrast of text."""
DISCERNIBLE = 2.5
"""Of separators and of what cannot be used now, which need not be read."""
BACKGROUNDS = ("background", "surface")
TEXTS = ("foreground", "text-muted", "text-primary", "text-success", "text-warning", "text-error")


def luminance(color: Color) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in color.normalized
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(theme: Theme, text: str, background: str) -> float:
    colors = theme.to_color_system().generate()
    below = Color.parse(colors[background])
    above = colors[text]
    # `auto 60%` is the best of black and white, thinned.
    drawn = Color.parse(above) if "auto" not in above else below.get_contrast_text(0.87)
    first, second = sorted((luminance(below + drawn), luminance(below)), reverse=True)
    return (first + 0.05) / (second + 0.05)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("text", [*TEXTS, "primary", "accent"])
def test_text_can_be_read(theme: Theme, text: str, background: str) -> None:
    assert contrast(theme, text, background) >= READABLE


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_the_row_with_the_cursor_can_be_read(theme: Theme) -> None:
    for kind in ("", "blurred-"):
        text, below = f"block-cursor-{kind}foreground", f"block-cursor-{kind}background"
        assert contrast(theme, text, below) >= READABLE


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_what_is_faint_is_there(theme: Theme) -> None:
    assert contrast(theme, "text-disabled", "background") >= DISCERNIBLE
