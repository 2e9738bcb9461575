"""What a schema says of a number: its bounds, and what it is a multiple of."""

from __future__ import annotations

from decimal import Decimal

from dmr_tui.engine.text.grammar.merge import Flat
from dmr_tui.engine.text.grammar.numbers import MOST_REMAINDERS, Bound, Step, decimals_of
from dmr_tui.engine.text.grammar.problem import SchemaProblem

_FARTHEST = Decimal(10) ** 19
"""Bounds beyond this are no bounds; 64-bit integers are within."""

_FINEST = 32
"""Most decimals of a bound: each of them makes the grammar longer, and makes it take longer."""


def step_of(flat: Flat, path: str) -> Step | None:
    """What numbers are multiples of.

    Raises:
        SchemaProblem: no grammar can hold it.
    """
    if "multipleOf" not in flat:
        return None
    value = Decimal(str(flat["multipleOf"]))
    if value <= 0:
        raise SchemaProblem(path, "multipleOf", "it has to be above 0")
    if value > _FARTHEST or decimals_of(value) > _FINEST:
        raise SchemaProblem(path, "multipleOf", "the number is too large or too fine")
    step = Step.of(value)
    if step.remainders > MOST_REMAINDERS:
        problem = f"more than {MOST_REMAINDERS} is not supported, zeros at the end left out"
        raise SchemaProblem(path, "multipleOf", problem)
    return step


def bound_of(flat: Flat, open_: str, closed: str, side: int, path: str) -> Bound | None:
    """The tighter of two bounds; `side` is 1 for lower bounds, -1 for upper ones.

    Raises:
        SchemaProblem: no grammar can hold it.
    """
    found = [
        (Decimal(str(flat[keyword])), keyword == closed)
        for keyword in (open_, closed)
        if keyword in flat
    ]
    found = [(value, excluded) for value, excluded in found if value * side > -_FARTHEST]
    if not found:
        return None
    value, excluded = max(found, key=lambda bound: (bound[0] * side, bound[1]))
    keyword = closed if excluded else open_
    if abs(value) > _FARTHEST:
        raise SchemaProblem(path, keyword, "the number is too large")
    if decimals_of(value) > _FINEST:
        raise SchemaProblem(path, keyword, f"more than {_FINEST} decimals are not supported")
    return Bound(value, excluded)
