"""Answers that must be tool calls: a family's format as a grammar."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from dmr_tui.engine.request import Tool
from dmr_tui.engine.text.grammar.compile import satisfying
from dmr_tui.engine.text.grammar.gbnf import Grammar, Node, chain, choice, repeat
from dmr_tui.engine.text.tools.families import (
    COMMAND,
    DEEPSEEK,
    FUNCTOOLS,
    GENERIC,
    KIMI,
    LLAMA,
    PHI,
    Form,
)
from dmr_tui.engine.text.tools.markup import MarkupCalls
from dmr_tui.engine.text.tools.mistral import MistralCalls

MOST_CALLS = 8
"""Calls of one answer: a small model might write them without end."""

_ANYTHING: dict[str, Any] = {"type": "object"}


def parameters(tool: Tool) -> dict[str, Any]:
    """The schema of a tool's arguments: always one of an object."""
    schema = tool.function.parameters or _ANYTHING
    return {"type": "object", **schema} if "$ref" not in schema else schema


def forced_format(form: Form) -> Form:
    """The format in which forced calls are written: native, where arguments are JSON."""
    known = form in (PHI, COMMAND, FUNCTOOLS, DEEPSEEK, KIMI, LLAMA)
    return form if known or isinstance(form, MarkupCalls | MistralCalls) else GENERIC


def forced_calls(
    form: Form, template: str, tools: Sequence[Tool], grammar: Grammar, *, parallel: bool
) -> Node:
    """The grammar of one call or more.

    Args:
        form: of `forced_format`.
        template: Jinja text: some families have two formats.
        tools: those that may be called.
        grammar: takes the rules.
        parallel: there may be more than one call.

    Raises:
        InvalidRequestError: no grammar can hold a tool's parameters.
    """
    most = MOST_CALLS if parallel else 1
    arguments = [
        (tool.function.name, satisfying(parameters(tool), grammar, param="tools")) for tool in tools
    ]

    def calls(write: Callable[[str, Node], Node]) -> Node:
        return grammar.add("call", choice(*(write(name, given) for name, given in arguments)))

    if isinstance(form, MarkupCalls):
        return _several(calls(_tagged), "\n", most)
    if isinstance(form, MistralCalls) and "[ARGS]" in template:
        return _several(calls(_mistral), "", most)
    if form == DEEPSEEK:
        fenced = "```json" in template
        node = calls(lambda name, given: _deepseek(name, given, fenced=fenced))
        return chain("<｜tool▁calls▁begin｜>", _several(node, "\n", most), "<｜tool▁calls▁end｜>")
    if form == KIMI:
        return _kimi(calls(_kimi_call), most)
    if form == LLAMA:
        return calls(lambda name, given: _json(name, given, "name", "parameters"))
    if form == COMMAND:
        listed = _several(calls(_command), ", ", most)
        return chain("<|START_ACTION|>[", listed, "]<|END_ACTION|>")
    one = calls(_json)
    listed = chain("[", _several(one, ", ", most), "]")
    if form == GENERIC:
        return choice(one, listed) if parallel else one
    opener = form.openers[0]
    return chain(opener, listed, "<|/tool_call|>" if form == PHI else "")


def _several(call: Node, separator: str, most: int) -> Node:
    return chain(call, repeat(chain(separator, call), 0, most - 1))


def _json(name: str, given: Node, key: str = "name", arguments: str = "arguments") -> Node:
    return chain(f'{{"{key}": {json.dumps(name)}, "{arguments}": ', given, "}")


def _tagged(name: str, given: Node) -> Node:
    return chain("<tool_call>\n", _json(name, given), "\n</tool_call>")


def _mistral(name: str, given: Node) -> Node:
    return chain(f"[TOOL_CALLS]{name}[ARGS]", given)


def _command(name: str, given: Node) -> Node:
    beginning = f'{{"tool_call_id": "0", "tool_name": {json.dumps(name)}, "parameters": '
    return chain(beginning, given, "}")


def _deepseek(name: str, given: Node, *, fenced: bool) -> Node:
    head, tail = ("function<｜tool▁sep｜>", "\n```json\n") if fenced else ("", "<｜tool▁sep｜>")
    close = "\n```<｜tool▁call▁end｜>" if fenced else "<｜tool▁call▁end｜>"
    return chain(f"<｜tool▁call▁begin｜>{head}{name}{tail}", given, close)


def _kimi_call(name: str, given: Node) -> Node:
    head = f"<|tool_call_begin|>functions.{name}:0<|tool_call_argument_begin|>"
    return chain(head, given, "<|tool_call_end|>")


def _kimi(call: Node, most: int) -> Node:
    several = _several(call, "", most)
    return chain("<|tool_calls_section_begin|>", several, "<|tool_calls_section_end|>")
