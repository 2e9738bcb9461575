"""Short names in the prompt for what would fill it: long pasted texts, images."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dmr_tui.chat.attachments import mention

LONG_LINES, LONG_TEXT = 8, 1200
"""A pasted text of so many lines or characters becomes a chip."""
CHIP = re.compile(r"\[(?:text|image) \d+ · [^\]\n]+\]")


class Chips:
    """What stands behind the names. A name that is no longer whole in the prompt is plain text."""

    def __init__(self, held: Mapping[str, str] | None = None) -> None:
        """The chips of a draft; None: none."""
        self.held = dict(held or {})

    def add_text(self, text: str) -> str:
        """A name for a long text."""
        lines = text.count("\n") + 1
        size = f"{lines} lines" if lines > 1 else f"{len(text)} characters"
        return self._add("text", size, text)

    def add_image(self, path: str) -> str:
        """A name for an image."""
        name = re.split(r"[/\\]", path)[-1]
        return self._add("image", re.sub(r"[\[\]\n]", "", name) or "image", mention(path))

    def _add(self, kind: str, what: str, content: str) -> str:
        number = 1 + sum(label.startswith(f"[{kind} ") for label in self.held)
        label = f"[{kind} {number} · {what}]"
        self.held[label] = content
        return label

    def expand(self, text: str) -> str:
        """A message with what its chips stand for."""
        return CHIP.sub(lambda match: self.held.get(match[0], match[0]), text)

    def before(self, text: str) -> str:
        """The chip that a text ends with; empty without one."""
        return next((label for label in self.held if text.endswith(label)), "")

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Where chips stand in a line."""
        return [match.span() for match in CHIP.finditer(line) if match[0] in self.held]


def is_long(text: str) -> bool:
    """Whether a pasted text is better shown as a chip."""
    return text.count("\n") + 1 >= LONG_LINES or len(text) >= LONG_TEXT
