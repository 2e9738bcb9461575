"""Calls as a model writes them, for templates that leave them out of a conversation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dmr_tui.engine.request import FunctionCall
from dmr_tui.engine.text.tools import generic
from dmr_tui.engine.text.tools.families import closer_of, find_format
from dmr_tui.engine.text.tools.gemma import PythonCalls
from dmr_tui.engine.text.tools.json_calls import JSONCalls
from dmr_tui.engine.text.tools.reading import parse_json, write_json


def spell(calls: Sequence[FunctionCall], template: str) -> str:
    """The text of some calls, in the form of the model to which a template belongs."""
    form = find_format(template, {})
    given = [parse_json(call.arguments or "{}") for call in calls]
    if not all(isinstance(each, dict) for each in given):
        return generic.spell(calls)  # what is no object has no place in a form
    named = [(call.name, each) for call, each in zip(calls, given, strict=True)]
    if isinstance(form, PythonCalls):
        listed = ", ".join(_python(name, each) for name, each in named)
        return f"{form.opener}[{listed}]{form.closer}"
    if isinstance(form, JSONCalls) and form.openers[0] not in form.first_only:
        listed = write_json([{"name": name, "arguments": each} for name, each in named])
        return f"{form.openers[0]}{listed}{closer_of(form, template)}"
    return generic.spell(calls)


def _python(name: str, given: dict[str, Any]) -> str:
    members = (
        f"{key}={json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)}"
        for key, value in given.items()
    )
    return f"{name}({', '.join(members)})"
