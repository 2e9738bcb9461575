"""Wordings: patterns that stand for many sentences, and the noise of people who type.

A pattern is text with `{a|b}` (one of them) and `[a|b]` (one of them or nothing); groups may be
nested. A pattern is also the unit that is held out for the examination: nothing is learned from a
held-out pattern, and of its sentences those are asked that no learned one stands for. Patterns
behind `* ` are never held out: they came later, and leave the examination as it was.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path

_GROUP = re.compile(r"\{([^{}\[\]]*)\}|\[([^{}\[\]]*)\]")
_HELD_OUT_SHARE = 0.07
_FEWEST_TO_SPLIT = 4
_OFTEN = 3.0
"""A pattern with many choices is learned from so many times as often as one with none, at most."""
_SENTENCES = 20
"""How many sentences of a held-out pattern are looked at: is one of them not learned?"""
_NEIGHBOURS = {
    letter: near
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for at, letter in enumerate(row)
    for near in [row[max(0, at - 1) : at] + row[at + 1 : at + 2]]
}
_BEFORE = (
    "please ", "hi, ", "hello, ", "hey, ", "hey guide, ", "ok, ", "so ", "and ", "well, ",
    "quick question: ", "excuse me, ", "sorry, ", "um, ", "good morning, ", "now ", "tell me, ",
    "question: ", "hi there, ", "i wonder, ", "one more thing: ", "thanks, ", "also, ", "but ",
)  # fmt: skip
_AFTER = (" please", " thanks", ", please", ", thanks", " thank you", " now", ", ok", " then")


class Wordings:
    """Patterns of one meaning, split into those to learn from and those to examine with."""

    def __init__(self, key: str, patterns: Iterable[str]) -> None:
        """Split the patterns; `key` makes the split of each list its own.

        On which side a pattern falls does not depend on the others, so that one more moves none;
        one behind `* ` is learned from in any case.
        """

        def place(pattern: str) -> float:
            digest = hashlib.sha256(f"{key}\0{pattern}".encode()).digest()
            return int.from_bytes(digest[:4], "big") / 2**32

        known = dict.fromkeys(patterns)
        more = [pattern[2:] for pattern in known if pattern.startswith("* ")]
        ranked = sorted((pattern for pattern in known if not pattern.startswith("* ")), key=place)
        few = len(ranked) < _FEWEST_TO_SPLIT
        held = 0 if few else max(1, sum(place(pattern) < _HELD_OUT_SHARE for pattern in ranked))
        self.held_out: Sequence[str] = ranked[:held]
        self.learned: Sequence[str] = [*ranked[held:], *more]

    def draw(self, rng: random.Random, *, exam: bool) -> str:
        """A sentence of one pattern; lists too short to split serve both.

        What stands for many sentences is learned from more often, that each of them comes up.
        """
        if exam and self.examined:
            sentence = expand(rng.choice(self.examined), rng)
            while self.teaches(sentence):
                sentence = expand(rng.choice(self.examined), rng)
            return sentence
        return expand(rng.choices(self.learned, cum_weights=self._weights)[0], rng)

    @cached_property
    def _weights(self) -> Sequence[float]:
        """How often each learned pattern is drawn, all before it included."""
        choices = (pattern.count("|") + pattern.count("[") for pattern in self.learned)
        return list(accumulate(min((1 + count) ** 0.5, _OFTEN) for count in choices))

    def teaches(self, sentence: str) -> bool:
        """Whether a sentence is one of those that learned patterns stand for."""
        letters = _letters(sentence)
        return letters in self._single or self._many.fullmatch(letters) is not None

    @cached_property
    def examined(self) -> Sequence[str]:
        """The held-out patterns that stand for sentences which no learned one stands for."""
        rng = random.Random(0)
        return [
            pattern
            for pattern in self.held_out
            if not all(self.teaches(expand(pattern, rng)) for _ in range(_SENTENCES))
        ]

    @cached_property
    def _single(self) -> frozenset[str]:
        """The learned patterns that stand for one sentence each."""
        return frozenset(_letters(each) for each in self.learned if not _GROUP.search(each))

    @cached_property
    def _many(self) -> re.Pattern[str]:
        """Matches the sentences of the other ones."""
        choices = [_expression(each) for each in self.learned if _GROUP.search(each)]
        return re.compile("|".join(choices) or "(?!)")


def _letters(text: str) -> str:
    """What is compared of a text: a choice of nothing leaves spaces behind."""
    return text.replace(" ", "").lower()


def _expression(pattern: str) -> str:
    """A regular expression for all sentences of a pattern."""
    signs = {"{": "(?:", "}": ")", "[": "(?:", "]": ")?", "|": "|"}
    parts = re.findall(r"[{}\[\]|]|[^{}\[\]|]+", _letters(pattern))
    return "".join(signs.get(part) or re.escape(part) for part in parts)


def expand(pattern: str, rng: random.Random) -> str:
    """One of the sentences that a pattern stands for."""

    def choose(match: re.Match[str]) -> str:
        if match[1] is not None:
            return rng.choice(match[1].split("|"))
        return rng.choice(match[2].split("|")) if rng.random() < 0.5 else ""

    count = 1
    while count:
        pattern, count = _GROUP.subn(choose, pattern)
    return re.sub(r" {2,}", " ", pattern).strip()


def is_question(text: str) -> bool:
    """Whether a sentence would end in a question mark."""
    return text.split(" ", 1)[0] in _QUESTION_WORDS


_QUESTION_WORDS = {
    "what", "which", "how", "where", "who", "why", "when", "is", "are", "can", "does", "do",
    "will", "could", "would", "may", "should", "did", "must", "was", "were", "has", "have",
    "what's", "how's", "whats", "in", "on", "at", "from", "with", "under",
}  # fmt: skip


def type_like_a_person(
    text: str,
    rng: random.Random,
    *,
    exact: str = "",
    courtesy: bool = True,
    shouted: float = 0.03,
) -> str:
    """A sentence as somebody types it: with courtesy, capitals, and now and then a slip.

    Args:
        text: the sentence, without a mark at its end.
        rng: source of chance.
        exact: words that must stay as they are, such as a name to be remembered.
        courtesy: whether polite words may come before and after.
        shouted: share of those without a capital at the beginning that are all capitals.
    """
    question = is_question(text)
    if courtesy and rng.random() < 0.10:
        text = rng.choice(_BEFORE) + text
    if courtesy and rng.random() < 0.06:
        text += rng.choice(_AFTER)
    if rng.random() < 0.12:
        text = _slip(text, rng, exact)
    if rng.random() < _NAMES_WRITTEN_OUT:
        text = write_names(text, exact)
    if rng.random() < 0.55:
        text = text[:1].upper() + text[1:]
        text = re.sub(r"\bi\b", "I", text)
    elif rng.random() < shouted and not exact:
        text = text.upper()
    mark = rng.random()
    if question and mark < 0.62:
        text += "?"
    elif question and mark < 0.64:
        text += rng.choice(("??", " ?", "?!"))
    elif not question and mark < 0.25 and text[-1:].isalnum():
        text += rng.choice((".", ".", "!"))
    return text


def write_names(text: str, exact: str = "") -> str:
    """A sentence with names and acronyms as they are written: GPU, Docker Hub.

    Args:
        text: the sentence, in lower case.
        exact: words that must stay as they are.
    """
    keep = set(exact.split(" "))

    def written(match: re.Match[str]) -> str:
        name: str = match[0]
        return name if name in keep else _NAMES[name]

    return _NAME.sub(written, text)


_NAMES_WRITTEN_OUT = 0.5
_NAMES: dict[str, str] = {
    name.lower(): name for name in Path(__file__).with_name("names.txt").read_text().splitlines()
}
_NAME = re.compile(
    r"(?<![\w./`-])(?:"
    + "|".join(sorted(map(re.escape, _NAMES), key=len, reverse=True))
    + r")(?![\w`]|[./:-]\w)"
)


def say_otherwise(text: str, rng: random.Random, *, exact: str = "") -> str:
    """Another way to say a sentence: words of like meaning, a telegram's style, a word left out.

    It keeps the network from leaning on any one word.

    Args:
        text: the sentence, in lower case.
        rng: source of chance.
        exact: words that must stay as they are.
    """
    keep = set(exact.split(" "))
    words = text.split(" ")
    if rng.random() < _OTHER_WORDS:
        words = [
            rng.choice(_SYNONYMS[word])
            if word in _SYNONYMS
            and word not in keep
            and words[at - 1 : at] != ["dmr"]
            and rng.random() < 0.4
            else word
            for at, word in enumerate(words)
        ]
    if rng.random() < _TELEGRAM:
        short = [word for word in words if word not in _SMALL_WORDS or rng.random() < 0.4]
        words = short or words
    if len(words) > 3 and rng.random() < _LOST_WORD:
        lost = rng.randrange(len(words))
        if words[lost] not in keep:
            del words[lost]
    return " ".join(words)


_OTHER_WORDS = 0.4
_TELEGRAM = 0.12
_LOST_WORD = 0.12
_SMALL_WORDS = {
    "the", "a", "an", "my", "some", "this", "that", "to", "of", "is", "are", "do", "does", "i",
    "please", "can", "me", "it", "for", "with", "on", "in", "you", "from",
}  # fmt: skip


def _read_synonyms() -> dict[str, tuple[str, ...]]:
    """For each word all others of its lines in `synonyms.txt`."""
    found: dict[str, dict[str, None]] = {}
    for line in Path(__file__).with_name("synonyms.txt").read_text().splitlines():
        words = line.split()
        for word in words:
            found.setdefault(word, {}).update(dict.fromkeys(words))
    return {word: tuple(other for other in like if other != word) for word, like in found.items()}


_SYNONYMS = _read_synonyms()


def _slip(text: str, rng: random.Random, exact: str) -> str:
    """One or two wrong letters in words that may have them."""
    words = text.split(" ")
    keep = set(exact.lower().split(" "))
    may = [
        at
        for at, word in enumerate(words)
        if len(word) > 3 and word.isalpha() and word.lower() not in keep
    ]
    for at in rng.sample(may, min(len(may), rng.choice((1, 1, 1, 2)))):
        word = words[at]
        where = rng.randrange(1, len(word) - 1)
        kind = rng.randrange(4)
        if kind == 0:
            word = word[:where] + word[where + 1] + word[where] + word[where + 2 :]
        elif kind == 1:
            word = word[:where] + word[where + 1 :]
        elif kind == 2:
            word = word[:where] + word[where] + word[where:]
        else:
            near = _NEIGHBOURS.get(word[where].lower(), "e")
            word = word[:where] + rng.choice(near) + word[where + 1 :]
        words[at] = word
    return " ".join(words)


def read_wordings(file: Path) -> dict[str, Wordings]:
    """All wordings of a text file: patterns, one a line, below `## key`."""
    return {key: Wordings(key, lines) for key, lines in read_sections(file.read_text())}


def read_sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """The titles in a text, each a line `## title`, and the lines below them that are not empty."""
    for block in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, *lines = block.splitlines()
        yield title, [line for line in lines if line]


HOW_TO = Wordings(
    "how to",
    (
        "how do i <act>", "how can i <act>", "how to <act>", "how would i <act>",
        "how should i <act>", "how do you <act>", "how does one <act>", "how could i <act>",
        "what is the command to <act>", "which command do i use to <act>",
        "what command do i need to <act>", "what do i {type|enter|write} to <act>",
        "what do i have to do to <act>", "what must i do to <act>", "what should i do to <act>",
        "i want to <act>", "i need to <act>", "i'd like to <act>", "i would like to <act>",
        "i am trying to <act>", "i have to <act>", "i wish to <act>", "i try to <act>",
        "can you tell me how to <act>", "tell me how to <act>", "explain how to <act>",
        "show me how to <act>", "explain to me how i <act>", "teach me how to <act>",
        "do you know how to <act>", "could you show me how to <act>",
        "is there a way to <act>", "is there a command to <act>", "is it possible to <act>",
        "can i <act>", "can dmr <act>", "may i <act>", "does dmr let me <act>",
        "help me <act>", "help me to <act>", "<act>", "<act>", "please <act>", "let me <act>",
        "best way to <act>", "the command to <act>", "command to <act>", "way to <act>",
        "i don't know how to <act>", "i can't find out how to <act>", "i forgot how to <act>",
        "what's the way to <act>", "what is the {best|right|easiest|quickest} way to <act>",
        "steps to <act>", "how is it possible to <act>", "can you help me <act>",
        "could you tell me how i can <act>", "where do i <act>", "we want to <act>",
        "how do we <act>", "my question is how to <act>", "what if i want to <act>",
    ),
)  # fmt: skip
"""What people put around "pull a model" when they want to know how to."""
