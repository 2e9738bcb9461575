"""Answers that are held to be tool calls: each family's own format as a grammar."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from dmr_tui.engine.request import Tool
from dmr_tui.engine.text.grammar import charset
from dmr_tui.engine.text.grammar.compile import any_object, satisfying
from dmr_tui.engine.text.grammar.gbnf import (
    Characters,
    Grammar,
    Node,
    chain,
    choice,
    optional,
    repeat,
)
from dmr_tui.engine.text.tools.families import (
    COMMAND,
    DEEPSEEK,
    GENERIC,
    KIMI,
    Form,
)
from dmr_tui.engine.text.tools.gemma import EscapedCalls, PythonCalls
from dmr_tui.engine.text.tools.harmony import CHANNEL, CONSTRAIN, MESSAGE, RECIPIENT
from dmr_tui.engine.text.tools.llama import BUILT_IN, TAG, LlamaCalls
from dmr_tui.engine.text.tools.markup import MarkupCalls
from dmr_tui.engine.text.tools.mistral import MistralCalls
from dmr_tui.engine.text.tools.notation import Notation, holds
from dmr_tui.engine.text.tools.tagged import arg_tags, parameter_tags
from dmr_tui.errors import InvalidRequestError

MOST_CALLS = 8
"""Calls of one answer: a small model might write them without end."""

_ANYTHING: dict[str, Any] = {"type": "object"}
_ALPHANUMERIC = Characters(charset.union([(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)]))
_SPACE = optional(choice(" ", chain("\n", repeat(Characters(charset.of(" ")), 0, 16))))

Write = Callable[[Tool], Node]


def parameters(tool: Tool) -> dict[str, Any]:
    """The schema of a tool's arguments: always one of an object."""
    schema = tool.function.parameters or _ANYTHING
    return {"type": "object", **schema} if "$ref" not in schema else schema


def forced_format(form: Form, tools: Sequence[Tool]) -> Form:
    """The format in which calls are forced: native, where that can hold all of the parameters."""
    loose = isinstance(form, EscapedCalls | PythonCalls)
    if loose and not all(holds(parameters(tool)) for tool in tools):
        return GENERIC
    return form


class CallGrammar:
    """Writes calls in one family's format, as rules of one grammar."""

    def __init__(self, form: Form, template: str, grammar: Grammar, *, strict: bool) -> None:
        """Prepare.

        Args:
            form: the family's.
            template: Jinja text: some families have two formats.
            grammar: takes the rules.
            strict: refuse parameters that no grammar can hold; else they may be any object.
        """
        self._form = form
        self._template = template
        self._grammar = grammar
        self._strict = strict

    def calls(self, tools: Sequence[Tool], *, parallel: bool, opened: bool = False) -> Node:
        """One call or more.

        Args:
            tools: those that may be called.
            parallel: there may be more than one call.
            opened: begin with the first call's own marker, not with one around all of them.

        Raises:
            InvalidRequestError: no grammar can hold a tool's parameters.
        """
        most = MOST_CALLS if parallel else 1

        def one(write: Write) -> Node:
            return self._grammar.add("call", choice(*map(write, tools)))

        form = self._form
        if isinstance(form, MarkupCalls):
            return _several(one(self._markup()), "\n", most)
        if isinstance(form, EscapedCalls):
            return _several(one(self._escaped(form)), "", most)
        if isinstance(form, PythonCalls):
            listed = _several(one(self._python), "\n", most)
            return chain("```tool_code\n", listed, "\n```")
        if isinstance(form, MistralCalls) and "[ARGS]" in self._template:
            return _several(one(self._mistral), "", most)
        if form == DEEPSEEK:
            listed = _several(one(self._deepseek()), _SPACE, most)
            return _around("<｜tool▁calls▁begin｜>", listed, "<｜tool▁calls▁end｜>", opened)
        if form == KIMI:
            listed = _several(one(self._kimi), "", most)
            return _around(
                "<|tool_calls_section_begin|>", listed, "<|tool_calls_section_end|>", opened
            )
        if isinstance(form, LlamaCalls):
            return self._llama(form, tools, opened)
        if form == COMMAND:
            listed = _several(one(self._command), chain(",", _SPACE), most)
            return chain("<|START_ACTION|>[", _SPACE, listed, _SPACE, "]<|END_ACTION|>")
        call = one(self._json)
        listed = chain("[", _several(call, chain(",", _SPACE), most), "]")
        if form == GENERIC:
            fenced = chain("```json\n", call, "\n```")
            return choice(call, fenced, *([listed] if parallel else []))
        opener = chain(form.openers[0])
        if isinstance(form, MistralCalls):
            listed = chain("[", _several(one(self._identified), chain(",", _SPACE), most), "]")
        return chain(opener, listed, "<|/tool_call|>" if "<|/tool_call|>" in self._template else "")

    def harmony(self, tools: Sequence[Tool]) -> Node:
        """One call of gpt-oss's, from `to=functions.` on; see `engine.text.tools.harmony`."""
        channel = optional(chain(CHANNEL, choice("commentary", "analysis")))
        kind = optional(chain(optional(chain(CONSTRAIN)), "json"))
        header = chain(channel, optional(chain(" ")), kind, MESSAGE)
        calls = (chain(tool.function.name, header, self._arguments(tool)) for tool in tools)
        return chain(RECIPIENT, choice(*calls))

    def _arguments(self, tool: Tool) -> Node:
        try:
            return satisfying(parameters(tool), self._grammar, param="tools")
        except InvalidRequestError:
            if self._strict:
                raise
            return any_object(self._grammar)

    def _llama(self, form: LlamaCalls, tools: Sequence[Tool], opened: bool) -> Node:
        """A call in JSON; once its tag has come, also what only that can open."""
        calls = [self._json(tool, arguments="parameters") for tool in tools]
        tagged = list(calls)
        if opened:
            built_in = (tool for tool in tools if tool.function.name in BUILT_IN)
            tagged += [
                chain(f"{tool.function.name}.call", self._keywords(tool)) for tool in built_in
            ]
            if form.code is not None:
                tagged = [repeat(Characters(charset.UNICODE), 1)]
        return choice(*calls, chain(TAG, choice(*tagged)))

    def _json(self, tool: Tool, key: str = "name", arguments: str = "arguments") -> Node:
        name = json.dumps(tool.function.name)
        colon = chain(":", _SPACE)
        head = chain(f'{{"{key}"', colon, f"{name},", _SPACE, f'"{arguments}"', colon)
        return chain(head, self._arguments(tool), "}")

    def _identified(self, tool: Tool) -> Node:
        """Mistral's models add an id of nine letters."""
        id_ = optional(chain(', "id": "', repeat(_ALPHANUMERIC, 9, 9), '"'))
        head = chain(f'{{"name": {json.dumps(tool.function.name)}, "arguments": ')
        return chain(head, self._arguments(tool), id_, "}")

    def _markup(self) -> Write:
        """The format between tags that a template shows."""
        if "<arg_key>" in self._template:
            return lambda tool: chain(
                "<tool_call>", self._tagged(tool, arg_tags), optional(chain("\n")), "</tool_call>"
            )
        inside: Write = self._json
        if "<function=" in self._template:
            write = self._coder if "<parameter=" in self._template else self._function
            if "<tool_call>" not in self._template:
                return write
            inside = write
        return lambda tool: chain("<tool_call>", _SPACE, inside(tool), _SPACE, "</tool_call>")

    def _coder(self, tool: Tool) -> Node:
        return chain("<function=", self._tagged(tool, parameter_tags), "</function>")

    def _function(self, tool: Tool) -> Node:
        head = f"<function={tool.function.name}>"
        return chain(head, _SPACE, self._arguments(tool), _SPACE, "</function>")

    def _tagged(self, tool: Tool, tags: Callable[[str, Any, Grammar], Node]) -> Node:
        try:
            return tags(tool.function.name, parameters(tool), self._grammar)
        except InvalidRequestError:
            if self._strict:
                raise
            return tags(tool.function.name, _ANYTHING, self._grammar)

    def _escaped(self, form: EscapedCalls) -> Write:
        notation = Notation.escaped(self._grammar, form.quote)

        def write(tool: Tool) -> Node:
            members = notation.members(parameters(tool))
            return chain(f"{form.opener}call:{tool.function.name}{{", members, f"}}{form.closer}")

        return write

    def _python(self, tool: Tool) -> Node:
        return chain(tool.function.name, self._keywords(tool))

    def _keywords(self, tool: Tool) -> Node:
        return chain("(", Notation.python(self._grammar).members(parameters(tool)), ")")

    def _mistral(self, tool: Tool) -> Node:
        return chain(f"[TOOL_CALLS]{tool.function.name}[ARGS]", self._arguments(tool))

    def _command(self, tool: Tool) -> Node:
        name = json.dumps(tool.function.name)
        digits = repeat(Characters(charset.of("0123456789")), 1, 2)
        head = chain('{"tool_call_id": "', digits, f'", "tool_name": {name}, "parameters": ')
        return chain(head, self._arguments(tool), "}")

    def _deepseek(self) -> Write:
        """As R1 and V3 write it, or as V3.1 does."""
        fenced = "```json" in self._template
        head, tail = ("function<｜tool▁sep｜>", "\n```json\n") if fenced else ("", "<｜tool▁sep｜>")
        close = "\n```<｜tool▁call▁end｜>" if fenced else "<｜tool▁call▁end｜>"
        return lambda tool: chain(
            f"<｜tool▁call▁begin｜>{head}{tool.function.name}{tail}", self._arguments(tool), close
        )

    def _kimi(self, tool: Tool) -> Node:
        digits = repeat(Characters(charset.of("0123456789")), 1, 2)
        head = chain(f"<|tool_call_begin|>functions.{tool.function.name}:", digits)
        return chain(
            head, "<|tool_call_argument_begin|>", self._arguments(tool), "<|tool_call_end|>"
        )


def _several(call: Node, separator: Node | str, most: int) -> Node:
    return chain(call, repeat(chain(separator, call), 0, most - 1))


def _around(opening: str, calls: Node, closing: str, opened: bool) -> Node:
    return chain("" if opened else opening, calls, closing)
