"""Sets of characters as sorted ranges of code points."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]

_LAST = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)

UNICODE: Ranges = ((0, _SURROGATES[0] - 1), (_SURROGATES[1] + 1, _LAST))
"""Every character; halves of surrogate pairs are none."""


def of(signs: str) -> Ranges:
    """The set of these characters."""
    return union((ord(sign), ord(sign)) for sign in signs)


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Ranges in any order as a set."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def intersection(one: Ranges, other: Ranges) -> Ranges:
    """Characters of both sets."""
    pairs = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return union((first, last) for first, last in pairs if first <= last)


def difference(one: Ranges, other: Ranges) -> Ranges:
    """Characters of the first set that are not in the second."""
    gaps, start = [], 0
    for first, last in other:
        if start < first:
            gaps.append((start, first - 1))
        start = last + 1
    if start <= _LAST:
        gaps.append((start, _LAST))
    return intersection(one, tuple(gaps))


def contains(ranges: Ranges, code: int) -> bool:
    """Whether a code point is in the set."""
    return any(first <= code <= last for first, last in ranges)
