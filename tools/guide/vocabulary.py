"""What a GGUF file of the guide says of its tokens, and of the answers that some stand for."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from gguf import GGUFReader

from guide.tokenizer import Tokenizer

BASE = Path(__file__).with_name("base.gguf")
"""What a training begins with."""

ANSWERS = "dmr.guide.answers"
"""The key of the fixed answers, in the order of their tokens."""

_LIKE = 0.7
"""Answers that have such a share of their letters in common are one that was put otherwise."""


def read_vocabulary(path: Path) -> tuple[Tokenizer, list[str]]:
    """The tokenizer of a file, and its answers.

    Raises:
        ValueError: the file does not say which answers it has.
    """
    fields = GGUFReader(path).fields
    if ANSWERS not in fields:
        raise ValueError(f"{path} is no file of `guide.export`: it has no list of answers")
    answers: list[str] = fields[ANSWERS].contents()
    pairs = (pair.split(" ") for pair in fields["tokenizer.ggml.merges"].contents())
    size = len(fields["tokenizer.ggml.tokens"].contents())
    return Tokenizer([(left, right) for left, right in pairs], size, len(answers)), answers


def places(learned: list[str], answers: list[str]) -> list[int | None]:
    """For each of today's answers the number that it had when it was learned, None for a new one.

    One that is put a little otherwise has the number of that which it stands in for.
    """
    gone = [answer for answer in learned if answer not in answers]
    found: list[int | None] = []
    for answer in answers:
        same = [answer] if answer in learned else get_close_matches(answer, gone, 1, _LIKE)
        found.append(learned.index(same[0]) if same else None)
    return found
