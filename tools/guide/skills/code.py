"""Five small Python functions, and what to say to wishes for others."""

from __future__ import annotations

import random
from pathlib import Path

from guide.phrasing import read_wordings, type_like_a_person

CANNOT = (
    "I only know five small Python functions: even numbers, factorial, Fibonacci, primes and "
    "reversing a text. For more: `dmr run smollm2`."
)

FUNCTIONS = {
    "even": """\
def even_numbers(numbers):
    return [n for n in numbers if n % 2 == 0]""",
    "factorial": """\
def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)""",
    "fibonacci": """\
def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a""",
    "prime": """\
def is_prime(n):
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))""",
    "reverse": """\
def reverse(text):
    return text[::-1]""",
}
_WORDINGS = read_wordings(Path(__file__).parent / "wordings" / "code.txt")
_OTHERS = _WORDINGS["other functions"]
_FRAMES = _WORDINGS["python"]
_OTHER_LANGUAGE = _WORDINGS["other languages"]
_ACTS = {name: _WORDINGS[f"python {name}"] for name in FUNCTIONS}


def answer(name: str) -> str:
    """The answer that shows a function."""
    return f"```python\n{FUNCTIONS[name]}\n```"


def draw(rng: random.Random, *, exam: bool) -> tuple[str, str]:
    """A wish for one of the functions."""
    name = rng.choice(tuple(FUNCTIONS))
    act = _ACTS[name].draw(rng, exam=exam)
    return _framed(act, rng, exam), answer(name)


def draw_other(rng: random.Random, *, exam: bool) -> tuple[str, str]:
    """A wish for code that the guide does not know."""
    act = _OTHERS.draw(rng, exam=exam)
    if rng.random() < 0.35:
        question = _OTHER_LANGUAGE.draw(rng, exam=exam).replace("<act>", act)
        return type_like_a_person(question, rng), CANNOT
    return _framed(act, rng, exam), CANNOT


def _framed(act: str, rng: random.Random, exam: bool) -> str:
    frame = _FRAMES.draw(rng, exam=exam and rng.random() < 0.5)
    return type_like_a_person(frame.replace("<act>", act), rng)
