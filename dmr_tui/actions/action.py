"""One thing that a person can do, and how its key is written."""

from __future__ import annotations

from dataclasses import dataclass

_WIDGET_SCOPES = ("list", "welcome", "transcript", "message", "chats", "prompt")
_CHARACTERS = (
    "slash",
    "colon",
    "question_mark",
    "minus",
    "less_than_sign",
    "greater_than_sign",
    "left_square_bracket",
    "right_square_bracket",
    "left_curly_bracket",
    "right_curly_bracket",
    "space",
    "delete",
    "asterisk",
    "backslash",
)
_GLYPHS = {
    "enter": "⏎",
    "escape": "esc",
    "up": "↑",
    "down": "↓",
    "left": "‹",
    "right": "›",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "minus": "-",
    "asterisk": "*",
    "backslash": "\\",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "space": "space",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
}


@dataclass(frozen=True)
class Action:
    """One thing that a person can do.

    Attributes:
        id: scope and name, `models.load`; also the binding's id, for key maps.
        keys: default keys, in Textual's names; the first one is shown. Empty: palette only.
        title: a word or two for the line of keys.
        help: one sentence for the help screen.
        palette: what the command palette says; empty: not there.
        rank: place in the line of keys, the smallest first; 0: not there.
        priority: the key is taken before the focused widget sees it.
        command: the Textual action, where it is not the id's name in its scope.
    """

    id: str
    keys: tuple[str, ...]
    title: str
    help: str
    palette: str = ""
    rank: int = 0
    priority: bool = False
    command: str = ""

    @property
    def scope(self) -> str:
        """Where it works: the first part of the id."""
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        """The second part of the id."""
        return self.id.partition(".")[2]

    @property
    def target(self) -> str:
        """The action as Textual runs it."""
        if self.scope in _WIDGET_SCOPES:
            return self.command or self.name
        node = "app" if self.scope == "app" else "screen"
        return f"{node}.{self.command or self.name}"

    @property
    def key(self) -> str:
        """The first key as people write it: `^p`, `⏎`, `?`."""
        return display_key(self.keys[0]) if self.keys else ""


def display_key(key: str) -> str:
    """A key as people write it."""
    modifier, _, base = key.rpartition("+")
    shown = _GLYPHS.get(base, base.upper() if base[0] == "f" and base[1:].isdigit() else base)
    if modifier == "ctrl":
        return f"^{shown}"
    return f"{modifier}+{shown}" if modifier else shown


def is_typed(key: str) -> bool:
    """Whether a key makes or deletes a character where text can be written."""
    return len(key) == 1 or key in _CHARACTERS
