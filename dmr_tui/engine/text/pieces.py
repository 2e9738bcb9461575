"""What the text of an answer consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Text:
    """What is said to the person."""

    text: str


@dataclass(frozen=True)
class Thought:
    """What the model says to itself."""

    text: str


@dataclass(frozen=True)
class Call:
    """A tool to be called; `arguments` is the text of a JSON object."""

    name: str
    arguments: str


Piece: TypeAlias = Text | Thought | Call
