"""Copying some words and spelling one; other tasks on letters are declined."""

from __future__ import annotations

import random
from pathlib import Path

from guide.phrasing import Wordings, read_wordings, type_like_a_person
from guide.pools import (
    ANIMALS,
    CITIES,
    COLOURS,
    FIRST_NAMES,
    FOODS,
    HOBBIES,
    JOBS,
    WORDS,
    made_up_word,
)

_WORDINGS = read_wordings(Path(__file__).parent / "wordings" / "words.txt")
_COPY = _WORDINGS["copy"]
_SPELL = _WORDINGS["spell"]
_OTHER = [_WORDINGS[key] for key in ("reverse", "letters", "upper case")]
CANNOT = "With words I can do two things: copy them, or spell one."


def a_word(rng: random.Random, longest: int = 9) -> str:
    """A real word, or one that does not exist."""
    while True:
        pool = rng.choice(
            (WORDS, WORDS, WORDS, ANIMALS, COLOURS, FOODS, CITIES, JOBS, HOBBIES, FIRST_NAMES)
        )
        word = rng.choice(pool) if rng.random() < 0.72 else made_up_word(rng, rng.choice((1, 2)))
        if 2 < len(word) <= longest and word.isalpha():
            return word.lower()


def a_text(rng: random.Random) -> str:
    """Some words, names and numbers to copy."""
    kind = rng.random()
    if kind < 0.15:
        return str(rng.randint(0, 10 ** rng.randint(1, 6)))
    count = rng.choice((1, 1, 1, 2, 2, 3, 3, 4, 5, 6))
    words = [a_word(rng) for _ in range(count)]
    if kind < 0.3:
        words[0] = words[0].capitalize()
    if kind > 0.92:
        words[rng.randrange(count)] = str(rng.randint(1, 999))
    return " ".join(words)


def draw(rng: random.Random, *, exam: bool) -> tuple[str, str]:
    """A task and its answer."""
    if rng.random() < 0.4:
        word = a_word(rng, 8)
        return _ask(_SPELL, word, rng, exam), "-".join(word)
    text = a_text(rng)
    pattern = _COPY.draw(rng, exam=exam).replace("X", "\0")
    # Nothing polite and no mark: it would be part of what is to be copied.
    question = type_like_a_person(pattern, rng, exact="\0", courtesy=False).rstrip(".!?")
    return question.replace("\0", text), text


def draw_other(rng: random.Random, *, exam: bool) -> tuple[str, str]:
    """A task on letters that the guide cannot do."""
    return _ask(rng.choice(_OTHER), a_word(rng), rng, exam), CANNOT


def _ask(wordings: Wordings, word: str, rng: random.Random, exam: bool) -> str:
    question = wordings.draw(rng, exam=exam)
    typed = type_like_a_person(question.replace("X", "\0"), rng, exact="\0")
    return typed.replace("\0", word)
