"""The table of slash commands in docs/chat.md is the registry's own.

    python -m tests.chat.test_document

writes it anew.
"""

from __future__ import annotations

import re
from pathlib import Path

from dmr_tui.chat.commands import COMMANDS

DOCUMENT = Path(__file__).parents[2] / "docs" / "chat.md"
TABLE = re.compile(r"^\| command \|.*?(?=^$)", re.MULTILINE | re.DOTALL)


def table() -> str:
    rows = ["| command | what it does |", "|---|---|"]
    for command in COMMANDS:
        names = " ".join(f"`{name}`" for name in (command.name, *command.aliases))
        arguments = command.arguments.replace("|", "\\|")
        shown = f"{names} `{arguments}`" if arguments else names
        rows.append(f"| {shown} | {command.summary} |")
    return "\n".join(rows) + "\n"


def test_the_table_is_the_registrys() -> None:
    found = TABLE.search(DOCUMENT.read_text("utf-8"))
    assert found is not None
    assert found[0] == table(), f"renew it: python -m {__name__}"


if __name__ == "__main__":
    DOCUMENT.write_text(TABLE.sub(lambda _: table(), DOCUMENT.read_text("utf-8")), "utf-8")
