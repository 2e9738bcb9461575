"""A schema with references and branches as a list of flat ones, any of which may hold.

Source: JSON Schema 2020-12, core, sections 8.2 and 10.2; RFC 6901.
"""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import unquote

from dmr_tui.engine.text.grammar.exclusive import Exclusive
from dmr_tui.engine.text.grammar.merge import TYPES, Flat, merge
from dmr_tui.engine.text.grammar.problem import SchemaProblem

MAX_BRANCHES = 256
"""Most flat schemas that one schema may become."""

APPLICATORS = ("$ref", "allOf", "anyOf", "oneOf")

_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_BOUNDS = ("minimum", "maximum", "multipleOf")
_EXCLUSIVE = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}
_TEXTS = ("pattern", "format")


class Flattener:
    """Resolves and merges within one document."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._inside: list[str] = []
        """Schemas being flattened: one that comes back to itself has no end."""

    def flatten(self, schema: Any, path: str) -> list[Flat]:
        """The flat schemas of which one must hold; none when nothing satisfies the schema.

        Raises:
            SchemaProblem: the schema is wrong, or cannot be flattened.
        """
        if schema is True:
            return [{}]
        if schema is False:
            return []
        checked = check(schema, path)
        key = json.dumps(checked, sort_keys=True)
        if key in self._inside:
            raise SchemaProblem(path, self._applicator(checked), "it refers to nothing but itself")
        self._inside.append(key)
        try:
            return self._branches(checked, path)
        finally:
            self._inside.pop()

    def resolve(self, reference: Any, path: str) -> tuple[Any, str]:
        """The schema that a `$ref` names, and where it is."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise SchemaProblem(path, "$ref", f"{reference!r} is not within this schema")
        found = self._document
        for raw in unquote(reference[1:]).split("/")[1:]:
            step = raw.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, dict) and step in found:
                found = found[step]
            else:
                raise SchemaProblem(path, "$ref", f"{reference!r} is not there")
        if len(reference) > 1 and reference[1] != "/":
            raise SchemaProblem(path, "$ref", f"{reference!r} is no JSON pointer")
        return found, reference

    def _branches(self, schema: Flat, path: str) -> list[Flat]:
        own = {key: value for key, value in schema.items() if key not in APPLICATORS}
        found = [own]
        if "$ref" in schema:
            target, where = self.resolve(schema["$ref"], path)
            found = self._product(found, self.flatten(target, where), path)
        for at, part in enumerate(listed(schema, "allOf", path)):
            found = self._product(found, self.flatten(part, f"{path}/allOf/{at}"), path)
        if "anyOf" in schema:
            several = [
                self.flatten(branch, f"{path}/anyOf/{at}")
                for at, branch in enumerate(listed(schema, "anyOf", path))
            ]
            found = self._product(found, list(itertools.chain(*several)), path)
        if "oneOf" in schema:
            found = self._product(found, self.exclusive(schema, path), path)
        return found

    def exclusive(self, schema: Flat, path: str) -> list[Flat]:
        """The flat schemas of a `oneOf`, narrowed until no two can hold at once."""
        several = [
            self.flatten(branch, f"{path}/oneOf/{at}")
            for at, branch in enumerate(listed(schema, "oneOf", path))
        ]
        return Exclusive(self.flatten).separate(several, path)

    def _product(self, ones: list[Flat], others: list[Flat], path: str) -> list[Flat]:
        if len(ones) * len(others) > MAX_BRANCHES:
            raise SchemaProblem(path, "anyOf", f"more than {MAX_BRANCHES} branches")
        return [merge(one, other, path) for one in ones for other in others]

    def _applicator(self, schema: Flat) -> str:
        return next((key for key in APPLICATORS if key in schema), "$ref")


def listed(schema: Flat, keyword: str, path: str) -> list[Any]:
    """The schemas of `allOf`, `anyOf` or `oneOf`; none when the keyword is not there.

    Raises:
        SchemaProblem: they are no list of at least one.
    """
    branches = schema.get(keyword, [])
    if not isinstance(branches, list) or (keyword in schema and not branches):
        raise SchemaProblem(path, keyword, "a list of schemas is required")
    return branches


def check(schema: Any, path: str) -> Flat:
    """The schema in the words of today, once its keywords have values of the right kind.

    Raises:
        SchemaProblem: one of them has not.
    """
    if not isinstance(schema, dict):
        raise SchemaProblem(path, path.rpartition("/")[2], "a schema is required")
    plain = _modern(schema)
    _check_type(plain, path)
    _check_counts(plain, path)
    for keyword in (*_BOUNDS, *_EXCLUSIVE):
        value = plain.get(keyword, 0)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise SchemaProblem(path, keyword, "a number is required")
    for keyword in _TEXTS:
        if not isinstance(plain.get(keyword, ""), str):
            raise SchemaProblem(path, keyword, "a text is required")
    if not isinstance(plain.get("properties", {}), dict):
        raise SchemaProblem(path, "properties", "an object is required")
    for keyword in ("enum", "required", "prefixItems"):
        if not isinstance(plain.get(keyword, []), list):
            raise SchemaProblem(path, keyword, "a list is required")
    if not all(isinstance(name, str) for name in plain.get("required", [])):
        raise SchemaProblem(path, "required", "a list of names is required")
    return plain


def _check_type(schema: Flat, path: str) -> None:
    declared = schema.get("type", [])
    listed = [declared] if isinstance(declared, str) else declared
    if not isinstance(listed, list) or not all(each in TYPES for each in listed):
        raise SchemaProblem(path, "type", f"it must be one of {', '.join(TYPES)}")


def _check_counts(schema: Flat, path: str) -> None:
    for keyword in _COUNTS:
        value = schema.get(keyword, 0)
        if isinstance(value, float) and value.is_integer():
            value = schema[keyword] = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise SchemaProblem(path, keyword, "a number from 0 up is required")


def _modern(schema: Flat) -> Flat:
    """`const`, boolean exclusive bounds and lists of items, as newer drafts write them."""
    plain = dict(schema)
    if "const" in plain:
        value = plain.pop("const")
        plain["enum"] = [value] if "enum" not in plain or value in plain["enum"] else []
    for keyword, bound in _EXCLUSIVE.items():
        if isinstance(plain.get(keyword), bool) and plain.pop(keyword) and bound in plain:
            plain[keyword] = plain.pop(bound)
    if isinstance(plain.get("items"), list):
        plain["prefixItems"] = plain.pop("items")
        if "additionalItems" in plain:
            plain["items"] = plain.pop("additionalItems")
    return plain
