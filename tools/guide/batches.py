"""Dialogues as token ids, grouped into batches of nearly equal length."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from guide.corpus import fixed_answers
from guide.dialogue import CONTROL, TURN_END, TURN_START, Dialogue, turn
from guide.tokenizer import Tokenizer

PROMPT_WEIGHT = 0.5
"""What a token of a question counts that is learned, against 1 for one of an answer."""
_PROMPT_SHARE = 0.2
"""Share of these: to know the next of them says little, and asking for each costs a fifth more."""

PARTS = 2
"""Batches of one step, computed at the same time."""

_NOISE = 0.05
"""Share of a question's tokens that are replaced by any others, so that no single one decides."""

_CUT_ANSWERS = 0.7
_OPENING = 8
"""Share of the fixed answers that end a dialogue of which only so many tokens are learned.

How they go on is soon known; what is hard is which one begins, and that costs no time this way."""

_MARKED = 0.3
"""Share of the dialogues that hold the tokens of all their answers, and not of the last one alone:
each answer is learned as the last one is, but what is asked later never has them before it."""

_GUESS = 0.15
"""What naming the answer counts at the last token of its question, against 1 at the answer's begin;
less at earlier ones. From the first word on, the network collects what points to an answer."""

_POOL = 6000
_LONGEST = 2048


@dataclass(frozen=True)
class Batch:
    """Some dialogues, rows by positions.

    Attributes:
        tokens: ids; rows are filled up with zeros.
        places: indices of what is learned from, rows laid one after the other.
        targets: for each place the id of the token after it.
        weights: how much each target counts.
        turns: indices of the tokens of questions whose answer is one of a fixed set, and of the
            last token before it.
        meanings: which answer of that set it is, for each of these.
        shares: how much each of these counts.
    """

    tokens: Tensor
    places: Tensor
    targets: Tensor
    weights: Tensor
    turns: Tensor
    meanings: Tensor
    shares: Tensor


@dataclass
class Row:
    """The tokens of a dialogue.

    Attributes:
        ids: the tokens.
        weights: how much each counts as a target.
        meanings: which of the fixed answers a token leads to, or -1.
        shares: how much each of these counts.
    """

    ids: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    meanings: list[int] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

    def add(self, ids: list[int], weight: float = 0.0) -> None:
        """Append tokens that all count the same."""
        self.ids += ids
        self.weights += [weight] * len(ids)
        self.meanings += [-1] * len(ids)
        self.shares += [0.0] * len(ids)

    def mean(self, meaning: int, question: range) -> None:
        """Say which fixed answer comes next, to the last token and to those of its question."""
        for count, at in enumerate(question, 1):
            self.meanings[at], self.shares[at] = meaning, _GUESS * count / len(question)
        self.meanings[-1], self.shares[-1] = meaning, 1.0

    def first(self, length: int) -> Row:
        """So many tokens from the beginning."""
        return Row(
            self.ids[:length], self.weights[:length], self.meanings[:length], self.shares[:length]
        )


def encode_question(
    question: str, answer: int, tokenizer: Tokenizer, rng: random.Random, *, bare: bool = False
) -> Row:
    """The tokens of a question, of which only that is learned which of the fixed answers it wants.

    Some of its words are cut into more tokens than need be, see `encode`.

    Args:
        question: what is asked.
        answer: the number of its answer.
        tokenizer: cuts it into tokens.
        rng: source of chance.
        bare: without the headers of the turns, which are half of its tokens.
    """
    start, end = tokenizer.control(TURN_START), tokenizer.control(TURN_END)
    row = Row()
    if not bare:
        row.add([start, *tokenizer.encode(turn("user", ""))])
    began = len(row.ids)
    row.add([*tokenizer.encode(question, rng), end])
    asked = range(began, len(row.ids))
    if not bare:
        row.add([*tokenizer.encode("\n"), start, *tokenizer.encode(turn("assistant", ""))])
    row.mean(answer, asked)
    row.add([tokenizer.answer(answer)], 1.0)
    return row


def encode(dialogue: Dialogue, tokenizer: Tokenizer, rng: random.Random) -> Row:
    """The tokens of a dialogue.

    Some words of the questions are cut into more tokens than need be, so that the network learns
    what their letters are: it reads words with slips, and spells, by that. Where the answer is one
    of the fixed ones, the token that stands for it comes first; a few tokens of the question are
    replaced by any others, and the answer's end is mostly left out.
    """
    marked = rng.random() < _MARKED
    start, end = tokenizer.control(TURN_START), tokenizer.control(TURN_END)
    newline = tokenizer.encode("\n")
    row, question = Row(), range(0)
    alone = len(dialogue.exchanges) == 1 and dialogue.answer in fixed_answers()
    said = [*dialogue.messages, ("assistant", dialogue.answer)]
    for number, (role, text) in enumerate(said, 1):
        # The header and the text are encoded apart, as the template puts a line break between.
        row.add([start, *tokenizer.encode(turn(role, ""))])
        if role == "assistant":
            body = [*tokenizer.encode(text), end]
            meaning, last = fixed_answers().get(text, -1), number == len(said)
            if meaning >= 0:
                row.mean(meaning, question)
                if marked or last:
                    row.add([tokenizer.answer(meaning)], 1.0)
                else:
                    row.add([body.pop(0)])  # it is not what comes first where nothing is told
            if meaning >= 0 and last and rng.random() < _CUT_ANSWERS:
                row.add(body[:_OPENING], 1.0)
                break
            row.add(body, 1.0)
        elif role == "user":
            body = tokenizer.encode(text, rng)
            if alone:
                body = [
                    rng.randrange(len(CONTROL), len(tokenizer.tokens))
                    if rng.random() < _NOISE
                    else each
                    for each in body
                ]
            question = range(len(row.ids), len(row.ids) + len(body) + 1)
            for each in (*body, end):
                learned = rng.random() < _PROMPT_SHARE
                row.add([each], PROMPT_WEIGHT if learned else 0.0)
        else:
            row.add([*tokenizer.encode(text), end])
        row.add(newline)
    return row.first(_LONGEST)


def batches(rows: Iterator[Row], rng: random.Random, tokens: int) -> Iterator[list[Batch]]:
    """Endless steps of about `tokens` tokens, each a list of batches that fit the CPU's cache.

    Args:
        rows: endless ones.
        rng: source of chance.
        tokens: in all batches of a step.
    """
    while True:
        pool = sorted(islice(rows, _POOL), key=lambda row: len(row.ids))
        small = list(_groups(pool, tokens // PARTS))
        # Batches of one step are neighbours: of like length, they take the same time.
        steps = [small[at : at + PARTS] for at in range(0, len(small) - PARTS + 1, PARTS)]
        rng.shuffle(steps)
        for step in steps:
            yield [_batch(rows) for rows in step]


def _groups(pool: Iterable[Row], tokens: int) -> Iterator[list[Row]]:
    rows: list[Row] = []
    for row in pool:
        if rows and len(row.ids) * (len(rows) + 1) > tokens:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _batch(rows: list[Row]) -> Batch:
    length = max(len(row.ids) for row in rows)
    tokens = torch.zeros(len(rows), length, dtype=torch.long)
    weights = torch.zeros(len(rows), length)
    meanings = torch.full((len(rows), length), -1)
    shares = torch.zeros(len(rows), length)
    for at, row in enumerate(rows):
        tokens[at, : len(row.ids)] = torch.tensor(row.ids)
        weights[at, : len(row.ids)] = torch.tensor(row.weights)
        meanings[at, : len(row.ids)] = torch.tensor(row.meanings)
        shares[at, : len(row.ids)] = torch.tensor(row.shares)
    targets, weights = tokens[:, 1:].flatten(), weights[:, 1:].flatten()
    meanings, shares = meanings[:, :-1].flatten(), shares[:, :-1].flatten()
    places, turns = weights.nonzero().squeeze(1), (meanings >= 0).nonzero().squeeze(1)
    return Batch(
        tokens[:, :-1].contiguous(),
        places,
        targets[places],
        weights[places],
        turns,
        meanings[turns],
        shares[turns],
    )
