"""JSON Schema as a grammar: whatever the grammar accepts satisfies the schema.

The converse does not hold. Members are written in the order of `properties`; objects that name
properties are closed unless `additionalProperties` opens them; a schema without `type` is taken to
be of the types its keywords speak of. What cannot be held by a grammar is refused, not ignored;
annotations, unknown keywords and formats, which JSON Schema ignores too, are ignored.
Source: JSON Schema 2020-12, core and validation; `items` as a list and boolean exclusive bounds as
in earlier drafts.
"""

from __future__ import annotations

import json
from typing import Any

from dmr_tui.engine.text.grammar.bounds import bound_of, step_of
from dmr_tui.engine.text.grammar.exclusive import KEYWORD_TYPES, written_types
from dmr_tui.engine.text.grammar.flatten import APPLICATORS, Flattener, check, listed
from dmr_tui.engine.text.grammar.gbnf import (
    NEVER,
    Grammar,
    Node,
    Rule,
    chain,
    choice,
    optional,
    repeat,
)
from dmr_tui.engine.text.grammar.json_text import JSON, literal
from dmr_tui.engine.text.grammar.merge import TYPES, Flat, spread
from dmr_tui.engine.text.grammar.numbers import WHOLE, between
from dmr_tui.engine.text.grammar.objects import Property, object_of
from dmr_tui.engine.text.grammar.pattern import MAX_COUNT, PatternError, compile_pattern
from dmr_tui.engine.text.grammar.problem import SchemaProblem
from dmr_tui.engine.text.grammar.strings import FORMATS

MAX_DEPTH = 64
"""How deep schemas may nest."""

_ASSERTIONS = frozenset(KEYWORD_TYPES) | {"type", "enum"}
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "not": (False,),
    "if": (),
    "dependentRequired": ({},),
    "dependentSchemas": ({},),
    "dependencies": ({},),
    "patternProperties": ({},),
    "propertyNames": (True, {}, {"type": "string"}),
    "contains": (),
    "uniqueItems": (False,),
    "$dynamicRef": (),
    "$recursiveRef": (),
}
"""Keywords that no grammar can hold, and the values with which they say nothing."""


class SchemaCompiler:
    """Compiles the schemas of one document into rules of one grammar."""

    def __init__(self, document: Any, grammar: Grammar) -> None:
        self._flattener = Flattener(document)
        self._grammar = grammar
        self._json = JSON(grammar)
        self._known: dict[str, Rule] = {}
        self._heads: list[str] = []
        """Schemas that are being compiled and of which no character has been written yet."""
        self._depth = 0

    def compile(self, schema: Any, path: str = "#") -> Node:
        """The grammar of a value that satisfies a schema.

        Raises:
            SchemaProblem: there is none.
        """
        if schema is True or schema == {}:
            return self._json.value
        if schema is False:
            return NEVER
        key = json.dumps(check(schema, path))
        if key in self._heads:
            raise SchemaProblem(path, "$ref", "it refers to nothing but itself")
        if key not in self._known:
            self._known[key] = self._grammar.reserve(path.rpartition("/")[2].strip("#") or "answer")
            self._heads.append(key)
            self._grammar.define(self._known[key], self._value(check(schema, path), path))
            self._heads.pop()
        return self._known[key]

    def _inner(self, schema: Any, path: str) -> Node:
        """A value inside of another."""
        if self._depth == MAX_DEPTH:
            raise SchemaProblem(path, path.rpartition("/")[2], "the schema nests too deep")
        heads, self._heads = self._heads, []
        self._depth += 1
        node = self.compile(schema, path)
        self._depth -= 1
        self._heads = heads
        return node

    def _value(self, schema: Flat, path: str) -> Node:
        asserting = [key for key in schema if key in _ASSERTIONS or key in _HARMLESS]
        applying = [key for key in APPLICATORS if key in schema]
        # Alone, references and branches keep their names: only so can a schema hold itself.
        if not asserting and applying == ["$ref"]:
            return self.compile(*self._flattener.resolve(schema["$ref"], path))
        if not asserting and applying == ["anyOf"]:
            branches = enumerate(listed(schema, "anyOf", path))
            return choice(*(self.compile(branch, f"{path}/anyOf/{at}") for at, branch in branches))
        flats = self._flattener.flatten(schema, path)
        return choice(*(self._flat(flat, path) for flat in flats))

    def _flat(self, flat: Flat, path: str) -> Node:
        for keyword, vacuous in _HARMLESS.items():
            if keyword in flat and not any(flat[keyword] == value for value in vacuous):
                raise SchemaProblem(path, keyword, "no grammar can hold it")
        if "enum" in flat:
            return self._enumerated(flat, path)
        types = written_types(flat)
        if set(TYPES) <= set(types):
            return self._json.value
        return choice(*(self._typed(each, flat, path) for each in types))

    def _typed(self, kind: str, flat: Flat, path: str) -> Node:
        match kind:
            case "object":
                return self._object(flat, path)
            case "array":
                return self._array(flat, path)
            case "string":
                return self._string(flat, path)
            case "integer" | "number":
                return self._number(flat, path, whole=kind == "integer")
            case "boolean":
                return choice("true", "false")
            case _:
                return chain("null")

    def _enumerated(self, flat: Flat, path: str) -> Node:
        kept = [value for value in flat["enum"] if _satisfies(value, flat, path)]
        return choice(*(literal(value) for value in kept))

    def _object(self, flat: Flat, path: str) -> Node:
        named = flat.get("properties", {})
        others = flat.get("additionalProperties", flat.get("unevaluatedProperties", not named))
        required = flat.get("required", [])
        least, most = flat.get("minProperties", 0), flat.get("maxProperties")
        if least > len(set(required)):
            raise SchemaProblem(path, "minProperties", "no grammar can hold it")
        names = [*named, *(name for name in required if name not in named)]
        if most is not None and (others is not False or most < len(names)):
            raise SchemaProblem(path, "maxProperties", "no grammar can hold it")
        if not names and others in (True, {}):
            return self._json.any_object
        # What must be there has a value of any kind, unless other members have a schema.
        rest = True if "additionalProperties" not in flat else others
        properties = [
            Property(
                name,
                self._inner(named[name], f"{path}/properties/{name}")
                if name in named
                else self._inner(rest, f"{path}/additionalProperties"),
                name in required,
            )
            for name in names
        ]
        additional = self._inner(others, f"{path}/additionalProperties")
        return object_of(self._grammar, self._json, properties, additional)

    def _array(self, flat: Flat, path: str) -> Node:
        first = flat.get("prefixItems", [])
        least, most = self._counts(flat, "minItems", "maxItems", path)
        if most is not None and most < least:
            return NEVER
        implied = flat.get("unevaluatedItems", not first or least > len(first))
        rest = self._inner(flat.get("items", implied), f"{path}/items")
        if not first:
            return NEVER if rest == NEVER and least else self._array_of(rest, least, most)
        nodes = [self._inner(item, f"{path}/prefixItems/{at}") for at, item in enumerate(first)]
        if most is not None and most < len(nodes):
            nodes, rest = nodes[:most], NEVER
        comma = chain(",", self._json.space)
        beyond = None if most is None else most - len(nodes)
        items = repeat(chain(comma, rest), max(0, least - len(nodes)), beyond)
        for at in range(len(nodes) - 1, -1, -1):
            here = chain(nodes[at], items) if at == 0 else chain(comma, nodes[at], items)
            items = here if at < least else optional(here)
        return chain("[", self._json.space, items, self._json.space, "]")

    def _array_of(self, item: Node, least: int, most: int | None) -> Node:
        return self._json.array(item, least, 0 if item == NEVER else most)

    def _string(self, flat: Flat, path: str) -> Node:
        least, most = self._counts(flat, "minLength", "maxLength", path)
        known = FORMATS.get(flat.get("format", ""))
        if "pattern" in flat:
            if known is not None:
                raise SchemaProblem(path, "pattern", "it cannot be combined with a format")
            try:
                text = compile_pattern(flat["pattern"], least=least, most=most)
            except PatternError as problem:
                raise SchemaProblem(path, "pattern", str(problem)) from problem
            return chain('"', text, '"')
        if known is not None:
            text, shortest, longest = known
            if least > shortest or (most is not None and most < longest):
                raise SchemaProblem(path, "format", "it cannot be combined with a length")
            shared, key = self._grammar.shared, f"format {flat['format']}"
            if key not in shared:
                shared[key] = self._grammar.add(flat["format"], text)
            return chain('"', shared[key], '"')
        if (least, most) == (0, None):
            return self._json.string
        return chain('"', repeat(self._json.character, least, most), '"')

    def _counts(self, flat: Flat, low: str, high: str, path: str) -> tuple[int, int | None]:
        least, most = flat.get(low, 0), flat.get(high)
        if least > MAX_COUNT:
            raise SchemaProblem(path, low, f"more than {MAX_COUNT} is not supported")
        return least, most if most is None else min(most, MAX_COUNT)

    def _number(self, flat: Flat, path: str, *, whole: bool) -> Node:
        step = step_of(flat, path)
        least = bound_of(flat, "minimum", "exclusiveMinimum", 1, path)
        most = bound_of(flat, "maximum", "exclusiveMaximum", -1, path)
        whole = whole or step == WHOLE
        if least is None and most is None and step in (None, WHOLE):
            return self._json.integer if whole else self._json.number
        return between(least, most, self._grammar, whole=whole, step=step)


def _satisfies(value: Any, flat: Flat, path: str) -> bool:
    """Whether an enumerated value holds the schema's other assertions."""
    kinds = _types_of(value)
    if "type" in flat and not kinds & spread(flat["type"]):
        return False
    relevant = {key for key in flat if set(KEYWORD_TYPES.get(key, ())) & kinds}
    unsure = relevant - {"minLength", "maxLength", "minimum", "maximum"}
    if unsure:
        raise SchemaProblem(path, "enum", f"it cannot be combined with {min(unsure)!r}")
    size = len(value) if isinstance(value, str) else value
    lowest, highest = (
        ("minLength", "maxLength") if isinstance(value, str) else ("minimum", "maximum")
    )
    if lowest in relevant and size < flat[lowest]:
        return False
    return highest not in relevant or size <= flat[highest]


def _types_of(value: Any) -> set[str]:
    match value:
        case None:
            return {"null"}
        case bool():
            return {"boolean"}
        case int():
            return {"integer", "number"}
        case float():
            return {"integer", "number"} if value.is_integer() else {"number"}
        case str():
            return {"string"}
        case list():
            return {"array"}
        case _:
            return {"object"}
