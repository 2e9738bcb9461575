"""Arguments as Gemma's models write them, as a grammar: FunctionGemma's notation, and Python's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dmr_tui.engine.text.grammar import charset
from dmr_tui.engine.text.grammar.compile import satisfying
from dmr_tui.engine.text.grammar.flatten import APPLICATORS
from dmr_tui.engine.text.grammar.gbnf import (
    EMPTY,
    Characters,
    Grammar,
    Node,
    Rule,
    chain,
    choice,
    optional,
    repeat,
)
from dmr_tui.engine.text.grammar.json_text import JSON, RAW, literal
from dmr_tui.engine.text.grammar.schema import MAX_DEPTH
from dmr_tui.engine.text.grammar.until import until
from dmr_tui.engine.text.tools.reading import is_plain, properties_of, required_of
from dmr_tui.errors import InvalidRequestError

_KEY = Characters(charset.union([(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A), (0x5F, 0x5F)]))

_READABLE = re.compile(r"[^\s<>:,{}`](?:[^<>:,{}`\n]*[^\s<>:,{}`])?")
"""A name of a member that is read as what it is."""


@dataclass(frozen=True)
class Notation:
    """How values are written; what a schema says beyond types and choices is not held.

    Attributes:
        grammar: takes the rules.
        text: any text.
        spell: a value that is known.
        words: true, false and nothing.
        assign: what stands between an argument's name and its value.
        key: any name of a member inside of a value, up to that.
        spell_key: a known one.
    """

    grammar: Grammar
    text: Node
    spell: Callable[[Any], str]
    words: tuple[str, str, str]
    assign: str
    key: Node
    spell_key: Callable[[str], str]

    @classmethod
    def escaped(cls, grammar: Grammar, quote: str) -> Notation:
        """`key:<escape>text<escape>,other:3`, with the quote of the model's generation."""
        text = grammar.add("text", chain(quote, until(quote, grammar)))

        def spell(value: Any) -> str:
            return f"{quote}{value}{quote}" if isinstance(value, str) else literal(value)

        key = chain(repeat(_KEY, 1, 64), ":")
        return cls(grammar, text, spell, ("true", "false", "null"), ":", key, "{}:".format)

    @classmethod
    def python(cls, grammar: Grammar) -> Notation:
        """`key="text", other=3`."""
        plain = charset.difference(RAW, charset.of("'"))
        sign = choice(Characters(plain), chain("\\", Characters(charset.of("\"'\\nt"))))
        double = chain('"', repeat(grammar.add("sign", choice("'", sign)), 0), '"')
        single = chain("'", repeat(grammar.add("sign", choice('"', sign)), 0), "'")
        text = grammar.add("text", choice(double, single))
        key = chain(text, ":", optional(chain(" ")))
        words = ("True", "False", "None")
        return cls(
            grammar, text, _python_literal, words, "=", key, lambda name: f"{literal(name)}: "
        )

    def members(self, schema: Mapping[str, Any], *, nested: bool = False) -> Node:
        """The members of an object's schema, in its order, with commas between them.

        Args:
            schema: names them.
            nested: the object is a value, and not all of the arguments.
        """
        if not nested and not properties_of(schema) and any(key in schema for key in APPLICATORS):
            some = chain(repeat(_KEY, 1, 64), self.assign, self._anything())
            return self._listed("", some, "")
        required = required_of(schema)
        comma = chain(",", optional(chain(" ")))
        after: Node = EMPTY
        begin: Node = EMPTY
        for key, kind in reversed(properties_of(schema).items()):
            spelled = self.spell_key(key) if nested else f"{key}{self.assign}"
            member = self.grammar.add(f"member-{key}", chain(spelled, self.value(kind)))
            here = chain(member, after)
            begin = here if key in required else choice(here, begin)
            following = chain(comma, member)
            after = chain(following if key in required else optional(following), after)
            begin, after = self.grammar.add("from", begin), self.grammar.add("after", after)
        return begin

    def value(self, schema: Any) -> Node:
        """A value that satisfies a schema, as far as `holds` says so."""
        if not isinstance(schema, dict):
            return self._anything()
        if isinstance(schema.get("enum"), list):
            return choice(*map(self.spell, schema["enum"]))
        kinds = schema.get("type")
        if isinstance(kinds, str):
            kinds = [kinds]
        if not isinstance(kinds, list) or not kinds:
            return self._anything()
        return choice(*(self._typed(kind, schema) for kind in kinds))

    def _typed(self, kind: str, schema: Mapping[str, Any]) -> Node:
        true, false, nothing = self.words
        match kind:
            case "string":
                return self.text
            case "integer" | "number":
                held = schema if _bounds_hold(kind, schema) else {}
                return _number(kind, held, self.grammar)
            case "boolean":
                return choice(true, false)
            case "null":
                return chain(nothing)
            case "array":
                item = self.value(schema["items"]) if "items" in schema else self._anything()
                return self._listed("[", item, "]")
        if schema.get("properties"):
            return chain("{", self.members(schema, nested=True), "}")
        return self._listed("{", chain(self.key, self._anything()), "}")

    def _anything(self) -> Rule:
        """A value of any kind."""
        rule = self.grammar.reserve("anything")
        number = JSON(self.grammar).number
        lists = (
            self._listed("[", rule, "]"),
            self._listed("{", chain(self.key, rule), "}"),
        )
        return self.grammar.define(rule, choice(self.text, number, *self.words, *lists))

    def _listed(self, opening: str, item: Node, closing: str) -> Node:
        more = repeat(chain(",", optional(chain(" ")), item), 0)
        return chain(opening, optional(chain(item, more)), closing)


def holds(schema: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether what a notation writes for a schema always satisfies it.

    Args:
        schema: of the value.
        depth: how deep it may nest.
    """
    if not isinstance(schema, dict) or depth == 0:
        return False
    if "enum" in schema:
        listed = isinstance(schema["enum"], list) and schema.keys() <= _HELD["enum"]
        return listed and not any(
            isinstance(value, list | dict) or not is_plain(value) for value in schema["enum"]
        )
    kind = schema.get("type")
    if not isinstance(kind, str) or not schema.keys() <= _HELD.get(kind, frozenset()):
        return False
    if not all(_READABLE.fullmatch(key) for key in properties_of(schema)):
        return False
    if kind in ("integer", "number") and not _bounds_hold(kind, schema):
        return False
    inside = [*properties_of(schema).values()]
    if "items" in schema:
        inside.append(schema["items"])
    return all(holds(each, depth - 1) for each in inside) and (kind != "object" or bool(inside))


_NOTES = frozenset({"type", "title", "description", "default", "examples"})
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_HELD = {
    "enum": _NOTES | {"enum"},
    "string": _NOTES,
    "integer": _NOTES | {*_BOUNDS},
    "number": _NOTES | {*_BOUNDS},
    "boolean": _NOTES,
    "null": _NOTES,
    "array": _NOTES | {"items"},
    "object": _NOTES | {"properties", "required", "additionalProperties"},
}
"""The keywords that are held, by type."""


def _number(kind: str, schema: Mapping[str, Any], grammar: Grammar) -> Node:
    bounds = {key: schema[key] for key in _BOUNDS if key in schema}
    return satisfying({"type": kind, **bounds}, grammar, param="tools")


def _bounds_hold(kind: str, schema: Mapping[str, Any]) -> bool:
    """Whether a grammar can hold what is said of a number."""
    try:
        _number(kind, schema, Grammar())
    except InvalidRequestError:
        return False
    return True


def _python_literal(value: Any) -> str:
    return literal(value) if isinstance(value, str) else repr(value)
