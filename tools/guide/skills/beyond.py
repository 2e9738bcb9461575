"""Everything else: the guide says plainly that it is too small, and which command gets more."""

from __future__ import annotations

import random
from pathlib import Path

from guide.phrasing import read_wordings, type_like_a_person
from guide.pools import ANIMALS, CITIES, FOODS, JOBS, WORDS, first_name, made_up_word

ANSWER = (
    "I am too small for that. "
    "A larger model knows more: `dmr pull smollm2`, then `dmr run smollm2`."
)

_TITLES = 0.2
"""Share of topics with capitals: Ancient Rome."""

_WORDINGS = read_wordings(Path(__file__).parent / "wordings" / "beyond.txt")
_TOPICS = _WORDINGS["topics"]
_ABOUT = _WORDINGS["about"]
_EVERYDAY = _WORDINGS["everyday"]
_HOW = _WORDINGS["everyday how"]
_QUESTIONS = _WORDINGS["questions"]
_FALSE_FRIENDS = _WORDINGS["false friends"]
"""What has a word of `dmr`'s in another meaning: a socket wrench, a mirror in the hall."""


def draw(rng: random.Random, *, exam: bool) -> tuple[str, str]:
    """A question that the guide cannot answer, and the honest answer."""
    kind = rng.random()
    if kind < 0.30:
        frame = _ABOUT.draw(rng, exam=exam)
        topic = _TOPICS.draw(rng, exam=exam)
        if rng.random() < _TITLES:
            topic = " ".join(word[:1].upper() + word[1:] for word in topic.split(" "))
        text = frame.replace("<topic>", topic)
    elif kind < 0.52:
        frame = _HOW.draw(rng, exam=exam and rng.random() < 0.5)
        text = frame.replace("<act>", _EVERYDAY.draw(rng, exam=exam))
    elif kind < 0.85:
        text = _QUESTIONS.draw(rng, exam=exam)
    else:
        text = _FALSE_FRIENDS.draw(rng, exam=exam)
    return type_like_a_person(_fill(text, rng), rng), ANSWER


def _fill(text: str, rng: random.Random) -> str:
    slots = {
        "<thing>": lambda: rng.choice(WORDS[:90]),
        "<animal>": lambda: rng.choice(ANIMALS),
        "<food>": lambda: rng.choice(FOODS),
        "<job>": lambda: rng.choice(JOBS),
        "<city>": lambda: rng.choice(CITIES),
        "<word>": lambda: rng.choice(WORDS),
        "<made>": lambda: made_up_word(rng, rng.choice((2, 3))),
        "<person>": lambda: f"{first_name(rng)} {made_up_word(rng).capitalize()}",
    }
    for slot, choose in slots.items():
        while slot in text:
            text = text.replace(slot, choose(), 1)
    return text
