"""JSON as a grammar: white space, strings, numbers, and values of any kind.

Source: RFC 8259. The grammar accepts less than it allows, and nothing beyond it:
white space is short, because small models write it without end; no escape makes half a surrogate
pair, which many parsers refuse; and numbers stay in the range of a double.
"""

from __future__ import annotations

import json
from typing import Any

from dmr_tui.engine.text.grammar import charset
from dmr_tui.engine.text.grammar.gbnf import (
    Characters,
    Choice,
    Grammar,
    Literal,
    Node,
    Rule,
    chain,
    choice,
    optional,
    repeat,
)

RAW: charset.Ranges = charset.difference(
    charset.UNICODE, charset.union([(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0x7F, 0x7F)])
)
"""Characters that stand for themselves in a string."""

DIGIT = Characters(((0x30, 0x39),))
NONZERO = Characters(((0x31, 0x39),))
_HEX = Characters(charset.of("0123456789abcdefABCDEF"))
_NOT_D = Characters(charset.of("0123456789abcefABCEF"))

_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_DIGITS = 15
"""Most digits of an unbounded number, those that a double keeps."""


def literal(value: Any) -> str:
    """A value's JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def characters(ranges: charset.Ranges) -> Node:
    """One character of a set, as it is written inside of a string."""
    raw = charset.intersection(ranges, RAW)
    options: list[Node] = [Characters(raw)] if raw else []
    rest = charset.difference(charset.intersection(ranges, charset.union([(0, 0x7F)])), RAW)
    for first, last in rest:
        options += [Literal(_escape(chr(code))) for code in range(first, last + 1)]
    return choice(*options) if options else Choice(())


def text_literal(text: str) -> str:
    """A text as it is written inside of a string."""
    return "".join(sign if charset.contains(RAW, ord(sign)) else _escape(sign) for sign in text)


def _escape(sign: str) -> str:
    return _ESCAPED.get(sign) or f"\\u{ord(sign):04x}"


class JSON:
    """The rules that many values share, each added to a grammar when first used."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._rules = grammar.shared

    def _shared(self, name: str, node: Node) -> Rule:
        if name not in self._rules:
            self._rules[name] = self._grammar.add(name, node)
        return self._rules[name]

    @property
    def space(self) -> Rule:
        """Nothing, a blank, or a new line with its indentation."""
        indented = chain("\n", repeat(Characters(charset.of(" \t")), 0, 20))
        return self._shared("space", optional(choice(" ", indented)))

    @property
    def character(self) -> Rule:
        """One character of a string, also as an escape."""
        quad = choice(
            chain(_NOT_D, repeat(_HEX, 3, 3)),
            chain(Characters(charset.of("dD")), Characters(((0x30, 0x37),)), repeat(_HEX, 2, 2)),
        )
        escape = choice(Characters(charset.of('"\\/bfnrt')), chain("u", quad))
        return self._shared("char", choice(Characters(RAW), chain("\\", escape)))

    @property
    def string(self) -> Rule:
        """Any string."""
        return self._shared("string", chain('"', repeat(self.character, 0), '"'))

    @property
    def integer(self) -> Rule:
        """Any whole number of up to 15 digits."""
        whole = choice("0", chain(NONZERO, repeat(DIGIT, 0, _DIGITS - 1)))
        return self._shared("integer", chain(optional(Literal("-")), whole))

    @property
    def number(self) -> Rule:
        """Any number."""
        fraction = chain(".", repeat(DIGIT, 1, _DIGITS))
        sign = optional(Characters(charset.of("+-")))
        exponent = chain(Characters(charset.of("eE")), sign, repeat(DIGIT, 1, 2))
        return self._shared("number", chain(self.integer, optional(fraction), optional(exponent)))

    @property
    def value(self) -> Rule:
        """Anything."""
        if "value" not in self._rules:
            rule = self._rules["value"] = self._grammar.reserve("value")
            scalar = choice(self.string, self.number, "true", "false", "null")
            self._grammar.define(rule, choice(self.object(rule), self.array(rule), scalar))
        return self._rules["value"]

    @property
    def any_object(self) -> Rule:
        """Any object."""
        return self._shared("object", self.object(self.value))

    @property
    def any_array(self) -> Rule:
        """Any array."""
        return self._shared("array", self.array(self.value))

    def object(self, value: Node) -> Node:
        """An object of any keys, all of whose values are alike."""
        member = chain(self.string, ":", self.space, value)
        more = repeat(chain(",", self.space, member), 0)
        return chain("{", self.space, optional(chain(member, more, self.space)), "}")

    def array(self, item: Node, least: int = 0, most: int | None = None) -> Node:
        """An array of so many items that are alike."""
        if most == 0:
            return chain("[", self.space, "]")
        rest = repeat(
            chain(",", self.space, item), max(least - 1, 0), None if most is None else most - 1
        )
        items = chain(item, rest, self.space)
        return chain("[", self.space, items if least else optional(items), "]")
