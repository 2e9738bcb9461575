"""Answers that are held to be tool calls: each family's own format as a grammar."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from dmr_tui.engine.request import Tool
from dmr_tui.engine.text.grammar import charset
from dmr_tui.engine.text.grammar.compile import any_object, satisfying
from dmr_tui.engine.text.grammar.flatten import APPLICATORS, Flattener
from dmr_tui.engine.text.grammar.gbnf import (
    Characters,
    Grammar,
    Node,
    chain,
    choice,
    optional,
    repeat,
)
from dmr_tui.engine.text.grammar.problem import SchemaProblem
from dmr_tui.engine.text.pieces import Call
from dmr_tui.engine.text.tools.families import (
    COMMAND,
    GENERIC,
    KIMI,
    LFM2,
    PHI,
    Form,
    closer_of,
)
from dmr_tui.engine.text.tools.gemma import EscapedCalls, PythonCalls
from dmr_tui.engine.text.tools.harmony import CHANNEL, CONSTRAIN, MESSAGE, RECIPIENT
from dmr_tui.engine.text.tools.invoke import InvokeCalls
from dmr_tui.engine.text.tools.json_calls import JSONCalls, NamedCalls
from dmr_tui.engine.text.tools.llama import BUILT_IN, TAG, LlamaCalls
from dmr_tui.engine.text.tools.markup import SEED, SEED_END, MarkupCalls
from dmr_tui.engine.text.tools.mistral import MistralCalls
from dmr_tui.engine.text.tools.notation import Notation, holds
from dmr_tui.engine.text.tools.reading import properties_of, write_json
from dmr_tui.engine.text.tools.tagged import arg_tags, invoke_tags, parameter_tags, tags_hold
from dmr_tui.errors import InvalidRequestError

MOST_CALLS = 8
"""Calls of one answer: a small model might write them without end."""

_ANYTHING: dict[str, Any] = {"type": "object"}
_NOTHING: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
_SILENT = frozenset({"type", "properties", "required", "title", "description", "$schema"})
"""Keywords that, with no property among them, tell of no parameter."""

_ALPHANUMERIC = Characters(charset.union([(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)]))
_SPACE = optional(choice(" ", chain("\n", repeat(Characters(charset.of(" ")), 0, 16))))

_COMMA = chain(",", _SPACE)
_COLON = chain(":", _SPACE)
_LINE = optional(chain("\n"))

Write = Callable[[Tool], Node]


def parameters(tool: Tool) -> dict[str, Any]:
    """The schema of a tool's arguments: always one of an object.

    A tool that tells of none has none, as in OpenAI's API, and not any at all as in JSON Schema.
    """
    schema = _without_branches(tool.function.parameters or {})
    if schema.keys() <= _SILENT and not schema.get("properties") and not schema.get("required"):
        return _NOTHING
    return {**schema, "type": "object"} if "$ref" not in schema else schema


def arguments(tool: Tool, grammar: Grammar, *, loose: bool) -> Node:
    """A tool's arguments in JSON.

    Args:
        tool: that is called.
        grammar: takes the rules.
        loose: parameters that no grammar can hold may be any object.

    Raises:
        InvalidRequestError: no grammar can hold them.
    """
    try:
        return satisfying(parameters(tool), grammar, param="tools")
    except InvalidRequestError:
        if not loose:
            raise
        return any_object(grammar)


def _without_branches(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema as its own properties, if a reference or `allOf` is all that is between."""
    if not any(keyword in schema for keyword in APPLICATORS):
        return schema
    with suppress(SchemaProblem, RecursionError):
        flats = Flattener(schema).flatten(schema, "#")
        return flats[0] if len(flats) == 1 else schema
    return schema


def forced_format(form: Form, template: str, tools: Sequence[Tool]) -> Form:
    """The format in which calls are forced: native, where that can hold all of the parameters."""
    loose = isinstance(form, EscapedCalls | PythonCalls)
    if loose and not all(holds(parameters(tool)) for tool in tools):
        return GENERIC
    if isinstance(form, PythonCalls) and not all(_is_python(form, tool) for tool in tools):
        return GENERIC
    if _in_tags(form, template) and not all(tags_hold(parameters(tool)) for tool in tools):
        return GENERIC
    return form


def _in_tags(form: Form, template: str) -> bool:
    """Whether each argument has a tag of its own."""
    tags = (SEED, "<arg_key>", "<parameter=")
    markup = isinstance(form, MarkupCalls) and any(tag in template for tag in tags)
    return markup or isinstance(form, InvokeCalls)


def _is_python(form: PythonCalls, tool: Tool) -> bool:
    """Whether the names of a tool and its arguments are read in Python as what they are."""
    name, values = tool.function.name, dict.fromkeys(properties_of(parameters(tool)), 0)
    call = f"{name}({', '.join(f'{key}=0' for key in values)})"
    read = form.read(f"{form.opener}{call}{form.closer}", final=True)
    return read is not None and read.calls == (Call(name, write_json(values)),)


class CallGrammar:
    """Writes calls in one family's format, as rules of one grammar."""

    def __init__(
        self,
        form: Form,
        template: str,
        grammar: Grammar,
        tools: Sequence[Tool],
        *,
        parallel: bool = False,
        opened: bool = False,
        loose: bool = False,
    ) -> None:
        """Prepare.

        Args:
            form: the family's.
            template: Jinja text: some families have two formats.
            grammar: takes the rules.
            tools: those that may be called.
            parallel: there may be more than one call.
            opened: the first call has begun, unasked: there is no marker around all of them, and
                parameters that no grammar can hold are no mistake, but may be any object.
            loose: so they may be of tools that are not strict: the answer need not be a call.
        """
        self._form = form
        self._template = template
        self._grammar = grammar
        self._tools = tools
        self._most = MOST_CALLS if parallel else 1
        self._opened = opened
        self._loose = loose
        self._known: dict[Write, Node] = {}

    def calls(self) -> Node:
        """One call or more.

        Raises:
            InvalidRequestError: no grammar can hold a tool's parameters.
        """
        match self._form:
            case MarkupCalls() if SEED in self._template:
                begin, end = f"{SEED}\n", f"\n{SEED_END}"
                listed = self._several(self._coder, f"{end}\n{begin}")
                return chain("" if self._opened else begin, listed, end)
            case MarkupCalls():
                return self._several(self._markup(), "\n")
            case EscapedCalls() as form:
                return self._several(self._escaped(form), "")
            case PythonCalls() as form:
                return self._in_python(form)
            case InvokeCalls() as form:
                listed = self._several(self._invoke(form), _LINE)
                closers = choice(*(f"</{name}>" for name in form.around))
                opening = "" if self._opened else f"<{form.around[0]}>\n"
                return chain(opening, listed, optional(chain("\n", closers)))
            case LlamaCalls() as form:
                return self._llama(form)
            case NamedCalls() as form:
                begin, end = form.noise[:2]
                write = self._kimi if form == KIMI else self._deepseek()
                listed = self._several(write, "" if form == KIMI else _LINE)
                return chain("" if self._opened else begin, listed, end)
            case MistralCalls() as form:
                if "[ARGS]" in self._template:
                    return self._several(self._mistral, "")
                return chain(form.openers[0], "[", self._several(self._identified, _COMMA), "]")
            case JSONCalls() as form:
                return self._in_json(form)

    def _in_json(self, form: JSONCalls) -> Node:
        """Calls in JSON, in a list where the family has it."""
        if form == COMMAND:
            listed = self._several(self._command, _COMMA)
            return chain(form.openers[0], "[", _SPACE, listed, _SPACE, "]", form.closer)
        listed = chain("[", self._several(self._json, _COMMA), "]")
        if form == GENERIC:
            call = self._one(self._json)
            fenced = chain("```json\n", call, "\n```")
            return choice(call, fenced, *([listed] if self._most > 1 else []))
        if form == PHI:
            return chain(form.openers[0], listed, closer_of(form, self._template))
        if not form.closer:
            return chain(form.openers[0], listed)
        lines = self._several(self._json, "\n")
        return chain(form.openers[0], _SPACE, choice(listed, lines), _SPACE, form.closer)

    def _in_python(self, form: PythonCalls) -> Node:
        if form == LFM2:
            return chain(form.opener, "[", self._several(self._python, _COMMA), "]", form.closer)
        return chain(form.opener, "\n", self._several(self._python, "\n"), "\n", form.closer)

    def _one(self, write: Write) -> Node:
        """A call of any of the tools, however often it is asked for."""
        known = self._known.get(write)
        if known is None:
            call = choice(*map(write, self._tools))
            known = self._known[write] = self._grammar.add("call", call)
        return known

    def _several(self, write: Write, separator: Node | str) -> Node:
        call = self._one(write)
        return chain(call, repeat(chain(separator, call), 0, self._most - 1))

    def harmony(self) -> Node:
        """One call of gpt-oss's, from `to=functions.` on; see `engine.text.tools.harmony`."""
        channel = optional(chain(CHANNEL, choice("commentary", "analysis")))
        # Without a blank before it, `json` would be read as a part of the tool's name.
        kind = choice(" json", chain(optional(chain(" ")), optional(chain(CONSTRAIN, "json"))))
        header = chain(channel, kind, MESSAGE)
        return chain(
            RECIPIENT,
            self._one(lambda tool: chain(tool.function.name, header, self._arguments(tool))),
        )

    def _arguments(self, tool: Tool) -> Node:
        return arguments(tool, self._grammar, loose=self._may_be_any(tool))

    def _may_be_any(self, tool: Tool) -> bool:
        """Whether parameters that no grammar can hold are no mistake."""
        return self._opened or (self._loose and not tool.function.strict)

    def _llama(self, form: LlamaCalls) -> Node:
        """A call in JSON; once its tag has come, also what only that can open."""
        calls = [self._typed(tool) for tool in self._tools]
        tagged = list(calls)
        if self._opened:
            built_in = (tool for tool in self._tools if tool.function.name in BUILT_IN)
            tagged += [
                chain(f"{tool.function.name}.call", self._keywords(tool)) for tool in built_in
            ]
            if form.code is not None:
                tagged = [repeat(Characters(charset.UNICODE), 1)]
        return choice(*calls, chain(TAG, choice(*tagged)))

    def _typed(self, tool: Tool) -> Node:
        """As Llama's models write it: many say first that it is a function."""
        kind = optional(chain('"type"', _COLON, '"function"', _COMMA))
        return self._json(tool, chain(kind, choice('"name"', '"function"')), "parameters")

    def _json(self, tool: Tool, key: Node | str = '"name"', arguments: str = "arguments") -> Node:
        name = json.dumps(tool.function.name)
        head = chain("{", key, _COLON, name, _COMMA, f'"{arguments}"', _COLON)
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
                "<tool_call>", self._tagged(tool, arg_tags), _LINE, "</tool_call>"
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
            if not self._may_be_any(tool):
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
        id_: Node | str = ""
        if "[CALL_ID]" in self._template:
            id_ = optional(chain("[CALL_ID]", repeat(_ALPHANUMERIC, 9, 9)))
        head = chain(f"[TOOL_CALLS]{tool.function.name}", id_, "[ARGS]")
        return chain(head, self._arguments(tool))

    def _invoke(self, form: InvokeCalls) -> Write:
        return lambda tool: self._tagged(tool, partial(invoke_tags, form))

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
