"""Words that dialogues are filled with: names, animals, places, and words that are none."""

from __future__ import annotations

import random
from pathlib import Path

from guide.phrasing import read_sections

_POOLS = {
    title: tuple(" ".join(lines).split())
    for title, lines in read_sections(Path(__file__).with_name("pools.txt").read_text())
}

MODEL_NAMES = _POOLS["model_names"]
FIRST_NAMES = _POOLS["first_names"]
COLOURS = _POOLS["colours"]
ANIMALS = _POOLS["animals"]
PETS = _POOLS["pets"]
CITIES = _POOLS["cities"]
FOODS = _POOLS["foods"]
JOBS = _POOLS["jobs"]
HOBBIES = _POOLS["hobbies"]
WORDS = _POOLS["words"]

OTHER_COUNTRIES = _POOLS["other_countries"]
OPPOSITES = _POOLS["opposites"]
_ONSETS, _NUCLEI, _CODAS = _POOLS["onsets"], _POOLS["nuclei"], _POOLS["codas"]


def made_up_word(rng: random.Random, syllables: int = 2) -> str:
    """A word that does not exist, for copying and for questions nobody can answer."""
    parts = []
    for _ in range(syllables):
        parts += [rng.choice(_ONSETS), rng.choice(_NUCLEI)]
    if rng.random() < 0.6:
        parts.append(rng.choice(_CODAS))
    return "".join(parts)


def model_name(rng: random.Random) -> str:
    """The name of a model that may or may not exist."""
    base = rng.choice(MODEL_NAMES[:26]) if rng.random() < 0.4 else made_up_word(rng)
    if rng.random() < 0.4:
        base += rng.choice(("1", "2", "3", "4", "-2", "-mini", "-large", "3.1", "2.5", "-coder"))
    if rng.random() < 0.25:
        base = f"{rng.choice(('ai', 'myorg', 'me', made_up_word(rng, 1)))}/{base}"
    if rng.random() < 0.25:
        quant = rng.choice(("Q4_K_M", "Q8_0", "Q4_0", "Q5_K_M", "F16"))
        base += rng.choice(
            (":latest", ":v1", ":7B", f":{rng.choice('134789')}B-{quant}", f":{quant}")
        )
    return base


def first_name(rng: random.Random) -> str:
    """A person's name, sometimes an unheard one."""
    if rng.random() < 0.3:
        return made_up_word(rng, rng.choice((1, 2))).capitalize()
    return rng.choice(FIRST_NAMES)
