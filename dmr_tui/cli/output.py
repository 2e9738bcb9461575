"""Tables, sizes, times and JSON in the forms that Docker Model Runner prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from dmr_tui.errors import DmrError
from dmr_tui.store.reference import DOCKER_HUB, familiar

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns, each padded by two blanks; no lines, no borders."""
    every = [headers, *rows]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    # One format for all: there may be thousands of rows.
    line = "  ".join(f"{{:<{width}}}" for width in widths).format
    return "\n".join([line(*row).rstrip() for row in every])


def size_text(count: float) -> str:
    """Bytes to base 1000 with two decimals: `270.60MB`."""
    for unit in _UNITS[:-1]:
        # What rounds up to 1000.00 belongs to the next unit.
        if round(count, 2) < 1000:
            return f"{count:.2f}{unit}"
        count /= 1000
    return f"{count:.2f}{_UNITS[-1]}"


def duration_text(seconds: float) -> str:
    """A duration in about two words, as Docker says it: `5 minutes`, `About an hour`."""
    whole = int(seconds)
    minutes, hours = whole // 60, int(seconds / 3600 + 0.5)
    days = hours // 24
    steps = (
        (whole < 1, "Less than a second"),
        (whole == 1, "1 second"),
        (whole < 60, f"{whole} seconds"),
        (minutes == 1, "About a minute"),
        (minutes < 60, f"{minutes} minutes"),
        (hours == 1, "About an hour"),
        (hours < 48, f"{hours} hours"),
        (hours < 24 * 14, f"{days} days"),
        (hours < 24 * 60, f"{days // 7} weeks"),
        (hours < 24 * 365 * 2, f"{days // 30} months"),
    )
    return next((text for holds, text in steps if holds), f"{days // 365} years")


def json_text(value: Any, indent: int = 4) -> str:
    """JSON as other programs expect it of `docker model`; indent 0: one line."""
    raw = msgspec.json.encode(value)
    return (msgspec.json.format(raw, indent=indent) if indent else raw).decode()


def display_name(name: str, default_registry: str = DOCKER_HUB) -> str:
    """The short name of a model for people; an id is cut to 12 digits, a path to its file."""
    if name.startswith("sha256:"):
        return short_id(name)
    if name.startswith("/"):
        return Path(name).name
    return familiar(name, default_registry)


def short_id(model_id: str) -> str:
    """The first 12 digits of an id."""
    return model_id.removeprefix("sha256:")[:12]


def error_text(error: DmrError) -> str:
    """A failure as it is shown: once, in one line, with what to do next below it."""
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    label = click.style("Error:", fg="red", bold=True) if coloured else "Error:"
    hints = [f"  {line}" for line in (error.hint or "").splitlines()]
    return "\n".join([f"{label} {error.message}", *hints])


def whole_text(typed: str) -> str:
    """A word of the command line as text: bytes that are no characters become U+FFFD."""
    return typed.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def redraw(text: str = "", tail: str = "") -> None:
    """Write a line on stderr over the last one, in one row: only that can be written over.

    Args:
        text: its beginning, which is cut first.
        tail: its end.
    """
    from rich.cells import cell_len, set_cell_size  # Not at the top: most commands draw nothing.

    columns = _columns() - 1
    room = max(columns - cell_len(tail), 1)
    if cell_len(text) > room:
        text = set_cell_size(text, room - 1) + "…"
    sys.stderr.write(f"\r\x1b[2K{set_cell_size(text + tail, columns).rstrip()}")
    sys.stderr.flush()


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80


def talk(text: str = "") -> None:
    """Say something to the person; data goes to stdout and is never mixed with this."""
    click.echo(text, err=True)
