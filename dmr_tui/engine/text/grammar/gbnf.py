"""Grammars as data, and their text in llama.cpp's notation, GBNF.

Source: llama.cpp, `grammars/README.md`. Its parser repeats nothing more than 2,000 times, refuses
left recursion, and a grammar that can never end leaves the sampler without any token to draw:
`Grammar.text` writes large counts as nested rules and leaves out what cannot end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

BLOCK = 1000
"""Most repetitions that are written as one count."""


@dataclass(frozen=True)
class Literal:
    """A fixed text."""

    text: str


@dataclass(frozen=True)
class Characters:
    """One character of these code points: pairs of first and last."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Chain:
    """One part after the other; without parts: the empty text."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """Any of the options; without options: nothing at all."""

    options: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """The same again and again; `most` None: without end."""

    node: Node
    least: int
    most: int | None


@dataclass(frozen=True)
class Rule:
    """What a rule of the grammar says."""

    name: str


Node: TypeAlias = Literal | Characters | Chain | Choice | Repeat | Rule

EMPTY = Chain(())
NEVER = Choice(())


def chain(*parts: Node | str) -> Node:
    """One part after the other; a string stands for itself."""
    flat: list[Node] = []
    for part in parts:
        node = Literal(part) if isinstance(part, str) else part
        if node == NEVER:
            return NEVER
        if isinstance(node, Chain):
            flat += node.parts
        elif isinstance(node, Literal) and flat and isinstance(flat[-1], Literal):
            flat[-1] = Literal(flat[-1].text + node.text)
        elif node != Literal(""):
            flat.append(node)
    return flat[0] if len(flat) == 1 else Chain(tuple(flat))


def choice(*options: Node | str) -> Node:
    """Any of the options; a string stands for itself."""
    flat: list[Node] = []
    for option in options:
        node = Literal(option) if isinstance(option, str) else option
        flat += node.options if isinstance(node, Choice) else (node,)
    unique = tuple(dict.fromkeys(flat))
    return unique[0] if len(unique) == 1 else Choice(unique)


def optional(node: Node) -> Node:
    """The node or nothing."""
    return repeat(node, 0, 1)


def repeat(node: Node, least: int, most: int | None = None) -> Node:
    """The node at least and at most so many times; `most` None: without end."""
    if most is not None and most < least:
        return NEVER
    if most == 0 or node == EMPTY:
        return EMPTY
    if node == NEVER:
        return EMPTY if least == 0 else NEVER
    return node if least == most == 1 else Repeat(node, least, most)


@dataclass
class Grammar:
    """Rules by name."""

    rules: dict[str, Node] = field(default_factory=dict)
    shared: dict[str, Rule] = field(default_factory=dict)
    """Rules that many may use, by what they are for."""
    _taken: set[str] = field(default_factory=lambda: {"root"})
    _counts: dict[str, int] = field(default_factory=dict)
    """The last number behind each name that was wanted again."""

    def reserve(self, hint: str) -> Rule:
        """A rule of a new name that resembles `hint`; `define` it before the end."""
        kept = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in hint)
        base = kept.strip("-")[:32] or "rule"
        name, number = base, self._counts.get(base, 1)
        while name in self._taken:
            number += 1
            name = f"{base}-{number}"
        self._counts[base] = number
        self._taken.add(name)
        return Rule(name)

    def define(self, rule: Rule, node: Node) -> Rule:
        """Say what a reserved rule is."""
        self.rules[rule.name] = node
        return rule

    def add(self, hint: str, node: Node) -> Rule:
        """A new rule."""
        return self.define(self.reserve(hint), node)

    def text(self, root: Node) -> str | None:
        """The grammar in GBNF with a rule `root`, or None when nothing at all matches it."""
        ending = self._ending_rules()
        pruned = _without_endless(root, ending)
        if pruned == NEVER:
            return None
        kept = {name: _without_endless(self.rules[name], ending) for name in ending}
        writer = _Writer(self, kept)
        return writer.write(pruned)

    def _ending_rules(self) -> set[str]:
        """Rules that match some text of finite length."""
        ending: set[str] = set()
        known = -1
        while known < len(ending):
            known = len(ending)
            for name, node in self.rules.items():
                if name not in ending and _ends(node, ending):
                    ending.add(name)
        return ending


def _ends(node: Node, ending: set[str]) -> bool:
    match node:
        case Chain(parts):
            return all(_ends(part, ending) for part in parts)
        case Choice(options):
            return any(_ends(option, ending) for option in options)
        case Repeat(repeated, least, _):
            return least == 0 or _ends(repeated, ending)
        case Rule(name):
            return name in ending
        case Characters(ranges):
            return bool(ranges)
        case Literal():
            return True


def _without_endless(node: Node, ending: set[str]) -> Node:
    match node:
        case Chain(parts):
            return chain(*(_without_endless(part, ending) for part in parts))
        case Choice(options):
            kept = (_without_endless(option, ending) for option in options)
            return choice(*(option for option in kept if option != NEVER))
        case Repeat(repeated, least, most):
            return repeat(_without_endless(repeated, ending), least, most)
        case Rule(name):
            return node if name in ending else NEVER
        case Characters(()):
            return NEVER
        case _:
            return node


class _Writer:
    """Writes the rules that the root needs, each once."""

    def __init__(self, grammar: Grammar, rules: dict[str, Node]) -> None:
        self._grammar = grammar
        self._rules = rules
        self._written: dict[str, str] = {}
        self._pending: list[str] = []
        self._blocks: dict[tuple[Node, int], Rule] = {}

    def write(self, root: Node) -> str:
        self._written["root"] = self._node(root)
        while self._pending:
            name = self._pending.pop()
            if name not in self._written:
                self._written[name] = self._node(self._rules[name])
        return "".join(f"{name} ::= {body}\n" for name, body in self._written.items())

    def _node(self, node: Node) -> str:
        match node:
            case Literal(text):
                return _literal(text)
            case Characters(ranges):
                return _characters(ranges)
            case Chain(parts):
                return " ".join(self._inner(part) for part in parts) or '""'
            case Choice(options):
                return " | ".join(self._node(option) for option in options)
            case Repeat(repeated, least, most):
                return self._repeat(repeated, least, most)
            case Rule(name):
                self._pending.append(name)
                return name

    def _inner(self, node: Node) -> str:
        written = self._node(node)
        return f"({written})" if isinstance(node, Choice) else written

    def _repeat(self, node: Node, least: int, most: int | None) -> str:
        if max(least, most or 0) > BLOCK:
            return self._node(self._many(node, least, most))
        plain = isinstance(node, Characters | Rule) or _is_character(node)
        written = self._node(node) if plain else f"({self._node(node)})"
        signs = {(0, None): "*", (1, None): "+", (0, 1): "?"}
        most_text = "" if most is None else str(most)
        count = f"{{{least}}}" if least == most else f"{{{least},{most_text}}}"
        return written + signs.get((least, most), count)

    def _many(self, node: Node, least: int, most: int | None) -> Node:
        blocks, rest = divmod(least, BLOCK)
        needed = [self._block(node)] * blocks + [repeat(node, rest, rest)]
        more = repeat(node, 0) if most is None else self._up_to(node, most - least)
        return chain(*needed, more)

    def _block(self, node: Node) -> Node:
        return self._shared(node, -1, repeat(node, BLOCK, BLOCK))

    def _up_to(self, node: Node, count: int) -> Node:
        if count <= BLOCK:
            return repeat(node, 0, count)
        fewer = repeat(node, 0, BLOCK - 1)
        # A whole block, then the rest; or less than a block: no text has two readings.
        body = choice(chain(self._block(node), self._up_to(node, count - BLOCK)), fewer)
        return self._shared(node, count, body)

    def _shared(self, node: Node, count: int, body: Node) -> Rule:
        known = self._blocks.get((node, count))
        if known is None:
            known = self._blocks[node, count] = self._grammar.reserve("many")
            self._rules[known.name] = body
        return known


def _is_character(node: Node) -> bool:
    return isinstance(node, Literal) and len(node.text) == 1


def _literal(text: str) -> str:
    return '"' + "".join(map(_in_literal, text)) + '"'


def _in_literal(sign: str) -> str:
    if sign in '"\\':
        return "\\" + sign
    return sign if sign.isprintable() else _code(ord(sign))


def _characters(ranges: Iterable[tuple[int, int]]) -> str:
    shown = [
        _in_class(first) if first == last else f"{_in_class(first)}-{_in_class(last)}"
        for first, last in ranges
    ]
    return "[" + "".join(shown) + "]"


def _in_class(code: int) -> str:
    sign = chr(code)
    return sign if sign.isascii() and sign.isalnum() else _code(code)


def _code(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
