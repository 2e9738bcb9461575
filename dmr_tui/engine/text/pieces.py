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
    """A tool to be called; `arguments` is the text of a JSON object, or how that begins."""

    name: str
    arguments: str
    whole: bool = True
    """Nothing is missing; else `More` follows."""


@dataclass(frozen=True)
class More:
    """How the arguments of the last call go on."""

    arguments: str
    last: bool = False
    """With this they are whole."""


Piece: TypeAlias = Text | Thought | Call | More
