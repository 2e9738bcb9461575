"""How a tool call is read from a text that is still being written."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dmr_tui.engine.text.pieces import Call

_QUIET = re.compile(r'[^"{}\[\]]*')
_STRING = re.compile(r'(?:[^"\\]++|\\.)*+"', re.DOTALL)
_FOREIGN = re.compile(r"[^\s\d+\-.,:eEtrufalsn]")
"""What no JSON has outside of its strings and brackets."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_SIGNS = re.compile(r"<[^\s<=>]|```|\A\n|\n\Z")
"""What a tag, a quote or a fence of some format begins with, and lines around a value."""
_SCALAR_END = re.compile(r"[\s,}\]]")

_NAMES = ("name", "tool_name", "function")
_ARGUMENTS = ("arguments", "parameters", "args")
_CALL_KEYS = frozenset({*_NAMES, *_ARGUMENTS, "id", "type", "tool_call_id"})
_FIRST_KEY = re.compile(r'\[?\s*\{\s*("(?:[^"\\]++|\\.)*+")', re.DOTALL)


@dataclass(frozen=True)
class Reading:
    """What a text begins with.

    Attributes:
        length: how many characters.
        calls: the calls that these are; none: they are plain text.
        silent: they are marks that nobody is to see.
    """

    length: int
    calls: tuple[Call, ...] = ()
    silent: bool = False


class ToolFormat(Protocol):
    """How a family of models writes its calls."""

    @property
    def openers(self) -> tuple[str, ...]:
        """Texts with which calls begin."""
        ...

    @property
    def first_only(self) -> tuple[str, ...]:
        """Of the openers, those that are none in the middle of an answer."""
        ...

    @property
    def noise(self) -> tuple[str, ...]:
        """Markers around calls that nobody is to see."""
        ...

    @property
    def marks(self) -> tuple[str, ...]:
        """All texts of the format that may be control tokens."""
        ...

    def begun(self, text: str) -> list[Call]:
        """The calls in a text that begins with an opener, the last one as far as it has come.

        Only for text that is held to the form: a call is told as soon as its arguments have begun,
        and what is told never changes, it only grows into what `read` gives in the end.
        """
        ...

    def read(self, text: str, *, final: bool) -> Reading | None:
        """What a text that begins with an opener begins with.

        The answer depends on nothing but the characters that it is about, so that it is the same
        however the text is cut.

        Args:
            text: all that is known of it.
            final: nothing more will come.

        Returns:
            None when more is needed; never with `final`.
        """
        ...


def json_end(text: str, start: int) -> int | None:
    """Where the JSON object or array that begins at `start` ends.

    Returns:
        The index behind it; None when it has not ended yet; -1 when it cannot be JSON.
    """
    depth, at = 0, start
    while at < len(text):
        quiet = _QUIET.match(text, at)
        quiet_end = quiet.end() if quiet else at
        if _FOREIGN.search(text, at, quiet_end):
            return -1
        at = quiet_end
        if at == len(text):
            return None
        sign = text[at]
        at += 1
        if sign == '"':
            end = _string_end(text, at)
            if end is None:
                return None
            at = end
        else:
            depth += 1 if sign in "{[" else -1
            if depth == 0:
                return at
    return None


def _string_end(text: str, at: int) -> int | None:
    found = _STRING.match(text, at)
    return found.end() if found else None


def read_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none, or cannot be written again: Python itself reads `NaN` and `1e999`.
    """
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of JSON")
    return number


def parse_json(text: str) -> Any:
    """The value of a JSON text, or None when it is none."""
    try:
        return read_json(text)
    except ValueError:
        return None


def write_json(value: Any) -> str:
    """A value as JSON text; half of a surrogate pair, which is no Unicode, as its escape.

    Raises:
        ValueError: there is a number in it that JSON does not have.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def skip_space(text: str, at: int) -> int:
    """The index of the next character that is no white space."""
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def is_text(schemas: Mapping[str, Any], name: str, key: str) -> bool:
    """Whether an argument is text, and not JSON, by its tool's schema."""
    return takes_text(properties_of(schemas.get(name)).get(key))


def takes_text(schema: Any) -> bool:
    """Whether a schema is of values that are text; nobody has checked it."""
    if not isinstance(schema, dict):
        return False  # a schema may be true or false, too
    kind, choices = schema.get("type"), schema.get("enum")
    if kind is None and isinstance(choices, list):
        return all(isinstance(each, str) for each in choices)
    return bool(kind == "string")


def is_plain(value: Any) -> bool:
    """Whether no format takes a part of what stands in a schema for a sign of its own."""
    return not isinstance(value, str) or _SIGNS.search(value) is None


def properties_of(schema: Any) -> dict[str, Any]:
    """The properties that an object's schema names; nobody has checked it."""
    named = schema.get("properties") if isinstance(schema, dict) else None
    return named if isinstance(named, dict) else {}


def required_of(schema: Mapping[str, Any]) -> list[Any]:
    """The names of those properties that must be there."""
    required = schema.get("required")
    return required if isinstance(required, list) else []


def to_call(text: str) -> Call | None:
    """The call that a JSON object stands for, in whichever words the family has for it.

    Its arguments are given as they were written, where they are an object in their place.
    """
    value = parse_json(text)
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("function"), dict):
        value = value["function"]
    name = value.get("name") or value.get("tool_name") or value.get("function")
    keys = [key for key in _ARGUMENTS if key in value]
    given: Any = value[keys[0]] if keys else {}
    if given in (None, ""):
        given = {}
    if isinstance(given, str):
        given = parse_json(given)
    if not isinstance(name, str) or not isinstance(given, dict):
        return None
    written = begun_call(text, 0)
    if written is not None and written.name == name and parse_json(written.arguments) == given:
        return Call(name, written.arguments)
    return Call(name, write_json(given))


def begun_call(text: str, at: int) -> Call | None:
    """The call that the JSON object at an index is, once its arguments have begun.

    The name has to come before them.
    """
    name, at = "", skip_space(text, at + 1)
    while text[at : at + 1] == '"':
        key_end = _string_end(text, at + 1)
        colon = len(text) if key_end is None else skip_space(text, key_end)
        start = skip_space(text, colon + 1)
        if start >= len(text):
            return None
        key = parse_json(text[at:key_end])
        end = _value_end(text, start)
        if key in _ARGUMENTS:
            whole = end is not None
            begun = bool(name) and text[start] == "{"
            return Call(name, text[start:end], whole) if begun else None
        if end is None:
            return None
        if key in _NAMES and text[start] == '"':
            name = str(parse_json(text[start:end]) or "")
        at = skip_space(text, end)
        at = skip_space(text, at + (text[at : at + 1] == ","))
    return None


def other_json_end(text: str, at: int) -> int | None:
    """Where the first key of the JSON at an index ends, if no call begins with such a key."""
    found = _FIRST_KEY.match(text, at)
    return found.end() if found and parse_json(found[1]) not in _CALL_KEYS else None


def _value_end(text: str, at: int) -> int | None:
    """Where the JSON value at an index ends, as far as that is known."""
    if text[at] == '"':
        return _string_end(text, at + 1)
    if text[at] in "{[":
        return json_end(text, at)
    found = _SCALAR_END.search(text, at)
    return found.start() if found else None
