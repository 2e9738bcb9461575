"""Arguments as tags, as a grammar: Qwen3-Coder's `<parameter=…>`, GLM's `<arg_key>`, `<invoke>`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dmr_tui.engine.text.grammar import charset
from dmr_tui.engine.text.grammar.compile import satisfying
from dmr_tui.engine.text.grammar.flatten import APPLICATORS
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
from dmr_tui.engine.text.grammar.json_text import JSON, literal
from dmr_tui.engine.text.grammar.strings import FORMATS
from dmr_tui.engine.text.grammar.until import until
from dmr_tui.engine.text.tools.invoke import InvokeCalls
from dmr_tui.engine.text.tools.reading import (
    is_plain,
    is_text,
    properties_of,
    required_of,
    takes_text,
)

_KEY = Characters(charset.union([(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A), (0x5F, 0x5F)]))
_KNOWN_KEY = re.compile(r'[^\s<>"](?:[^<>"\n]{0,62}[^\s<>"])?')
"""A key that can be read in a tag."""
_LINE = optional(chain("\n"))
_MOST_KEYS = 16
"""Arguments of a tool that does not say which ones it takes."""


_NOT_HELD = frozenset(
    {
        *APPLICATORS,
        *("not", "if", "minProperties", "maxProperties", "patternProperties", "propertyNames"),
        *("dependentRequired", "dependentSchemas", "dependencies"),
    }
)
"""What may be said of all arguments together that tags do not hold."""

_TEXT_NOT_HELD = frozenset(
    {*APPLICATORS, "not", "if", "const", "pattern", "format", "minLength", "maxLength"}
)
"""What may be said of a text that is written as it is."""


def tags_hold(schema: dict[str, Any]) -> bool:
    """Whether arguments as tags always satisfy an object's schema."""
    named, others = [*properties_of(schema)], schema.get("additionalProperties", True)
    return (
        not schema.keys() & _NOT_HELD
        and all(key in named for key in required_of(schema))
        and (bool(named) or others in (True, False, {}))
        and all(_KNOWN_KEY.fullmatch(key) for key in named)
        and all(map(_text_held, properties_of(schema).values()))
    )


def _text_held(schema: Any) -> bool:
    """Whether a value, if it is text, always satisfies its schema."""
    if not takes_text(schema):
        return True  # as JSON, which is held
    choices = schema.get("enum")
    if isinstance(choices, list) and not all(map(is_plain, choices)):
        return False
    said = schema.keys() & _TEXT_NOT_HELD
    return not said or (said == {"format"} and schema["format"] not in [*FORMATS])


def parameter_tags(name: str, schema: dict[str, Any], grammar: Grammar) -> Node:
    """`name>`, then a `<parameter=key>` for each argument; what is no text may have its own line.

    Args:
        name: of the tool.
        schema: of its arguments.
        grammar: takes the rules.

    Raises:
        InvalidRequestError: no grammar can hold an argument's schema.
    """

    def argument(key: Node | str, value: Callable[[str], Node]) -> Node:
        return chain("<parameter=", key, ">", value("</parameter>"), _LINE)

    return chain(f"{name}>", _LINE, _arguments(schema, argument, grammar, loose=True))


def arg_tags(name: str, schema: dict[str, Any], grammar: Grammar) -> Node:
    """`name`, then `<arg_key>` and `<arg_value>` for each argument; as `parameter_tags`."""

    def argument(key: Node | str, value: Callable[[str], Node]) -> Node:
        head = chain(_LINE, "<arg_key>", key, "</arg_key>", _LINE, "<arg_value>")
        return chain(head, value("</arg_value>"))

    return chain(name, _arguments(schema, argument, grammar))


def invoke_tags(form: InvokeCalls, name: str, schema: dict[str, Any], grammar: Grammar) -> Node:
    """`<invoke name="…">`, its `<parameter name="…">`, and its end; as `parameter_tags`."""
    properties = schema.get("properties")

    def argument(key: Node | str, value: Callable[[str], Node]) -> Node:
        kind: Node | str = ""
        if form.typed:
            known = isinstance(key, str) and isinstance(properties, dict)
            as_text = not known or is_text({name: schema}, name, str(key))
            kind = f' string="{"true" if as_text else "false"}"'
        head = chain(f'<{form.prefix}parameter name="', key, '"', kind, ">")
        return chain(head, value(form.value_closing), _LINE)

    head = chain(f'<{form.prefix}invoke name="{name}">', _LINE)
    return chain(head, _arguments(schema, argument, grammar), form.closing)


def _arguments(
    schema: dict[str, Any],
    argument: Callable[[Node | str, Callable[[str], Node]], Node],
    grammar: Grammar,
    *,
    loose: bool = False,
) -> Node:
    """The arguments of an object's schema, in its order; any ones where it names none."""
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        if schema.get("additionalProperties") is False or properties == {}:
            return chain()
        some = argument(repeat(_KEY, 1, 64), lambda closing: until(closing, grammar))
        return repeat(grammar.add("argument", some), 0, _MOST_KEYS)
    definitions = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    required = required_of(schema)
    nodes = []
    for key, kind in properties.items():
        if not _KNOWN_KEY.fullmatch(key):
            continue
        whole = {**definitions, **kind} if isinstance(kind, dict) else kind
        node = grammar.add(f"argument-{key}", argument(key, _value(whole, grammar, loose)))
        nodes.append(node if key in required else optional(node))
    return chain(*nodes)


def _value(schema: Any, grammar: Grammar, loose: bool) -> Callable[[str], Node]:
    """A value with its closing tag: text as it is, everything else as JSON.

    Args:
        schema: of the value.
        grammar: takes the rules.
        loose: it may stand on a line of its own.
    """
    line = _LINE if loose else EMPTY
    if takes_text(schema):
        choices = schema.get("enum")
        if not isinstance(choices, list):
            return lambda closing: until(closing, grammar)
        known = filter(is_plain, choices)
        spelled = [each if isinstance(each, str) else literal(each) for each in known]
        return lambda closing: chain(line, choice(*spelled), line, closing)
    if not schema or schema is True:
        return lambda closing: chain(line, JSON(grammar).value, line, closing)
    node = satisfying(schema, grammar, param="tools")
    return lambda closing: chain(line, node, line, closing)
