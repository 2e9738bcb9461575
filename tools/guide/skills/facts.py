"""Small common facts: days, months, capitals, opposites, and a handful of numbers and colours."""

from __future__ import annotations

import random
from pathlib import Path

from guide.phrasing import Wordings, read_wordings, type_like_a_person
from guide.pools import OPPOSITES, OTHER_COUNTRIES

UNKNOWN_CAPITAL = "I do not know that capital. A larger model does: `dmr run smollm2`."

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
LENGTHS = dict(zip(MONTHS, (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))
ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth",
)  # fmt: skip
CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid",
    "Portugal": "Lisbon", "England": "London", "the United Kingdom": "London",
    "Ireland": "Dublin", "Austria": "Vienna", "Switzerland": "Bern", "Poland": "Warsaw",
    "Norway": "Oslo", "Sweden": "Stockholm", "Denmark": "Copenhagen", "Finland": "Helsinki",
    "the Netherlands": "Amsterdam", "Belgium": "Brussels", "Greece": "Athens",
    "Hungary": "Budapest", "Russia": "Moscow", "Ukraine": "Kyiv", "Turkey": "Ankara",
    "Japan": "Tokyo", "China": "Beijing", "India": "New Delhi", "South Korea": "Seoul",
    "Egypt": "Cairo", "Kenya": "Nairobi", "Canada": "Ottawa", "Mexico": "Mexico City",
    "Brazil": "Brasilia", "Argentina": "Buenos Aires", "Chile": "Santiago", "Peru": "Lima",
    "Cuba": "Havana", "Australia": "Canberra", "New Zealand": "Wellington",
    "the United States": "Washington", "the USA": "Washington", "Thailand": "Bangkok",
    "Czechia": "Prague", "Croatia": "Zagreb", "Romania": "Bucharest", "Iceland": "Reykjavik",
    "Iran": "Tehran", "Iraq": "Baghdad", "Israel": "Jerusalem", "Vietnam": "Hanoi",
    "Scotland": "Edinburgh", "Morocco": "Rabat",
}  # fmt: skip
_COMMON = tuple(read_wordings(Path(__file__).parent / "wordings" / "common.txt").items())
"""Answers, and the ways to ask for each."""


_WORDINGS = read_wordings(Path(__file__).parent / "wordings" / "facts.txt")
_AFTER = _WORDINGS["after"]
_BEFORE = _WORDINGS["before"]
_NTH = _WORDINGS["nth month"]
_LENGTH = _WORDINGS["length of a month"]
_CAPITAL = _WORDINGS["capital"]
_COUNTRY = _WORDINGS["country"]
_OPPOSITE = _WORDINGS["opposite"]


def draw(rng: random.Random, *, exam: bool) -> tuple[str, str]:
    """A question and its answer."""
    kind = rng.random()
    if kind < 0.2:
        return _neighbour(rng, exam)
    if kind < 0.3:
        month = rng.randrange(12)
        asked = _NTH.draw(rng, exam=exam).replace("N", ORDINALS[month]).replace("M", str(month + 1))
        return _typed(asked, rng), f"The {ORDINALS[month]} month is {MONTHS[month]}."
    if kind < 0.38:
        name = rng.choice(MONTHS)
        days = f"{LENGTHS[name]} days" + (", in a leap year 29" if name == "February" else "")
        return _about(_LENGTH, name, rng, exam), f"{name} has {days}."
    if kind < 0.54:
        country = rng.choice(tuple(CAPITALS))
        asked = _about(_CAPITAL, country, rng, exam)
        return asked, f"The capital of {country} is {CAPITALS[country]}."
    if kind < 0.58:
        city = rng.choice([c for c in CAPITALS.values() if c not in ("London", "Washington")])
        country = next(name for name, capital in CAPITALS.items() if capital == city)
        return _about(_COUNTRY, city, rng, exam), f"{city} is the capital of {country}."
    if kind < 0.62:
        return _about(_CAPITAL, rng.choice(OTHER_COUNTRIES), rng, exam), UNKNOWN_CAPITAL
    if kind < 0.8:
        return _opposite(rng, exam)
    answer, wordings = rng.choice(_COMMON)
    return _typed(wordings.draw(rng, exam=exam), rng), answer


def _neighbour(rng: random.Random, exam: bool) -> tuple[str, str]:
    names, kind = rng.choice(((DAYS, "day"), (MONTHS, "month")))
    at = rng.randrange(len(names))
    step, word, wordings = rng.choice(((1, "after", _AFTER), (-1, "before", _BEFORE)))
    question = wordings.draw(rng, exam=exam).replace("KIND", kind).replace("X", names[at])
    return _typed(question, rng), f"{names[(at + step) % len(names)]} comes {word} {names[at]}."


def _opposite(rng: random.Random, exam: bool) -> tuple[str, str]:
    known: dict[str, str] = {}
    for pair in OPPOSITES:
        left, right = pair.split("/")
        known.setdefault(left, right)
        known.setdefault(right, left)
    word = rng.choice(tuple(known))
    return _about(_OPPOSITE, word, rng, exam), f"The opposite of {word} is {known[word]}."


def _about(wordings: Wordings, word: str, rng: random.Random, exam: bool) -> str:
    typed = type_like_a_person(wordings.draw(rng, exam=exam).replace("X", "\0"), rng, exact="\0")
    if rng.random() < 0.3:
        word = word.lower()
    return typed.replace("\0", word)


def _typed(text: str, rng: random.Random) -> str:
    return type_like_a_person(text.lower() if rng.random() < 0.3 else text, rng)
