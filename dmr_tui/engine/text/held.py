"""The grammars that answers are held to: JSON, tool calls, and thoughts before them.

Programs ask for the same forms and offer the same tools again and again, so what has been made is
kept: a large one takes longer than a pass of a small model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from dmr_tui.engine.request import JSONAnswer, Tool
from dmr_tui.engine.text.grammar import charset
from dmr_tui.engine.text.grammar.compile import any_object, satisfying, write
from dmr_tui.engine.text.grammar.gbnf import (
    EMPTY,
    Characters,
    Grammar,
    Node,
    chain,
    choice,
    optional,
    repeat,
)
from dmr_tui.engine.text.grammar.until import until
from dmr_tui.engine.text.reasoning import find_markers
from dmr_tui.engine.text.tools import harmony
from dmr_tui.engine.text.tools.families import GENERIC, find_format, is_harmony
from dmr_tui.engine.text.tools.forced import CallGrammar, arguments, forced_format, parameters

_KEPT = 32
"""Grammars that are remembered."""

_KEPT_TOOLS = 256


Thinking: TypeAlias = Literal["none", "may", "begun"]


class Held(Struct, frozen=True):
    """What an answer is held to."""

    tools: list[Tool] = []
    """Those that may be called."""
    parallel: bool = True
    """There may be several calls."""
    form: JSONAnswer | None = None
    """What may come in place of calls; None with tools: the answer has to be calls."""
    thoughts: Thinking = "none"
    """Whether thoughts may come first, or have begun in the prompt; `none` in harmony's format: the
    prompt ends within the message of the answer."""


def held_grammar(held: Held, template: str) -> str:
    """The grammar of a whole answer, in GBNF.

    Args:
        held: what it is held to.
        template: Jinja text: the family's formats and markers.

    Raises:
        InvalidRequestError: no grammar can hold it, or nothing satisfies it.
    """
    return _held_grammar(msgspec.json.encode(held), template)


def call_grammar(tools: bytes, template: str, *, parallel: bool) -> str | None:
    """What an answer is held to from its first call on.

    Args:
        tools: those that were offered, as JSON.
        template: Jinja text.
        parallel: there may be several calls.
    """
    return _call_grammar(tools, template, parallel)


def check_strict(tools: Sequence[Tool]) -> None:
    """Check that the parameters of tools that ask for it can be held.

    Raises:
        InvalidRequestError: no grammar can hold one of a tool's keywords.
    """
    for tool in tools:
        if tool.function.strict:
            _check_parameters(msgspec.json.encode(parameters(tool)))


@lru_cache(_KEPT_TOOLS)
def _check_parameters(schema: bytes) -> None:
    satisfying(msgspec.json.decode(schema), Grammar(), param="tools")


@lru_cache(_KEPT)
def _call_grammar(encoded: bytes, template: str, parallel: bool) -> str | None:
    tools = msgspec.json.decode(encoded, type=list[Tool])
    rules = Grammar()
    if is_harmony(template):
        return rules.text(CallGrammar(GENERIC, template, rules, tools, opened=True).harmony())
    form = find_format(template, _schemas(tools))
    calls = CallGrammar(form, template, rules, tools, parallel=parallel, opened=True)
    try:
        return rules.text(calls.calls())
    except RecursionError:
        return None  # the parameters nest too deep


@lru_cache(_KEPT)
def _held_grammar(encoded: bytes, template: str) -> str:
    held = msgspec.json.decode(encoded, type=Held)
    grammar = Grammar()
    body = _harmony(held, grammar) if is_harmony(template) else _marked(held, template, grammar)
    param = "tools" if held.tools and held.form is None else "response_format"
    return write(grammar, body, param=param)


def _marked(held: Held, template: str, grammar: Grammar) -> Node:
    options: list[Node] = []
    if held.form is not None:
        options.append(_json(held.form, grammar))
    if held.tools:
        form = forced_format(find_format(template, _schemas(held.tools)), template, held.tools)
        loose, parallel = held.form is not None, held.parallel
        calls = CallGrammar(form, template, grammar, held.tools, parallel=parallel, loose=loose)
        options.append(calls.calls())
    return chain(_thoughts(held, template, grammar), choice(*options))


def _thoughts(held: Held, template: str, grammar: Grammar) -> Node:
    if held.thoughts == "none":
        return EMPTY
    markers = find_markers(template)
    after = repeat(Characters(charset.of(" \n")), 0, 2)
    rest = chain(until(markers.closing, grammar), after)
    return rest if held.thoughts == "begun" else optional(chain(markers.opening, rest))


def _harmony(held: Held, grammar: Grammar) -> Node:
    thoughts = chain(
        f"{harmony.CHANNEL}analysis{harmony.MESSAGE}",
        until(harmony.END, grammar),
        f"{harmony.START}assistant",
    )
    begun = held.thoughts == "none"
    before = f"{harmony.END}{harmony.START}assistant" if begun else ""
    options = [
        chain(
            f"{before}{harmony.CHANNEL}commentary {harmony.RECIPIENT}{tool.function.name} "
            f"{harmony.CONSTRAIN}json{harmony.MESSAGE}",
            arguments(tool, grammar, loose=held.form is not None and not tool.function.strict),
        )
        for tool in held.tools
    ]
    if held.form is not None:
        final = "" if begun else f"{harmony.CHANNEL}final{harmony.MESSAGE}"
        options.append(chain(final, _json(held.form, grammar)))
    return chain(EMPTY if begun else optional(thoughts), choice(*options))


def _json(form: JSONAnswer, grammar: Grammar) -> Node:
    if form.schema is None:
        return any_object(grammar)
    return satisfying(form.schema, grammar, param="response_format")


def _schemas(tools: Sequence[Tool]) -> dict[str, Any]:
    return {tool.function.name: parameters(tool) for tool in tools}
