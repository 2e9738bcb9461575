"""Arguments as tags, as a grammar: Qwen3-Coder's `<parameter=…>` and GLM's `<arg_key>`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dmr_tui.engine.text.grammar import charset
from dmr_tui.engine.text.grammar.compile import satisfying
from dmr_tui.engine.text.grammar.gbnf import (
    Characters,
    Grammar,
    Node,
    chain,
    choice,
    optional,
    repeat,
)
from dmr_tui.engine.text.grammar.json_text import JSON, literal
from dmr_tui.engine.text.grammar.until import until

_KEY = Characters(charset.union([(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A), (0x5F, 0x5F)]))
_MOST_KEYS = 16
"""Arguments of a tool that does not say which ones it takes."""


def parameter_tags(name: str, schema: dict[str, Any], grammar: Grammar) -> Node:
    """`name>`, then a `<parameter=key>` for each argument, with its value on lines of its own.

    Args:
        name: of the tool.
        schema: of its arguments.
        grammar: takes the rules.

    Raises:
        InvalidRequestError: no grammar can hold an argument's schema.
    """

    def argument(key: Node | str, value: Callable[[str], Node]) -> Node:
        return chain("<parameter=", key, ">\n", value("\n</parameter>"), "\n")

    return chain(f"{name}>\n", _arguments(schema, argument, grammar))


def arg_tags(name: str, schema: dict[str, Any], grammar: Grammar) -> Node:
    """`name`, then `<arg_key>` and `<arg_value>` for each argument; as `parameter_tags`."""

    def argument(key: Node | str, value: Callable[[str], Node]) -> Node:
        between = optional(chain("\n"))
        head = chain(between, "<arg_key>", key, "</arg_key>", between, "<arg_value>")
        return chain(head, value("</arg_value>"))

    return chain(name, _arguments(schema, argument, grammar))


def _arguments(
    schema: dict[str, Any],
    argument: Callable[[Node | str, Callable[[str], Node]], Node],
    grammar: Grammar,
) -> Node:
    """The arguments of an object's schema, in its order; any ones where it names none."""
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        if schema.get("additionalProperties") is False or properties == {}:
            return chain()
        some = argument(repeat(_KEY, 1, 64), lambda closing: until(closing, grammar))
        return repeat(grammar.add("argument", some), 0, _MOST_KEYS)
    definitions = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    required = schema.get("required") or []
    nodes = []
    for key, kind in properties.items():
        whole = {**definitions, **kind} if isinstance(kind, dict) else kind
        node = grammar.add(f"argument-{key}", argument(key, _value(whole, grammar)))
        nodes.append(node if key in required else optional(node))
    return chain(*nodes)


def _value(schema: Any, grammar: Grammar) -> Callable[[str], Node]:
    """A value with its closing tag: text as it is, everything else as JSON."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    choices = schema.get("enum") if isinstance(schema, dict) else None
    if choices and kind in ("string", None):
        spelled = [each if isinstance(each, str) else literal(each) for each in choices]
        return lambda closing: chain(choice(*spelled), closing)
    if kind == "string":
        return lambda closing: until(closing, grammar)
    if not schema or schema is True:
        return lambda closing: chain(JSON(grammar).value, closing)
    node = satisfying(schema, grammar, param="tools")
    return lambda closing: chain(node, closing)
