"""Dialogues as token ids, grouped into batches of nearly equal length."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from guide.corpus import dialogues
from guide.dialogue import TURN_END, TURN_START, Dialogue, turn
from guide.tokenizer import Tokenizer

PROMPT_WEIGHT = 0.1
"""What a token of a question counts, against 1 for one of an answer."""

PARTS = 2
"""Batches of one step, computed at the same time."""

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
    """

    tokens: Tensor
    places: Tensor
    targets: Tensor
    weights: Tensor


def encode(
    dialogue: Dialogue, tokenizer: Tokenizer, rng: random.Random
) -> tuple[list[int], list[float]]:
    """The tokens of a dialogue and the weight of each as a target.

    Some words of the questions are cut into more tokens than need be, so that the network learns
    what their letters are: it reads words with slips, and spells, by that.
    """
    start, end = tokenizer.control(TURN_START), tokenizer.control(TURN_END)
    newline = tokenizer.encode("\n")
    ids: list[int] = []
    weights: list[float] = []
    for role, text in [*dialogue.messages, ("assistant", dialogue.answer)]:
        # The header and the text are encoded apart, as the template puts a line break between.
        head = [start, *tokenizer.encode(turn(role, ""))]
        cut = rng if role == "user" else None
        body = [*tokenizer.encode(text, cut), end]
        ids += head + body + newline
        if role == "assistant":
            weights += [0.0] * len(head) + [1.0] * len(body) + [0.0] * len(newline)
        else:
            known = PROMPT_WEIGHT if role == "user" else 0.0
            weights += [0.0] * len(head) + [known] * len(body) + [0.0] * len(newline)
    return ids[:_LONGEST], weights[:_LONGEST]


def batches(tokenizer: Tokenizer, seed: int, tokens: int) -> Iterator[list[Batch]]:
    """Endless steps of about `tokens` tokens, each a list of batches that fit the CPU's cache."""
    rng = random.Random(seed)
    source = dialogues(seed)
    while True:
        pool = [encode(dialogue, tokenizer, rng) for dialogue in islice(source, _POOL)]
        pool.sort(key=lambda pair: len(pair[0]))
        small = list(_rows(pool, tokens // PARTS))
        # Batches of one step are neighbours: of like length, they take the same time.
        steps = [small[at : at + PARTS] for at in range(0, len(small) - PARTS + 1, PARTS)]
        rng.shuffle(steps)
        for step in steps:
            yield [_batch(rows) for rows in step]


def _rows(
    pool: Iterable[tuple[list[int], list[float]]], tokens: int
) -> Iterator[list[tuple[list[int], list[float]]]]:
    rows: list[tuple[list[int], list[float]]] = []
    for pair in pool:
        if rows and len(pair[0]) * (len(rows) + 1) > tokens:
            yield rows
            rows = []
        rows.append(pair)
    if rows:
        yield rows


def _batch(rows: list[tuple[list[int], list[float]]]) -> Batch:
    length = max(len(ids) for ids, _ in rows)
    tokens = torch.zeros(len(rows), length, dtype=torch.long)
    weights = torch.zeros(len(rows), length)
    for row, (ids, counts) in enumerate(rows):
        tokens[row, : len(ids)] = torch.tensor(ids)
        weights[row, : len(ids)] = torch.tensor(counts)
    targets, weights = tokens[:, 1:].flatten(), weights[:, 1:].flatten()
    places = weights.nonzero().squeeze(1)
    return Batch(tokens[:, :-1].contiguous(), places, targets[places], weights[places])
