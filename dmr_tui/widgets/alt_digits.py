"""Alt and a digit, as terminals send it: the key that goes to a screen while one writes.

Textual takes those two bytes for the character that one terminal on macOS means by them, and types
`™` where most terminals mean `alt+2`.
"""

from __future__ import annotations

from typing import Any, cast

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS

_ESCAPE = "\x1b"


def read_alt_digits() -> None:
    """Let Textual read Alt and a digit as it reads Alt and a letter."""
    table = cast("dict[str, Any]", ANSI_SEQUENCES_KEYS)
    for digit in "0123456789":
        table.pop(_ESCAPE + digit, None)
