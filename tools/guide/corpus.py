"""The dialogues: what the model learns from, and what it is examined on.

Everything is drawn from seeded chance, so the same program gives the same dialogues. Sentences of
held-out patterns (see `guide.phrasing`) and a twelfth of all sums occur in examinations only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from guide.dialogue import Dialogue, Exchange
from guide.intents import intents, with_value
from guide.phrasing import read_sections
from guide.skills import beyond, code, facts, memory, objects, stories, sums, words

PARTS = {
    "intents": "dmr questions, unseen wordings",
    "others": "questions by another writer",
    "beyond": "outside its field: the honest fallback",
    "memory": "memory over 3 to 6 turns",
    "tasks": "copying, sums, facts",
    "rest": "stories, Python, JSON",
}
"""The rows of the evaluation's table."""

_MIX: tuple[tuple[float, Callable[..., tuple[str, str]]], ...] = (
    (0.17, words.draw),
    (0.015, words.draw_other),
    (0.08, sums.draw),
    (0.015, sums.draw_other),
    (0.08, facts.draw),
    (0.015, stories.draw),
    (0.02, code.draw),
    (0.01, code.draw_other),
    (0.02, objects.draw),
    (0.20, beyond.draw),
)
_SYSTEM = (
    "You are a helpful assistant.",
    "You are a helpful AI assistant. Answer briefly.",
    "You are a friendly assistant.",
    "Answer in one line.",
    "You are a patient teacher.",
    "Be concise.",
    "You help people with dmr.",
    "You are an expert. Think step by step.",
)
_LONG_TURNS = (12, 40)
_KNOWN = 0.75
"""Share of the single questions that are about `dmr`."""


def single(rng: random.Random, *, exam: bool = False) -> tuple[str, str]:
    """A question that needs nothing before it, and its answer."""
    at = rng.random()
    for share, draw in _MIX:
        at -= share
        if at < 0:
            return draw(rng, exam=exam)
    return rng.choice(intents()).draw(rng, exam=exam)


def questions(seed: int) -> Iterator[tuple[str, int]]:
    """Endless questions, in the words that they are written in, with the number of their answer."""
    rng = random.Random(seed)
    known = [intent for intent in intents() if intent.answer in fixed_answers()]
    while True:
        if rng.random() < _KNOWN:
            question, answer = rng.choice(known).draw(rng, exam=False, plain=True)
        else:
            question, answer = beyond.draw(rng, exam=False)
        yield question, fixed_answers()[answer]


def dialogues(seed: int) -> Iterator[Dialogue]:
    """Endless dialogues to learn from."""
    rng = random.Random(seed)
    while True:
        kind = rng.random()
        if kind < 0.53:
            said = [Exchange(*single(rng))]
        elif kind < 0.69:
            said = [Exchange(*single(rng)) for _ in range(rng.randint(2, 5))]
        elif kind < 0.995:
            said = memory.draw(rng, single, exam=False, turns=rng.choice((2, 2, 3, 3, 4, 4, 5, 6)))
        else:
            said = memory.draw(rng, single, exam=False, turns=rng.randint(*_LONG_TURNS))
        system = rng.choice(_SYSTEM) if rng.random() < 0.06 else ""
        yield Dialogue("", tuple(said), system)


@cache
def fixed_answers() -> dict[str, int]:
    """The answers that hold nothing of the question, each with its number."""
    answers = [intent.answer for intent in intents() if "<" not in intent.answer]
    return {
        answer: number for number, answer in enumerate(dict.fromkeys([beyond.ANSWER, *answers]))
    }


def by_another_writer() -> Iterator[Dialogue]:
    """Questions of `exam.txt`, whose writer knew the answers but none of the patterns.

    What no pattern of ours foresees is in them, so they tell best how people will fare.
    """
    known = {intent.name: intent.answer for intent in intents()}
    for name, lines in read_sections(Path(__file__).with_name("exam.txt").read_text()):
        answer = beyond.ANSWER if name == "beyond" else known[name]
        for line in lines:
            question, _, value = line.partition(" => ")
            yield Dialogue("others", (Exchange(question, with_value(answer, value)),))


def exam(seed: int, count: int) -> list[Dialogue]:
    """Dialogues with wordings that are never learned, `count` for each row but the last."""
    rng = random.Random(seed)
    questions: list[Dialogue] = []
    known = [intent for intent in intents() if intent.asks.examined or intent.acts.examined]
    rng.shuffle(known)
    for number in range(count):
        question = known[number % len(known)].draw(rng, exam=True)
        questions.append(Dialogue("intents", (Exchange(*question),)))
    for _ in range(count):
        questions.append(Dialogue("beyond", (Exchange(*beyond.draw(rng, exam=True)),)))
    for _ in range(count):
        said = memory.draw(rng, single, exam=True, turns=rng.randint(3, 6))
        questions.append(Dialogue("memory", tuple(said)))
    for number in range(count):
        draw = (words.draw, sums.draw, facts.draw)[number % 3]
        questions.append(Dialogue("tasks", (Exchange(*draw(rng, exam=True)),)))
    for number in range(count // 4):
        draw = (stories.draw, code.draw, objects.draw)[number % 3]
        questions.append(Dialogue("rest", (Exchange(*draw(rng, exam=True)),)))
    questions += by_another_writer()
    return questions
