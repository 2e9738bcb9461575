"""Gemma's formats: calls as Python in a code block, and FunctionGemma's own notation.

    ```tool_code
    get_weather(city="Paris")
    ```

    <start_function_call>call:get_weather{city:<escape>Paris<escape>,days:3}<end_function_call>

Gemma 4 writes the latter with `<|tool_call>`, `<tool_call|>` and `<|"|>`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dmr_tui.engine.text.pieces import Call
from dmr_tui.engine.text.tools.reading import Reading, read_json, write_json

_FENCE = "```"

_PYTHON = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"""|\Z)|"(?:[^"\\]|\\.)*+"?'
    r"|'''(?:[^\\]|\\.)*?(?:'''|\Z)|'(?:[^'\\]|\\.)*+'?"
    r"|#[^\n]*|(?P<name>[^\s,;()\[\]{}=\"'#]++)(?P<sign>\s*[=(])?",
    re.DOTALL,
)
"""Strings, comments and words; a word is a name where an argument's value or a call follows.

A string that is cut off goes to the end: to look for its own end at each quote would take for ever.
"""


@dataclass(frozen=True)
class PythonCalls:
    """Calls with keyword arguments of literal values, in a code block or between markers."""

    opener: str = _FENCE + "tool_code"
    closer: str = _FENCE
    first_only: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()

    @property
    def openers(self) -> tuple[str, ...]:
        """See `ToolFormat.openers`."""
        return (self.opener,)

    @property
    def marks(self) -> tuple[str, ...]:
        """See `ToolFormat.marks`."""
        return (self.opener, self.closer)

    def begun(self, text: str) -> list[Call]:
        """See `ToolFormat.begun`: Python is told when it is whole."""
        return []

    def read(self, text: str, *, final: bool) -> Reading | None:
        """See `ToolFormat.read`."""
        begin = len(self.opener)
        end = text.find(self.closer, begin)
        if end < 0 and not final:
            return None
        code = text[begin:end] if end >= 0 else text[begin:]
        length = end + len(self.closer) if end >= 0 else len(text)
        return Reading(length, tuple(python_calls(code.strip())))


def python_calls(code: str) -> list[Call]:
    """The calls that some Python consists of; none when there is anything else in it.

    Tools and arguments may have names that Python has not: `from`, `user-id`.
    """
    names: dict[str, str] = {}

    def replaced(found: re.Match[str]) -> str:
        if found["sign"] is None:
            return found[0]
        stand_in = f"_{len(names)}"
        names[stand_in] = found["name"]
        return stand_in + found["sign"]

    try:
        tree = ast.parse(_PYTHON.sub(replaced, code))
        nodes: list[ast.expr] = []
        for statement in tree.body:
            if not isinstance(statement, ast.Expr):
                return []
            value = statement.value
            nodes += value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
        return [_python_call(node, names) for node in nodes]
    except (SyntaxError, ValueError, TypeError, KeyError, RecursionError, MemoryError):
        return []


def _python_call(node: ast.expr, names: Mapping[str, str]) -> Call:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ValueError("no call")
    name = names[node.func.id]
    if name == "print" and len(node.args) == 1 and isinstance(node.args[0], ast.Call):
        return _python_call(node.args[0], names)
    if node.args or any(keyword.arg is None for keyword in node.keywords):
        raise ValueError("an argument without a name")
    arguments = {names[str(each.arg)]: ast.literal_eval(each.value) for each in node.keywords}
    return Call(name.removeprefix("default_api."), write_json(arguments))


@dataclass(frozen=True)
class EscapedCalls:
    """`<opener>call:name{key:<quote>text<quote>,other:3}<closer>`."""

    opener: str = "<start_function_call>"
    closer: str = "<end_function_call>"
    quote: str = "<escape>"
    noise: tuple[str, ...] = ("<start_function_response>",)
    first_only: tuple[str, ...] = ()

    @property
    def openers(self) -> tuple[str, ...]:
        """See `ToolFormat.openers`."""
        return (self.opener,)

    @property
    def marks(self) -> tuple[str, ...]:
        """See `ToolFormat.marks`."""
        return (self.opener, self.closer, self.quote, *self.noise)

    def begun(self, text: str) -> list[Call]:
        """See `ToolFormat.begun`: argument by argument."""
        end = text.find(self.closer)
        body = text[len(self.opener) : end if end >= 0 else len(text)]
        call = _Notation(body.strip() if end >= 0 else body, self.quote).begun()
        return [] if call is None else [call]

    def read(self, text: str, *, final: bool) -> Reading | None:
        """See `ToolFormat.read`."""
        begin = len(self.opener)
        end = text.find(self.closer, begin)
        if end < 0 and not final:
            return None
        body = text[begin:end] if end >= 0 else text[begin:]
        length = end + len(self.closer) if end >= 0 else len(text)
        try:
            return Reading(length, (_Notation(body.strip(), self.quote).call(),))
        except (ValueError, RecursionError):
            return Reading(length)


class _Notation:
    """Recursive descent over one call."""

    def __init__(self, text: str, quote: str) -> None:
        self._text = text
        self._quote = quote
        self._at = 0
        self._name = ""
        self._arguments: dict[str, Any] | None = None
        """As far as they have been read; None: they have not begun."""

    def call(self) -> Call:
        """The whole text as a call."""
        call = self._read()
        if self._text[self._at :].strip():
            raise ValueError("more than a call")
        return call

    def begun(self) -> Call | None:
        """The call that a text begins with, without the argument that it may break off in."""
        try:
            return self._read()
        except (ValueError, RecursionError):
            if self._arguments is None:
                return None
            so_far = write_json(self._arguments)[:-1]
            return Call(self._name, so_far, whole=False)

    def _read(self) -> Call:
        self._expect("call:")
        self._name = self._until("{").strip()
        self._arguments = {}
        arguments = self._members(self._arguments)
        return Call(self._name, write_json(arguments))

    def _members(self, found: dict[str, Any]) -> dict[str, Any]:
        self._expect("{")
        while not self._take("}"):
            if found:
                self._expect(",")
            key = self._quoted() if self._take(self._quote) else self._until(":").strip()
            self._expect(":")
            found[key] = self._value()
        return found

    def _value(self) -> Any:
        if self._take(self._quote):
            return self._quoted()
        self._space()
        if self._text.startswith("{", self._at):
            return self._members({})
        if self._take("["):
            return self._items()
        ends = [self._text.find(sign, self._at) for sign in ",}]"]
        end = min(at for at in ends if at >= 0)
        raw, self._at = self._text[self._at : end].strip(), end
        return read_json(raw)

    def _items(self) -> list[Any]:
        found: list[Any] = []
        while not self._take("]"):
            if found:
                self._expect(",")
            found.append(self._value())
        return found

    def _quoted(self) -> str:
        text = self._until(self._quote)
        self._expect(self._quote)
        return text

    def _until(self, sign: str) -> str:
        end = self._text.index(sign, self._at)
        text, self._at = self._text[self._at : end], end
        return text

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise ValueError(f"{sign!r} is missing")

    def _take(self, sign: str) -> bool:
        self._space()
        found = self._text.startswith(sign, self._at)
        self._at += len(sign) if found else 0
        return found

    def _space(self) -> None:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1
