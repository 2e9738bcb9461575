"""Write `docs/keys.md` from the table of actions that the program's own keys and help come from.

make keys        (or: python tools/keys.py)
"""

from __future__ import annotations

from pathlib import Path

from dmr_tui.actions import SCOPES, actions, display_key
from dmr_tui.screens.help import TITLES

DOCUMENT = Path(__file__).parents[1] / "docs" / "keys.md"
_HEAD = """\
# Keys

Made by `make keys` from the program's own table. `?` shows the keys of where you are, and `^p`
finds every action by a word. `^` is the Ctrl key, `‹` and `›` are the arrow keys to the left and
right. Keys that write a character do that while you type in a box.
"""


def page() -> str:
    """The document: a table for each scope that has keys."""
    return "\n".join([_HEAD, *(_section(scope) for scope in SCOPES)])


def _section(scope: str) -> str:
    rows = [f"| {_keys(each.keys)} | {each.help} |" for each in actions(scope) if each.keys]
    head = [f"## {TITLES[scope]}", "", "| key | what it does |", "|---|---|"]
    return "\n".join([*head, *rows, ""])


def _keys(keys: tuple[str, ...]) -> str:
    return " ".join(code(display_key(key)) for key in keys)


def code(key: str) -> str:
    """A key as code in a table's cell, whatever character it is."""
    key = key.replace("|", "\\|")
    return f"`` {key} ``" if "`" in key else f"`{key}`"


if __name__ == "__main__":
    DOCUMENT.write_text(page(), "utf-8")
