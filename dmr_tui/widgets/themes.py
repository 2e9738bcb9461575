"""The program's own colour themes; every other colour is one of their variables.

A theme is a table of colours, so this is the one place that names any.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="dark",
    primary="#7aa2f7",
    secondary="#9aa5ce",
    accent="#d7a65f",
    foreground="#d5d9e2",
    background="#13151a",
    surface="#1b1e26",
    panel="#262a35",
    success="#8cc570",
    warning="#e0af68",
    error="#f0758a",
    variables={
        "text-muted": "#8b93a8",
        "text-disabled": "#565d70",
        "border": "#7aa2f7",
        "border-blurred": "#343a48",
        "scrollbar": "#343a48",
        "scrollbar-hover": "#4a5368",
        "scrollbar-active": "#7aa2f7",
        "scrollbar-background": "#13151a",
        "scrollbar-background-hover": "#13151a",
        "scrollbar-background-active": "#13151a",
        "block-cursor-background": "#262d40",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#1f232d",
        "block-cursor-blurred-foreground": "#d5d9e2",
        "input-selection-background": "#7aa2f7 35%",
    },
)

LIGHT = Theme(
    name="light",
    primary="#2b5fb8",
    secondary="#56607a",
    accent="#96590c",
    foreground="#22252b",
    background="#fafaf8",
    surface="#f0f0ec",
    panel="#e4e4de",
    success="#2c7a4b",
    warning="#96590c",
    error="#b3283a",
    dark=False,
    variables={
        "text-muted": "#666c78",
        "text-disabled": "#9a9fa8",
        "border": "#2b5fb8",
        "border-blurred": "#c9c9c2",
        "scrollbar": "#c9c9c2",
        "scrollbar-hover": "#a9a9a2",
        "scrollbar-active": "#2b5fb8",
        "scrollbar-background": "#fafaf8",
        "scrollbar-background-hover": "#fafaf8",
        "scrollbar-background-active": "#fafaf8",
        "block-cursor-background": "#dbe5f7",
        "block-cursor-foreground": "#10131a",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#ececE6",
        "block-cursor-blurred-foreground": "#22252b",
        "input-selection-background": "#2b5fb8 25%",
    },
)

CONTRAST = Theme(
    name="contrast",
    primary="#ffd400",
    secondary="#ffffff",
    accent="#5cf2ff",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1c1c1c",
    success="#5cff7a",
    warning="#ffd400",
    error="#ff8a8a",
    text_alpha=1.0,
    variables={
        "border": "#ffd400",
        "border-blurred": "#ffffff",
        "text-muted": "#e0e0e0",
        "text-disabled": "#c0c0c0",
        "block-cursor-background": "#003a70",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#3a3a3a",
        "block-cursor-blurred-foreground": "#ffffff",
        "input-selection-background": "#5cf2ff 50%",
    },
)

THEMES = (DARK, LIGHT, CONTRAST)
