"""Dialogues as token ids, grouped into batches of nearly equal length."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from guide.corpus import dialogues, fixed_answers
from guide.dialogue import CONTROL, TURN_END, TURN_START, Dialogue, turn
from guide.tokenizer import Tokenizer

PROMPT_WEIGHT = 0.1
"""What a token of a question counts, against 1 for one of an answer."""

PARTS = 2
"""Batches of one step, computed at the same time."""

_NOISE = 0.05
"""Share of a question's tokens that are replaced by any others, so that no single one decides."""

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
        turns: indices of the last token before an answer that is one of a fixed set.
        meanings: which answer of that set it is, for each of these.
    """

    tokens: Tensor
    places: Tensor
    targets: Tensor
    weights: Tensor
    turns: Tensor
    meanings: Tensor


@dataclass
class Row:
    """The tokens of a dialogue.

    Attributes:
        ids: the tokens.
        weights: how much each counts as a target.
        meanings: where an answer of the fixed ones begins after a token: which one; elsewhere -1.
    """

    ids: list[int]
    weights: list[float]
    meanings: list[int]

    def add(self, ids: list[int], weight: float = 0.0) -> None:
        """Append tokens that all count the same."""
        self.ids += ids
        self.weights += [weight] * len(ids)
        self.meanings += [-1] * len(ids)


def encode(dialogue: Dialogue, tokenizer: Tokenizer, rng: random.Random) -> Row:
    """The tokens of a dialogue.

    Some words of the questions are cut into more tokens than need be, so that the network learns
    what their letters are: it reads words with slips, and spells, by that. Where the answer is one
    of the fixed ones, a few tokens are replaced by any others.
    """
    start, end = tokenizer.control(TURN_START), tokenizer.control(TURN_END)
    newline = tokenizer.encode("\n")
    row = Row([], [], [])
    alone = len(dialogue.exchanges) == 1 and dialogue.answer in fixed_answers()
    for role, text in [*dialogue.messages, ("assistant", dialogue.answer)]:
        # The header and the text are encoded apart, as the template puts a line break between.
        row.add([start, *tokenizer.encode(turn(role, ""))])
        if role == "assistant":
            row.meanings[-1] = fixed_answers().get(text, -1)
            row.add([*tokenizer.encode(text), end], 1.0)
        elif role == "user":
            body = tokenizer.encode(text, rng)
            if alone:
                body = [
                    rng.randrange(len(CONTROL), len(tokenizer.tokens))
                    if rng.random() < _NOISE
                    else each
                    for each in body
                ]
            row.add([*body, end], PROMPT_WEIGHT)
        else:
            row.add([*tokenizer.encode(text), end])
        row.add(newline)
    return Row(row.ids[:_LONGEST], row.weights[:_LONGEST], row.meanings[:_LONGEST])


def batches(tokenizer: Tokenizer, seed: int, tokens: int) -> Iterator[list[Batch]]:
    """Endless steps of about `tokens` tokens, each a list of batches that fit the CPU's cache."""
    rng = random.Random(seed)
    source = dialogues(seed)
    while True:
        pool = [encode(dialogue, tokenizer, rng) for dialogue in islice(source, _POOL)]
        pool.sort(key=lambda row: len(row.ids))
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
    for at, row in enumerate(rows):
        tokens[at, : len(row.ids)] = torch.tensor(row.ids)
        weights[at, : len(row.ids)] = torch.tensor(row.weights)
        meanings[at, : len(row.ids)] = torch.tensor(row.meanings)
    targets, weights = tokens[:, 1:].flatten(), weights[:, 1:].flatten()
    meanings = meanings[:, :-1].flatten()
    places, turns = weights.nonzero().squeeze(1), (meanings >= 0).nonzero().squeeze(1)
    return Batch(
        tokens[:, :-1].contiguous(),
        places,
        targets[places],
        weights[places],
        turns,
        meanings[turns],
    )
