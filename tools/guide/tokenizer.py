"""A byte-level BPE tokenizer: learned here, and the same as llama.cpp's `gpt-2` pre-tokenizer.

Digits are never merged, so that every digit of a sum is a token of its own.
"""

from __future__ import annotations

import collections
import heapq
import itertools
import random
import re
from collections.abc import Iterable
from functools import cache

from guide.dialogue import CONTROL

# GPT-2's pre-tokenizer in the terms of `re`: a letter is what is neither digit nor symbol.
_PIECE = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")

_CUT_WORDS = 0.08
_CUT_MERGES = 0.3
"""Shares of words, and of the merges in them, that are left out while learning (BPE dropout)."""


@cache
def byte_alphabet() -> tuple[str, ...]:
    """GPT-2's printable stand-in for each of the 256 bytes, in byte order."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = itertools.count(256)
    return tuple(chr(byte) if byte in printable else chr(next(spare)) for byte in range(256))


def pieces(text: str) -> list[str]:
    """The words that a text is cut into before merging."""
    return _PIECE.findall(text)


class Tokenizer:
    """Text to token ids and back.

    Control tokens come first, then the 256 bytes, then one token for each merge. The last ones of
    all stand for whole answers: nobody sees them, they say which answer comes.
    """

    def __init__(self, merges: Iterable[tuple[str, str]], size: int, answers: int = 0) -> None:
        self.merges = list(merges)
        made = ["".join(pair) for pair in self.merges]
        self.tokens = [*CONTROL, *byte_alphabet(), *made]
        self.size = size
        self.answers = answers
        self.unused = size - len(self.tokens) - answers
        self._ids = {token: number for number, token in enumerate(self.tokens)}
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._known: dict[str, list[int]] = {}

    def control(self, name: str) -> int:
        """The id of a control token."""
        return CONTROL.index(name)

    def answer(self, number: int) -> int:
        """The id of the token that stands for an answer."""
        return self.size - self.answers + number

    def encode(self, text: str, cut: random.Random | None = None) -> list[int]:
        """Token ids of a text; control tokens in it are plain text.

        Args:
            text: what to encode.
            cut: chance by which now and then a word is left in smaller tokens.
        """
        ids: list[int] = []
        for piece in pieces(text):
            if cut and cut.random() < _CUT_WORDS:
                ids += self._merge(piece, cut)
                continue
            known = self._known.get(piece)
            if known is None:
                known = self._known[piece] = self._merge(piece)
            ids += known
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids, without control tokens and those of answers."""
        byte = {symbol: number for number, symbol in enumerate(byte_alphabet())}
        symbols = "".join(self.tokens[i] for i in ids if len(CONTROL) <= i < len(self.tokens))
        return bytes(byte[symbol] for symbol in symbols).decode("utf-8", "replace")

    def _merge(self, piece: str, cut: random.Random | None = None) -> list[int]:
        alphabet = byte_alphabet()
        parts = [alphabet[byte] for byte in piece.encode()]
        none = len(self._ranks)
        while len(parts) > 1:
            rank, at = min(
                (none if cut and cut.random() < _CUT_MERGES else self._ranks.get(pair, none), at)
                for at, pair in enumerate(itertools.pairwise(parts))
            )
            if rank == none:
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return [self._ids[part] for part in parts]


def learn(texts: Iterable[str], size: int, answers: int) -> Tokenizer:
    """Learn the merges of a tokenizer with `size` tokens, those of answers included, from texts."""
    counts = collections.Counter(piece for text in texts for piece in pieces(text))
    alphabet = byte_alphabet()
    words = [
        ([alphabet[byte] for byte in word.encode()], seen)
        for word, seen in sorted(counts.items())
        if not any(letter.isdigit() for letter in word)
    ]
    merges = _learn_merges(words, size - len(CONTROL) - 256 - answers)
    return Tokenizer(merges, size, answers)


def _learn_merges(words: list[tuple[list[str], int]], count: int) -> list[tuple[str, str]]:
    """Merge the most frequent pair again and again; ties go to the pair that sorts first."""
    seen: collections.Counter[tuple[str, str]] = collections.Counter()
    where: dict[tuple[str, str], set[int]] = collections.defaultdict(set)
    for number, (symbols, times) in enumerate(words):
        for pair in itertools.pairwise(symbols):
            seen[pair] += times
            where[pair].add(number)
    queue = [(-times, pair) for pair, times in seen.items()]
    heapq.heapify(queue)
    merges: list[tuple[str, str]] = []
    while queue and len(merges) < count:
        times, best = heapq.heappop(queue)
        if -times != seen[best]:  # counted again since it was queued
            if seen[best] > 0:
                heapq.heappush(queue, (-seen[best], best))
            continue
        merges.append(best)
        touched: set[tuple[str, str]] = set()
        for number in where.pop(best):
            symbols, weight = words[number]
            for pair in itertools.pairwise(symbols):
                seen[pair] -= weight
            _merge_pair(symbols, best)
            for pair in itertools.pairwise(symbols):
                seen[pair] += weight
                where[pair].add(number)
                touched.add(pair)
        seen.pop(best, None)
        for pair in touched:
            heapq.heappush(queue, (-seen[pair], pair))
    return merges


def _merge_pair(symbols: list[str], pair: tuple[str, str]) -> None:
    at = 0
    while at < len(symbols) - 1:
        if (symbols[at], symbols[at + 1]) == pair:
            symbols[at : at + 2] = ["".join(pair)]
        at += 1
