"""Pictures of the screens: SVG files in `snapshots/` at the top of the project.

`UPDATE_SNAPSHOTS=1 pytest tests/tui/test_snapshots.py` takes them anew after a change that is
meant; look at them before they are committed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "snapshots"
UPDATE = bool(os.environ.get("UPDATE_SNAPSHOTS"))


def compare(name: str, svg: str, scratch: Path) -> None:
    """Hold a picture against the one that is kept, or keep it.

    Args:
        name: of the file, without its ending.
        svg: as the app exports it.
        scratch: a folder for the picture that differs.
    """
    kept, picture = FOLDER / f"{name}.svg", _normal(svg)
    if UPDATE:
        kept.write_text(picture, "utf-8")
    elif not kept.exists() or kept.read_text("utf-8") != picture:
        actual = scratch / kept.name
        actual.write_text(picture, "utf-8")
        pytest.fail(f"{kept} does not look like this any more: {actual}")


def _normal(svg: str) -> str:
    """Without the identifier that Rich makes up, and without fonts from a server."""
    svg = re.sub(r"\bterminal-\d+-", "terminal-", svg)
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.S)
    return "\n".join(line.rstrip() for line in svg.strip().splitlines()) + "\n"
