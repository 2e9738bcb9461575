"""Numbers between two bounds, and multiples of a step, digit by digit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from dmr_tui.engine.text.grammar.gbnf import (
    EMPTY,
    NEVER,
    Characters,
    Grammar,
    Literal,
    Node,
    chain,
    choice,
)

MOST_REMAINDERS = 128
"""Largest step: behind each digit it matters which remainder the number so far leaves."""

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


@dataclass(frozen=True)
class Step:
    """What numbers are multiples of: a whole number above 0, with its last digits decimals."""

    digits: int
    decimals: int

    @classmethod
    def of(cls, value: Decimal) -> Step:
        """From a number above 0."""
        decimals = decimals_of(value)
        return cls(int(value.scaleb(decimals)), decimals)

    @property
    def remainders(self) -> int:
        """How many have to be told apart: noughts at the end are only counted."""
        return int(str(self.digits).rstrip("0"))

    def of_scaled(self, places: int) -> int:
        """The step of whole numbers whose last `places` digits are decimals: at most `decimals`."""
        return self.digits // math.gcd(self.digits, 10 ** (self.decimals - places))


WHOLE = Step(1, 0)


def between(
    least: Bound | None,
    most: Bound | None,
    grammar: Grammar,
    *,
    whole: bool,
    step: Step | None = None,
) -> Node:
    """Decimal numbers from `least` to `most`; None: as far as digits go.

    Args:
        least: the smallest.
        most: the largest.
        grammar: takes the rules.
        whole: integers only; else there may be some digits after the point.
        step: what they are multiples of, with at most `MOST_REMAINDERS` of these.
    """
    low, high = _limits(least, most)
    size = len(str(int(max(abs(low.value), abs(high.value)))))
    decimals = max(
        decimals_of(low.value), decimals_of(high.value), min(_DECIMALS, max(0, _DIGITS - size))
    )
    if step is not None:
        decimals = step.decimals
    options = []
    for places in range(1 if whole else decimals + 1):
        writer = _Writer(grammar, places, 1 if step is None else step.of_scaled(places))
        options.append(writer.scaled(low, high))
    return choice(*options)


def _limits(least: Bound | None, most: Bound | None) -> tuple[Bound, Bound]:
    known = [10 * abs(bound.value) for bound in (least, most) if bound is not None]
    widest = max(Decimal(10) ** _DIGITS - 1, *known, Decimal(0))
    return least or Bound(-widest), most or Bound(widest)


def decimals_of(bound: Decimal) -> int:
    """Digits after the point that a bound itself has."""
    return max(0, -int(bound.normalize().as_tuple().exponent))


class _Writer:
    """Writes numbers with a certain number of digits after the point.

    A number is the whole number that its digits are without the point: a multiple of the step.
    """

    def __init__(self, grammar: Grammar, places: int, step: int) -> None:
        self._grammar = grammar
        self._places = places
        # Of a round step the last digits are noughts, and need not be counted: 250 is 25 and "0".
        self._noughts = "" if places else "0" * (len(str(step)) - len(str(step).rstrip("0")))
        self._step: int = step // 10 ** len(self._noughts)

    def scaled(self, low: Bound, high: Bound) -> Node:
        """The numbers between two bounds."""
        scale = Decimal(10) ** self._places
        first, last = math.ceil(low.value * scale), math.floor(high.value * scale)
        first += low.excluded and first == low.value * scale
        last -= high.excluded and last == high.value * scale
        options = [self._from_zero(max(first, 0), last)]
        if first < 0:
            options.append(chain("-", self._from_zero(max(-last, 1), -first)))
        return choice(*options)

    def _from_zero(self, first: int, last: int) -> Node:
        if not self._noughts:
            return self._digits(first, last)
        unit = 10 ** len(self._noughts)
        zero = Literal("0") if first <= 0 <= last else NEVER
        above = self._digits(max(-(-first // unit), 1), last // unit)
        return choice(zero, chain(above, self._noughts))

    def _digits(self, first: int, last: int) -> Node:
        """Numbers from 0 up, without leading zeros, with a point before the last places."""
        if first > last:
            return NEVER
        options = []
        shortest = self._places + 1
        for length in range(max(len(str(first)), shortest), max(len(str(last)), shortest) + 1):
            smallest = 0 if length == shortest else 10 ** (length - 1)
            low, high = max(first, smallest), min(last, 10**length - 1)
            if low <= high:
                options.append(self._fixed(f"{low:0{length}}", f"{high:0{length}}", 0))
        return choice(*options)

    def _fixed(self, low: str, high: str, left: int) -> Node:
        """Digit strings of one length that are not before `low` and not after `high`.

        Args:
            low: the first.
            high: the last.
            left: the remainder of the digits before them.
        """
        if not low:
            return NEVER if left else EMPTY
        rest = len(low) - 1
        nines, zeros = "9" * rest, "0" * rest
        first, last = int(low[0]), int(high[0])

        def one(digit: str, least: str, most: str) -> Node:
            behind = self._fixed(least, most, (10 * left + int(digit)) % self._step)
            return chain(digit, self._point(rest), behind)

        if first == last:
            return one(low[0], low[1:], high[1:])
        options = []
        if low[1:] != zeros:
            options.append(one(low[0], low[1:], nines))
            first += 1
        if high[1:] != nines:
            options.append(one(high[0], zeros, high[1:]))
            last -= 1
        return choice(*options, self._free(first, last, rest, left))

    def _free(self, first: int, last: int, rest: int, left: int) -> Node:
        """A digit between two, and any others behind it, as far as the step allows them."""

        def after(digit: int) -> int:
            return (10 * left + digit) % self._step

        options = []
        for remainder, digits in groupby(
            sorted(range(first, last + 1), key=lambda digit: (after(digit), digit)), key=after
        ):
            behind = self._any(rest, remainder)
            options.append(chain(_one_of([*digits]), self._point(rest), behind))
        return choice(*options)

    def _any(self, length: int, left: int) -> Node:
        """Any so many digits behind those that leave a remainder."""
        if length == 0:
            return NEVER if left else EMPTY
        if self._step == 1:
            return self._free(0, 9, length - 1, left)
        shared = self._grammar.shared
        key = f"multiple of {self._step}, {self._places} places: {length} after {left}"
        if key not in shared:
            shared[key] = self._grammar.add("multiple", self._free(0, 9, length - 1, left))
        return shared[key]

    def _point(self, rest: int) -> str:
        """What stands before the last digits, if so many are left."""
        return "." if self._places and rest == self._places else ""


def _one_of(digits: list[int]) -> Node:
    if len(digits) == 1:
        return Literal(str(digits[0]))
    if digits[-1] - digits[0] == len(digits) - 1:
        return Characters(((0x30 + digits[0], 0x30 + digits[-1]),))
    return Characters(tuple((0x30 + digit, 0x30 + digit) for digit in digits))
