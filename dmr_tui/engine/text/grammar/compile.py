"""The grammars of whole answers."""

from __future__ import annotations

import re
from typing import Any

from dmr_tui.engine.text.grammar.gbnf import Grammar, Node
from dmr_tui.engine.text.grammar.json_text import JSON
from dmr_tui.engine.text.grammar.problem import SchemaProblem
from dmr_tui.engine.text.grammar.schema import SchemaCompiler
from dmr_tui.errors import InvalidRequestError

MAX_BYTES = 4 * 1024 * 1024
"""Longest text of a grammar."""

MAX_NESTING = 500
"""Most parentheses in each other: llama.cpp's parser recurses, up to the end of its stack."""

MAX_RULES = 20_000
"""Most rules, groups and repetitions: its search for left recursion recurses through them."""

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"?|\[(?:[^\]\\]|\\.)*+\]?|<[^>]*+>?|#[^\r\n]*+', re.DOTALL)
"""Texts, classes of characters, tokens and comments, in which a sign is none.

One that is cut off goes to the end: to look for its own end at each sign would take for ever.
"""


def check_grammar(text: str) -> None:
    """Check what llama.cpp's parser does not survive; whether it is a grammar, that one tells.

    Raises:
        InvalidRequestError: the grammar is too long, nests too deep, or has too many rules.
    """
    if len(text) > MAX_BYTES:
        raise InvalidRequestError("grammar: it is too long", param="grammar")
    plain = _QUOTED.sub("", text)
    if plain.count("::=") + sum(map(plain.count, "(*+?{")) > MAX_RULES:
        raise InvalidRequestError(
            f"grammar: there are more than {MAX_RULES} rules, groups and repetitions",
            param="grammar",
        )
    depth = deepest = 0
    for sign in plain:
        depth += (sign == "(") - (sign == ")")
        deepest = max(deepest, depth)
    if deepest > MAX_NESTING:
        raise InvalidRequestError(
            f"grammar: parentheses nest deeper than {MAX_NESTING}", param="grammar"
        )


def any_object(grammar: Grammar) -> Node:
    """Any JSON object."""
    return JSON(grammar).any_object


def satisfying(schema: Any, grammar: Grammar, *, param: str) -> Node:
    """A JSON value that satisfies a schema.

    Args:
        schema: the whole document: references are looked up in it.
        grammar: takes the rules.
        param: the request's field that the schema came with.

    Raises:
        InvalidRequestError: no grammar can hold a keyword; the message names it and its path.
    """
    try:
        return SchemaCompiler(schema, grammar).compile(schema)
    except SchemaProblem as problem:
        raise InvalidRequestError(f"{param}: {problem}", param=param) from problem
    except RecursionError as error:
        raise InvalidRequestError(f"{param}: the schema nests too deep", param=param) from error


def write(grammar: Grammar, root: Node, *, param: str) -> str:
    """The grammar's text.

    Raises:
        InvalidRequestError: nothing satisfies it, or it is too large.
    """
    text = grammar.text(root)
    if text is None:
        raise InvalidRequestError(f"{param}: nothing can satisfy the schema", param=param)
    if len(text) > MAX_BYTES:
        raise InvalidRequestError(f"{param}: the schema is too large", param=param)
    return text
