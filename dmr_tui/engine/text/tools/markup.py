"""Hermes' `<tool_call>`: JSON between tags, or tags within tags.

`<tool_call>{"name": …}</tool_call>` (Hermes, Qwen), `<function=name><parameter=key>value
</parameter></function>` with or without the outer tags (Qwen3-Coder), `<tool_call>name
<arg_key>key</arg_key><arg_value>value</arg_value></tool_call>` (GLM), and Llama's
`<function=name>{…}</function>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dmr_tui.engine.text.partial import growing
from dmr_tui.engine.text.pieces import Call
from dmr_tui.engine.text.tools.json_calls import begun_values, read_values
from dmr_tui.engine.text.tools.reading import (
    Reading,
    is_text,
    json_end,
    parse_json,
    skip_space,
    write_json,
)

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_FUNCTION, _FUNCTION_END = "<function=", "</function>"
_PARAMETER, _PARAMETER_END = "<parameter=", "</parameter>"
SEED, SEED_END = "<seed:tool_call>", "</seed:tool_call>"
_KEY, _KEY_END = "<arg_key>", "</arg_key>"
_VALUE, _VALUE_END = "<arg_value>", "</arg_value>"
_NAME = 128
"""Most characters of a name."""


class _More(Exception):
    """The text ends too early; `begun` is the call as far as it has come, if it has."""

    def __init__(self, begun: Call | None = None) -> None:
        super().__init__()
        self.begun = begun


class _Wrong(Exception):
    """The text is no call."""


@dataclass(frozen=True)
class MarkupCalls:
    """All formats around `<tool_call>` and `<function=`."""

    schemas: Mapping[str, Any] = field(default_factory=dict)
    """The parameters of each tool: what is no text is read as JSON."""
    openers: tuple[str, ...] = (_OPEN, _FUNCTION)
    first_only: tuple[str, ...] = ()
    noise: tuple[str, ...] = (SEED, SEED_END)
    marks: tuple[str, ...] = (_OPEN, _CLOSE, SEED, SEED_END)

    def begun(self, text: str) -> list[Call]:
        """See `ToolFormat.begun`."""
        outer = text.startswith(_OPEN)
        at = skip_space(text, len(_OPEN) if outer else 0)
        if outer and text[at : at + 1] in ("{", "["):
            return begun_values(text, at)
        try:
            return [] if at >= len(text) else [self._call(text, at)[0]]
        except _More as more:
            return [] if more.begun is None else [more.begun]
        except _Wrong:
            return []

    def read(self, text: str, *, final: bool) -> Reading | None:
        """See `ToolFormat.read`."""
        outer = text.startswith(_OPEN)
        begin = len(_OPEN) if outer else 0
        at = skip_space(text, begin)
        if at >= len(text):
            return Reading(max(begin, 1)) if final else None
        if outer and text[at] in "{[":
            return read_values(text, begin, _CLOSE, final=final)
        try:
            call, at = self._call(text, at)
            return Reading(self._outer_end(text, at, final=final) if outer else at, (call,))
        except _More:
            # Some models leave out the tags that they end with.
            return Reading(len(text)) if final else None
        except _Wrong:
            return Reading(max(begin, 1))

    def _call(self, text: str, at: int) -> tuple[Call, int]:
        if _starts(text, at, _FUNCTION):
            name_end = _find(text, ">", at, _NAME)
            name = text[at + len(_FUNCTION) : name_end].strip().strip('"')
            inside = skip_space(text, name_end + 1)
            if text[inside : inside + 1] == "{":
                return self._json_arguments(text, name, inside)
            return self._tagged(text, name, inside, (_PARAMETER, "", _PARAMETER_END), _FUNCTION_END)
        name_end = _find(text, "<", at, _NAME)
        name = text[at:name_end].strip()
        if not name or any(sign.isspace() for sign in name):
            raise _Wrong
        return self._tagged(text, name, name_end, (_KEY, _VALUE, _VALUE_END), "")

    def _json_arguments(self, text: str, name: str, at: int) -> tuple[Call, int]:
        end = json_end(text, at)
        if end is None:
            raise _More(Call(name, text[at:], whole=False))
        if end < 0 or parse_json(text[at:end]) is None:
            raise _Wrong
        after = skip_space(text, end)
        if not _starts(text, after, _FUNCTION_END):
            raise _Wrong
        return Call(name, text[at:end]), after + len(_FUNCTION_END)

    def _tagged(
        self, text: str, name: str, at: int, tags: tuple[str, str, str], close: str
    ) -> tuple[Call, int]:
        """Arguments as tags: up to `close`, or to what is no such tag."""
        opening, value_opening, value_closing = tags
        arguments: dict[str, Any] = {}
        pending = ""
        try:
            while True:
                at, pending = skip_space(text, at), ""
                if close and _starts(text, at, close):
                    return _to_call(name, arguments), at + len(close)
                if not close and _starts(text, at, _CLOSE):
                    return _to_call(name, arguments), at
                if not _starts(text, at, opening):
                    raise _Wrong
                key_end = _find(text, _KEY_END if value_opening else ">", at, _NAME)
                key = text[at + len(opening) : key_end].strip()
                at = key_end + len(_KEY_END if value_opening else ">")
                if value_opening:
                    at = skip_space(text, at)
                    if not _starts(text, at, value_opening):
                        raise _Wrong
                    at += len(value_opening)
                pending = self._member(name, key, text[at:], value_closing, arguments)
                end = _find(text, value_closing, at)
                arguments[key] = self._value(name, key, text[at:end])
                at = end + len(value_closing)
        except _More as more:
            so_far = write_json(arguments)[:-1] + pending
            raise _More(Call(name, so_far, whole=False)) from more

    def _member(
        self, name: str, key: str, text: str, closing: str, before: Mapping[str, Any]
    ) -> str:
        """An argument whose value has not ended, as JSON without its end; nothing but text grows.

        Args:
            name: of the tool.
            key: of the argument.
            text: all that is known of the value.
            closing: the tag that will end it.
            before: the arguments in front of it.
        """
        if not self._is_text(name, key):
            return ""
        text = text.removeprefix("\n")
        certain = text[: len(text) - growing(text, [closing, f"\n{closing}"])]
        opening = f"{', ' if before else ''}{write_json(key)}: "
        return opening + write_json(certain)[:-1]

    def _value(self, name: str, key: str, text: str) -> Any:
        text = text.removeprefix("\n").removesuffix("\n")
        if self._is_text(name, key):
            return text
        value = parse_json(text.strip())
        return text if value is None and text.strip() != "null" else value

    def _is_text(self, name: str, key: str) -> bool:
        return is_text(self.schemas, name, key)

    def _outer_end(self, text: str, at: int, *, final: bool) -> int:
        after = skip_space(text, at)
        if text.startswith(_CLOSE, after):
            return after + len(_CLOSE)
        if not final and _CLOSE.startswith(text[after:]):
            raise _More
        return at


def _to_call(name: str, arguments: dict[str, Any]) -> Call:
    return Call(name, write_json(arguments))


def _starts(text: str, at: int, tag: str) -> bool:
    """Whether a tag is there; raises `_More` when it may become one."""
    found = text[at : at + len(tag)]
    if len(found) < len(tag) and tag.startswith(found):
        raise _More
    return found == tag


def _find(text: str, tag: str, at: int, most: int | None = None) -> int:
    """Where a tag is, at most so many characters away."""
    end = None if most is None else at + most
    found = text.find(tag, at, end)
    if found >= 0:
        return found
    if end is not None and len(text) >= end:
        raise _Wrong
    raise _More
