"""Numbers between two bounds, digit by digit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from dmr_tui.engine.text.grammar.gbnf import EMPTY, NEVER, Characters, Literal, Node, chain, choice

_DIGITS = 15
"""Digits that a double keeps: a bound that is missing is set by them."""
_DECIMALS = 6
"""Most digits after the point of a number between bounds."""


@dataclass(frozen=True)
class Bound:
    """Where numbers end."""

    value: Decimal
    excluded: bool = False
    """The value itself is outside."""


def between(least: Bound | None, most: Bound | None, *, whole: bool) -> Node:
    """Decimal numbers from `least` to `most`; None: as far as digits go.

    Args:
        least: the smallest.
        most: the largest.
        whole: integers only; else there may be some digits after the point.
    """
    low, high = _limits(least, most)
    size = len(str(int(max(abs(low.value), abs(high.value)))))
    decimals = max(
        decimals_of(low.value), decimals_of(high.value), min(_DECIMALS, max(0, _DIGITS - size))
    )
    scales = range(1 if whole else decimals + 1)
    return choice(*(_scaled(low, high, places) for places in scales))


def _limits(least: Bound | None, most: Bound | None) -> tuple[Bound, Bound]:
    known = [10 * abs(bound.value) for bound in (least, most) if bound is not None]
    widest = max(Decimal(10) ** _DIGITS - 1, *known, Decimal(0))
    return least or Bound(-widest), most or Bound(widest)


def decimals_of(bound: Decimal) -> int:
    """Digits after the point that a bound itself has."""
    return max(0, -int(bound.normalize().as_tuple().exponent))


def _scaled(low: Bound, high: Bound, places: int) -> Node:
    """Numbers with exactly so many digits after the point."""
    scale = Decimal(10) ** places
    first, last = math.ceil(low.value * scale), math.floor(high.value * scale)
    first += low.excluded and first == low.value * scale
    last -= high.excluded and last == high.value * scale
    options = [_digits(max(first, 0), last, places)]
    if first < 0:
        options.append(chain("-", _digits(max(-last, 1), -first, places)))
    return choice(*options)


def _digits(first: int, last: int, places: int) -> Node:
    """Numbers from 0 up, written without leading zeros, with a point before the last places."""
    if first > last:
        return NEVER
    options = []
    shortest = places + 1
    for length in range(max(len(str(first)), shortest), max(len(str(last)), shortest) + 1):
        smallest = 0 if length == shortest else 10 ** (length - 1)
        low, high = max(first, smallest), min(last, 10**length - 1)
        if low <= high:
            options.append(_fixed(f"{low:0{length}}", f"{high:0{length}}", places))
    return choice(*options)


def _fixed(low: str, high: str, places: int) -> Node:
    """Digit strings of one length that are not before `low` and not after `high`."""
    if not low:
        return EMPTY
    point = Literal(".") if places and len(low) == places + 1 else EMPTY
    if low[0] == high[0]:
        return chain(low[0], point, _fixed(low[1:], high[1:], places))
    rest = len(low) - 1
    nines, zeros = "9" * rest, "0" * rest
    first, last = int(low[0]), int(high[0])
    options = []
    if low[1:] != zeros:
        options.append(chain(low[0], point, _fixed(low[1:], nines, places)))
        first += 1
    if high[1:] != nines:
        options.append(chain(high[0], point, _fixed(zeros, high[1:], places)))
        last -= 1
    if first <= last:
        options.append(chain(_digit(first, last), point, _fixed_any(rest, places)))
    return choice(*options)


def _fixed_any(length: int, places: int) -> Node:
    parts: list[Node] = []
    for left in range(length, 0, -1):
        parts.append(_digit(0, 9))
        if places and left == places + 1:
            parts.append(Literal("."))
    return chain(*parts)


def _digit(first: int, last: int) -> Node:
    return Characters(((0x30 + first, 0x30 + last),)) if first < last else Literal(str(first))
