"""Text from elsewhere, made harmless: models, files and registries do not steer the terminal."""

from __future__ import annotations

import re

# The C0 and C1 control characters but for tab and line feed; and the marks that change the
# direction of what follows, which can make a line read as something else.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """A text without the characters that a terminal would obey instead of showing them."""
    return _CONTROLS.sub("", text)
