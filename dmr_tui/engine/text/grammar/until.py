"""Text of any kind, up to a marker."""

from __future__ import annotations

from dmr_tui.engine.text.grammar import charset
from dmr_tui.engine.text.grammar.gbnf import Characters, Grammar, Node, Rule, chain, choice


def until(marker: str, grammar: Grammar) -> Node:
    """Any text that ends with a marker and has none before.

    The automaton of Knuth, Morris and Pratt: a rule for every beginning of the marker that may be
    the end of what has been written.
    """
    known = grammar.shared.get(f"until {marker}")
    if known is not None:
        return known
    states = [grammar.reserve("until") for _ in marker]
    for matched, state in enumerate(states):
        grammar.define(state, choice(*_steps(marker, matched, states)))
    grammar.shared[f"until {marker}"] = states[0]
    return states[0]


def _steps(marker: str, matched: int, states: list[Rule]) -> list[Node]:
    steps: list[Node] = []
    for sign in dict.fromkeys(marker):
        length = _longest(marker, marker[:matched] + sign)
        steps.append(chain(sign, states[length]) if length < len(marker) else chain(sign))
    others = charset.difference(charset.UNICODE, charset.of(marker))
    return [*steps, chain(Characters(others), states[0])]


def _longest(marker: str, text: str) -> int:
    """Length of the longest beginning of the marker that the text ends with."""
    return next(size for size in range(len(text), -1, -1) if text.endswith(marker[:size]))
