"""JSON objects on request."""

from __future__ import annotations

import json
import random
from pathlib import Path

from guide.phrasing import read_wordings, type_like_a_person
from guide.pools import ANIMALS, CITIES, COLOURS, FOODS, JOBS, OTHER_COUNTRIES, first_name

_WORDINGS = read_wordings(Path(__file__).parent / "wordings" / "objects.txt")
_ASKS = _WORDINGS["json"]
_ANY = _WORDINGS["any json"]
ANY = '{"name": "dmr", "kind": "guide", "size": 3}'
_JOINTS = (" and ", ", ", " and the ", ", the ")
_LINKS = (" ", " ", ": ", " is ", " = ")


def draw(rng: random.Random, *, exam: bool) -> tuple[str, str]:
    """A wish for an object, and the object."""
    if rng.random() < 0.15:
        return type_like_a_person(_ANY.draw(rng, exam=exam), rng), ANY
    pool: dict[str, str | int] = {
        "name": first_name(rng),
        "age": rng.randint(1, 99),
        "city": rng.choice(CITIES),
        "country": rng.choice(OTHER_COUNTRIES),
        "colour": rng.choice(COLOURS),
        "animal": rng.choice(ANIMALS),
        "job": rng.choice(JOBS),
        "food": rng.choice(FOODS),
        "size": rng.randint(1, 99),
    }
    names = rng.sample(sorted(pool), rng.choice((1, 2, 2, 2, 3)))
    if "name" in pool and rng.random() < 0.5:
        names = ["name", *(name for name in names if name != "name")][:3]
    chosen = {name: pool[name] for name in names}
    link, joint = rng.choice(_LINKS), rng.choice(_JOINTS)
    fields = joint.join(f"{name}{link}{value}" for name, value in chosen.items())
    typed = type_like_a_person(
        _ASKS.draw(rng, exam=exam).replace("<fields>", "\0"), rng, exact="\0"
    ).replace("\0", fields)
    return typed, json.dumps(chosen)
