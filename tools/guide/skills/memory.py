"""Remembering what was said earlier in the conversation."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from guide.dialogue import Exchange
from guide.phrasing import Wordings, read_wordings, type_like_a_person
from guide.pools import (
    ANIMALS,
    CITIES,
    COLOURS,
    FOODS,
    HOBBIES,
    JOBS,
    PETS,
    first_name,
    made_up_word,
)

Filler = Callable[[random.Random], tuple[str, str]]


@dataclass(frozen=True)
class Topic:
    """Something about a person that can be told and asked for.

    Attributes:
        tells: how it is told, `X` being the value.
        noted: the answer to that.
        asks: how it is asked for.
        recalled: the answer, when it was told.
        unknown: the answer, when it was not.
        pool: the values.
        strange: a value may also be a word that does not exist.
    """

    tells: Wordings
    noted: str
    asks: Wordings
    recalled: str
    unknown: str
    pool: tuple[str, ...]
    strange: bool = True

    def value(self, rng: random.Random) -> str:
        """Something to remember."""
        if not self.pool:
            return first_name(rng)
        if self.strange and rng.random() < 0.15:
            return made_up_word(rng)
        return rng.choice(self.pool)


_WORDINGS = read_wordings(Path(__file__).parent / "wordings" / "memory.txt")


def _topic(name: str, what: str, pool: tuple[str, ...], *, strange: bool = True) -> Topic:
    return Topic(
        tells=_WORDINGS[f"tell {name}"],
        noted=f"Noted: your {what} X." if pool else "Nice to meet you, X!",
        asks=_WORDINGS[f"ask {name}"],
        recalled=f"Your {what} X.",
        unknown=f"You have not told me yet what your {what.partition(' is')[0]} is.",
        pool=pool,
        strange=strange,
    )


_NAME = _topic("name", "name is", ())
TOPICS = (
    _NAME,
    _topic("colour", "favourite colour is", COLOURS),
    _topic("pet", "pet is a", PETS, strange=False),
    _topic("city", "city is", CITIES),
    _topic("food", "favourite food is", FOODS, strange=False),
    _topic("job", "job is", JOBS, strange=False),
    _topic("hobby", "hobby is", HOBBIES, strange=False),
    _topic("number", "number is", tuple(str(n) for n in range(1, 100)), strange=False),
    _topic("animal", "favourite animal is the", ANIMALS),
)
_LAST_QUESTION = _WORDINGS["last question"]
NOTHING_ASKED = "You have not asked me anything before this."
_LONGEST_QUESTION = 60
_LAST_QUESTIONS = 0.3
"""Share of the conversations to learn from that end so: to copy to the letter is hardest."""
_ASKED_OF_TOLD = 0.75
"""Share of the questions for something that was told before, where something was."""


def draw(rng: random.Random, filler: Filler, *, exam: bool, turns: int) -> list[Exchange]:
    """A conversation of at most `turns` exchanges in which something is told and asked for later.

    Args:
        rng: source of chance.
        filler: makes exchanges about other things.
        exam: end with a question whose wording is not learned.
        turns: number of exchanges; at least 2.
    """
    if rng.random() < (0.22 if exam else _LAST_QUESTIONS):
        return _last_question(rng, filler, exam, turns)
    known: dict[Topic, str] = {}
    said: list[Exchange] = []
    while len(said) < turns - 1:
        kind = rng.random()
        if kind < 0.5 or (len(said) == turns - 2 and not known and rng.random() < 0.85):
            said.append(_tell(rng.choice(TOPICS), rng, exam, known))
        elif kind < 0.6 and known and not exam:
            said.append(_ask(rng.choice(tuple(known)), rng, exam, known))
        else:
            said.append(Exchange(*filler(rng)))
    of_told = 0.9 if exam else _ASKED_OF_TOLD
    topic = rng.choice(tuple(known) if known and rng.random() < of_told else TOPICS)
    said.append(_ask(topic, rng, exam, known))
    return said


def _tell(topic: Topic, rng: random.Random, exam: bool, known: dict[Topic, str]) -> Exchange:
    value = topic.value(rng)
    article = "an" if value[0].lower() in "aeiou" else "a"
    pattern = topic.tells.draw(rng, exam=exam).replace("a X", f"{article} X")
    typed = type_like_a_person(pattern.replace("X", "\0"), rng, exact="\0").rstrip("!?")
    typed_value = value.lower() if rng.random() < 0.15 else value
    # Names are written as names are; all else as it was typed.
    known[topic] = typed_value.capitalize() if topic is _NAME else typed_value
    return Exchange(typed.replace("\0", typed_value), _with_value(topic.noted, known[topic]))


def _ask(topic: Topic, rng: random.Random, exam: bool, known: dict[Topic, str]) -> Exchange:
    question = type_like_a_person(topic.asks.draw(rng, exam=exam), rng)
    if topic not in known:
        return Exchange(question, topic.unknown)
    return Exchange(question, _with_value(topic.recalled, known[topic]))


def _with_value(text: str, value: str) -> str:
    if text.endswith(" a X.") and value[0].lower() in "aeiou":
        text = text.replace(" a X.", " an X.")
    return text.replace("X", value)


def _last_question(rng: random.Random, filler: Filler, exam: bool, turns: int) -> list[Exchange]:
    said = [Exchange(*filler(rng)) for _ in range(turns - 1)]
    while said and len(said[-1].question) > _LONGEST_QUESTION:
        said[-1] = Exchange(*filler(rng))
    if not exam and rng.random() < 0.08:
        said = []
    answer = f'You asked: "{said[-1].question}"' if said else NOTHING_ASKED
    question = type_like_a_person(_LAST_QUESTION.draw(rng, exam=exam), rng)
    return [*said, Exchange(question, answer)]
