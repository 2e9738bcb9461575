"""Short stories with a hero of the asker's choice."""

from __future__ import annotations

import random
from pathlib import Path

from guide.phrasing import read_wordings, type_like_a_person
from guide.pools import ANIMALS, COLOURS, JOBS

_WORDINGS = read_wordings(Path(__file__).parent / "wordings" / "stories.txt")
_ASKS = _WORDINGS["story"]
_ANY = _WORDINGS["any story"]
_ANOTHER = _WORDINGS["another story"]
ANY = (
    "A small fox lived by a river. One day it found a boat and asked the wind for help. "
    "The wind blew, the fox sailed to the sea, and in the evening it came home with a story."
)
ANOTHER = (
    "An old lamp stood in a dark street. Nobody looked at it until a child said hello. "
    "From that night on it shone a little brighter, and the street was never dark again."
)


def hero_story(hero: str) -> str:
    """The story of a hero."""
    article = "an" if hero[0] in "aeiou" else "a"
    return (
        f"Once there was {article} {hero} who wanted to see the moon. "
        f"The {hero} climbed the highest hill and waited. "
        f"When the moon came, it smiled, and the {hero} was happy all night."
    )


def draw(rng: random.Random, *, exam: bool) -> tuple[str, str]:
    """A wish and its story."""
    kind = rng.random()
    if kind < 0.2:
        return type_like_a_person(_ANY.draw(rng, exam=exam), rng), ANY
    if kind < 0.3:
        return type_like_a_person(_ANOTHER.draw(rng, exam=exam), rng), ANOTHER
    hero = rng.choice(ANIMALS + JOBS + ("king", "queen", "prince", "child", "girl", "boy", "tree"))
    if rng.random() < 0.2:
        hero = f"{rng.choice((*COLOURS, 'little', 'brave', 'lonely', 'old'))} {hero}"
    article = "an" if hero[0] in "aeiou" else "a"
    question = _ASKS.draw(rng, exam=exam)
    question = question.replace("a X", f"{article} {hero}").replace("X", hero)
    return type_like_a_person(question, rng, exact=hero), hero_story(hero)
