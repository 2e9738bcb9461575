"""`oneOf`: branches of which exactly one may hold.

A grammar can say "any of these"; that is the same when no text satisfies two branches. Where a
property tells objects apart (a "discriminator"), it is made required: what is written without it
might satisfy both.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, TypeAlias

from dmr_tui.engine.text.grammar.merge import TYPES, Flat, same, spread
from dmr_tui.engine.text.grammar.problem import SchemaProblem

Flatten: TypeAlias = Callable[[Any, str], list[Flat]]

KEYWORD_TYPES: dict[str, tuple[str, ...]] = {
    "properties": ("object",),
    "required": ("object",),
    "additionalProperties": ("object",),
    "unevaluatedProperties": ("object",),
    "minProperties": ("object",),
    "maxProperties": ("object",),
    "items": ("array",),
    "prefixItems": ("array",),
    "unevaluatedItems": ("array",),
    "minItems": ("array",),
    "maxItems": ("array",),
    "minLength": ("string",),
    "maxLength": ("string",),
    "pattern": ("string",),
    "format": ("string",),
    "minimum": ("number",),
    "maximum": ("number",),
    "exclusiveMinimum": ("number",),
    "exclusiveMaximum": ("number",),
    "multipleOf": ("number",),
}
"""The types that a keyword speaks of."""


def written_types(flat: Flat) -> list[str]:
    """Types that are written for a schema: those declared, or those its keywords speak of."""
    if "type" in flat:
        declared = flat["type"]
        return [declared] if isinstance(declared, str) else list(declared)
    named = [each for keyword in flat for each in KEYWORD_TYPES.get(keyword, ())]
    return list(dict.fromkeys(named)) or list(TYPES)


class Exclusive:
    """Tells branches apart."""

    def __init__(self, flatten: Flatten) -> None:
        self._flatten = flatten

    def separate(self, branches: list[list[Flat]], path: str) -> list[Flat]:
        """All branches' flat schemas, narrowed until no text satisfies two branches.

        Raises:
            SchemaProblem: two of them cannot be told apart.
        """
        narrowed = [[dict(flat) for flat in branch] for branch in branches]
        for one, other in itertools.combinations(narrowed, 2):
            for first, second in itertools.product(one, other):
                if not self._apart(first, second, path):
                    raise SchemaProblem(path, "oneOf", "two of its branches may hold at once")
        return list(itertools.chain(*narrowed))

    def _apart(self, one: Flat, other: Flat, path: str) -> bool:
        if _types_differ(one, other) and _types_differ(other, one):
            return True
        if "enum" in one and "enum" in other:
            return _disjoint(one["enum"], other["enum"])
        if self._discriminate(one, other, path):
            return True
        return _never_valid(one, other) and _never_valid(other, one)

    def _discriminate(self, one: Flat, other: Flat, path: str) -> bool:
        for name in one.get("properties", {}):
            first, second = self._values(one, name, path), self._values(other, name, path)
            if first and second and _disjoint(first, second):
                for flat in (one, other):
                    flat["required"] = list(dict.fromkeys([*flat.get("required", []), name]))
                    # Only an object has the property.
                    flat["type"] = "object"
                return True
        return False

    def _values(self, flat: Flat, name: str, path: str) -> list[Any]:
        """All that a property may be, if its schema enumerates it."""
        if name not in flat.get("properties", {}) or "object" not in written_types(flat):
            return []
        found: list[Any] = []
        for each in self._flatten(flat["properties"][name], f"{path}/properties/{name}"):
            if "enum" not in each:
                return []
            found += each["enum"]
        return found


def _types_differ(writer: Flat, judge: Flat) -> bool:
    """Nothing that is written for one schema has a type that the other allows."""
    written = spread(written_types(writer))
    return "type" in judge and not written & spread(judge["type"])


def _disjoint(one: list[Any], other: list[Any]) -> bool:
    return not any(same(first, second) for first in one for second in other)


def _never_valid(writer: Flat, judge: Flat) -> bool:
    """No object that is written for one schema satisfies the other."""
    if written_types(writer) != ["object"] or "enum" in judge:
        return False
    own = writer.get("properties", {})
    closed = writer.get("additionalProperties", not own) is False
    if closed and set(judge.get("required", [])) - own.keys() - set(writer.get("required", [])):
        return True
    forbidden = judge.get("additionalProperties") is False
    return forbidden and bool(set(writer.get("required", [])) - judge.get("properties", {}).keys())
