"""Adding two numbers of up to two digits; what is beyond that is said to be."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from guide.phrasing import read_wordings, type_like_a_person

CANNOT = "I can only add, and only two numbers of up to two digits."

_WORDINGS = read_wordings(Path(__file__).parent / "wordings" / "sums.txt")
_ASKS = _WORDINGS["sums"]

_OTHER = _WORDINGS["not a sum"]


def unseen(a: int, b: int) -> bool:
    """Whether a pair of numbers is kept for the examination: one in twelve is."""
    return hashlib.sha256(f"{a}+{b}".encode()).digest()[0] % 12 == 0


def draw(rng: random.Random, *, exam: bool) -> tuple[str, str]:
    """A sum and its answer, which states the sum again."""
    while True:
        low = 0 if rng.random() < 0.25 else 10
        a, b = rng.randint(low, 99), rng.randint(0 if rng.random() < 0.25 else 10, 99)
        if unseen(a, b) is exam:
            break
    question = _ASKS.draw(rng, exam=exam).replace("<a>", str(a)).replace("<b>", str(b))
    return type_like_a_person(question, rng), f"{a} + {b} = {a + b}."


def draw_other(rng: random.Random, *, exam: bool) -> tuple[str, str]:
    """Arithmetic that the guide cannot do."""
    question = _OTHER.draw(rng, exam=exam)
    question = question.replace("<a>", str(rng.randint(2, 99)))
    question = question.replace("<b>", str(rng.randint(2, 99)))
    return type_like_a_person(question, rng), CANNOT
