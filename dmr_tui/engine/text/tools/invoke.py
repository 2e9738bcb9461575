"""Calls as `<invoke name="…">`: DeepSeek's since V3.2, MiniMax', and their like.

    <｜DSML｜invoke name="weather">
    <｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>
    </｜DSML｜invoke>

MiniMax' have no prefix, and no `string`: there the tool's schema says what is text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dmr_tui.engine.text.partial import growing
from dmr_tui.engine.text.pieces import Call
from dmr_tui.engine.text.tools.reading import Reading, is_text, parse_json, skip_space, write_json

_TAG = 160
"""Most characters of an opening tag."""


@dataclass(frozen=True)
class InvokeCalls:
    """Calls whose tags have one prefix."""

    prefix: str = ""
    around: tuple[str, ...] = ()
    """The names of the tags that may stand around all calls."""
    typed: bool = False
    """Arguments say whether they are text."""
    schemas: Mapping[str, Any] = field(default_factory=dict)
    first_only: tuple[str, ...] = ()

    @property
    def openers(self) -> tuple[str, ...]:
        """See `ToolFormat.openers`."""
        return (f"<{self.prefix}invoke name=",)

    @property
    def noise(self) -> tuple[str, ...]:
        """See `ToolFormat.noise`."""
        return tuple(f"<{end}{name}>" for name in self.around for end in ("", "/"))

    @property
    def marks(self) -> tuple[str, ...]:
        """See `ToolFormat.marks`."""
        return (*self.noise, *([self.prefix] if self.prefix else []))

    @property
    def closing(self) -> str:
        """The tag behind a call."""
        return f"</{self.prefix}invoke>"

    @property
    def value_closing(self) -> str:
        """The tag behind an argument."""
        return f"</{self.prefix}parameter>"

    @cached_property
    def _opening(self) -> re.Pattern[str]:
        return re.compile(rf'<{re.escape(self.prefix)}invoke name="([^"<>]+)">')

    @cached_property
    def _parameter(self) -> re.Pattern[str]:
        tag = rf'<{re.escape(self.prefix)}parameter name="([^"<>]+)"'
        return re.compile(tag + r'(?: string="(true|false)")?>')

    def begun(self, text: str) -> list[Call]:
        """See `ToolFormat.begun`."""
        call, _ = self._call(text)
        return [] if call is None else [call]

    def read(self, text: str, *, final: bool) -> Reading | None:
        """See `ToolFormat.read`."""
        call, end = self._call(text)
        if end is None:
            return Reading(len(text)) if final else None
        return Reading(end, () if call is None else (call,))

    def _call(self, text: str) -> tuple[Call | None, int | None]:
        """The call as far as it has come, and its end; no call and an end: it is none."""
        wrong = len(self.openers[0])
        opening = self._opening.match(text)
        if opening is None:
            ended = ">" in text[:_TAG] or len(text) >= _TAG
            return None, wrong if ended else None
        name, at = opening[1], opening.end()
        arguments: dict[str, Any] = {}
        while True:
            at = skip_space(text, at)
            if text.startswith(self.closing, at):
                whole = write_json(arguments)
                return Call(name, whole), at + len(self.closing)
            parameter = self._parameter.match(text, at)
            if parameter is None:
                rest = text[at : at + _TAG]
                tag = f"<{self.prefix}parameter name="
                growing_tag = tag.startswith(rest[: len(tag)]) and ">" not in rest
                if self.closing.startswith(rest) or (growing_tag and len(rest) < _TAG):
                    return self._so_far(name, arguments), None
                return None, wrong
            key, at = parameter[1], parameter.end()
            as_text = parameter[2] == "true" if parameter[2] else is_text(self.schemas, name, key)
            end = text.find(self.value_closing, at)
            if end < 0:
                return self._so_far(name, arguments, key, text[at:] if as_text else None), None
            value = text[at:end]
            parsed = None if as_text else parse_json(value.strip())
            is_null = not as_text and value.strip() == "null"
            arguments[key] = value if parsed is None and not is_null else parsed
            at = end + len(self.value_closing)

    def _so_far(
        self, name: str, arguments: dict[str, Any], key: str = "", value: str | None = None
    ) -> Call:
        """A call without its end; of a text that has not ended, what is certain."""
        written = write_json(arguments)[:-1]
        if value is not None:
            certain = value[: len(value) - growing(value, [self.value_closing])]
            comma = ", " if arguments else ""
            shown = write_json({key: certain})[1:-2]
            written += comma + shown
        return Call(name, written, whole=False)
