"""Schemas that must hold together, as one: `allOf`, `$ref` with neighbours, and branches.

Source: JSON Schema 2020-12, core, section 10.2 and 10.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from dmr_tui.engine.text.grammar.problem import SchemaProblem

Flat: TypeAlias = dict[str, Any]
"""A schema without `$ref`, `allOf`, `anyOf` and `oneOf` of its own."""

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_LARGER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_SMALLER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SINGLE = frozenset(
    {
        *("pattern", "format", "multipleOf", "not", "if", "uniqueItems"),
        *("contains", "minContains", "maxContains", "patternProperties", "propertyNames"),
        *("dependencies", "dependentRequired", "dependentSchemas"),
        *("$dynamicRef", "$recursiveRef"),
    }
)
"""Assertions of which a schema has one: two different ones cannot be written as one."""
_APART = frozenset({"properties", "additionalProperties", "items", "prefixItems"})


def both(one: Any, other: Any) -> Any:
    """A schema for what satisfies two."""
    if one is False or other is False:
        return False
    if one in (True, {}) or one == other:
        return other
    return one if other in (True, {}) else {"allOf": [one, other]}


def merge(one: Flat, other: Flat, path: str) -> Flat:
    """The flat schema for what satisfies two flat ones.

    Raises:
        SchemaProblem: two values of a keyword cannot be joined.
    """
    merged = {**one, **{key: value for key, value in other.items() if key not in one}}
    for key in (one.keys() & other.keys()) - _APART:
        if one[key] != other[key]:
            merged[key] = _joined(key, one[key], other[key], path)
    if _APART & one.keys() and _APART & other.keys():
        merged.update(_properties(one, other))
        merged.update(_items(one, other))
    return merged


def _joined(key: str, one: Any, other: Any, path: str) -> Any:
    if key in _LARGER:
        return max(one, other)
    if key in _SMALLER:
        return min(one, other)
    if key in _SINGLE:
        raise SchemaProblem(path, key, "two different values cannot be joined")
    join = _JOINS.get(key)
    return one if join is None else join(one, other)  # the rest are annotations


def _join_types(one: Any, other: Any) -> list[str]:
    return [each for each in TYPES if each in spread(one) and each in spread(other)]


def spread(declared: Any) -> set[str]:
    """The types that a `type` allows: a number may be whole."""
    listed = {declared} if isinstance(declared, str) else set(declared)
    return listed | {"integer"} if "number" in listed else listed


def _join_values(one: list[Any], other: list[Any]) -> list[Any]:
    return [value for value in one if any(same(value, each) for each in other)]


def _join_required(one: list[str], other: list[str]) -> list[str]:
    return list(dict.fromkeys([*one, *other]))


_JOINS: dict[str, Callable[[Any, Any], Any]] = {
    "type": _join_types,
    "enum": _join_values,
    "required": _join_required,
    "unevaluatedProperties": both,
    "unevaluatedItems": both,
}


def same(one: Any, other: Any) -> bool:
    """JSON's equality: 1 is 1.0, but not true."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _properties(one: Flat, other: Flat) -> Flat:
    names = dict.fromkeys([*one.get("properties", {}), *other.get("properties", {})])
    merged: Flat = {}
    if names:
        merged["properties"] = {
            name: both(_property(one, name), _property(other, name)) for name in names
        }
    if "additionalProperties" in one or "additionalProperties" in other:
        merged["additionalProperties"] = both(
            one.get("additionalProperties", True), other.get("additionalProperties", True)
        )
    return merged


def _property(flat: Flat, name: str) -> Any:
    own = flat.get("properties", {})
    return own[name] if name in own else flat.get("additionalProperties", True)


def _items(one: Flat, other: Flat) -> Flat:
    merged: Flat = {}
    count = max(len(one.get("prefixItems", [])), len(other.get("prefixItems", [])))
    if count:
        merged["prefixItems"] = [both(_item(one, at), _item(other, at)) for at in range(count)]
    if "items" in one or "items" in other:
        merged["items"] = both(one.get("items", True), other.get("items", True))
    return merged


def _item(flat: Flat, at: int) -> Any:
    own = flat.get("prefixItems", [])
    return own[at] if at < len(own) else flat.get("items", True)
