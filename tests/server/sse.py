"""Reading server-sent events the way a client does."""

from __future__ import annotations

import json
from typing import Any


def events(text: str) -> list[Any]:
    """The data of each event; `[DONE]` stays text."""
    blocks = text.split("\n\n")
    assert blocks.pop() == "", "the stream must end with a blank line"
    assert all(block.startswith("data: ") for block in blocks)
    data = [block.removeprefix("data: ") for block in blocks]
    return [each if each == "[DONE]" else json.loads(each) for each in data]
