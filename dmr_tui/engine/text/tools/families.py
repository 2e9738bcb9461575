"""Which format a model's calls have, read from its chat template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from dmr_tui.engine.text.tools.gemma import EscapedCalls, PythonCalls
from dmr_tui.engine.text.tools.invoke import InvokeCalls
from dmr_tui.engine.text.tools.json_calls import JSONCalls, NamedCalls
from dmr_tui.engine.text.tools.llama import LlamaCalls
from dmr_tui.engine.text.tools.markup import MarkupCalls
from dmr_tui.engine.text.tools.mistral import MistralCalls

HARMONY = "harmony"

_NAME = r"\s*([\w.:-]+)\s*"

_BARE = ("{", "[", "```json\n{", "```json\n[")
GENERIC = JSONCalls(_BARE, first_only=_BARE)
PHI = JSONCalls(("<|tool_call|>",), "<|/tool_call|>")
FUNCTOOLS = JSONCalls(("functools",))
COMMAND = JSONCalls(("<|START_ACTION|>",), "<|END_ACTION|>")
DEEPSEEK = NamedCalls(
    ("<｜tool▁call▁begin｜>",),
    re.compile(rf"(?:function<｜tool▁sep｜>)?{_NAME}(?:<｜tool▁sep｜>)?\s*(?:```json\s*)?"),
    ("```<｜tool▁call▁end｜>", "<｜tool▁call▁end｜>"),
    ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁sep｜>"),
)
KIMI = NamedCalls(
    ("<|tool_call_begin|>",),
    re.compile(r"\s*(?:functions\.)?([\w.-]+):\d+\s*<\|tool_call_argument_begin\|>\s*"),
    ("<|tool_call_end|>",),
    (
        "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>",
        "<|tool_call_argument_begin|>",
    ),
)
LFM2 = PythonCalls("<|tool_call_start|>", "<|tool_call_end|>")
NEMOTRON = JSONCalls(("<TOOLCALL>",), "</TOOLCALL>")
APRIEL = JSONCalls(("<tool_calls>",), "</tool_calls>")
DSML = InvokeCalls("｜DSML｜", ("｜DSML｜function_calls", "｜DSML｜tool_calls"), typed=True)
MINIMAX = InvokeCalls("", ("minimax:tool_call",))
GEMMA_4 = EscapedCalls("<|tool_call>", "<tool_call|>", '<|"|>', ("<|tool_response>",))

Form: TypeAlias = (
    JSONCalls
    | NamedCalls
    | MarkupCalls
    | PythonCalls
    | EscapedCalls
    | MistralCalls
    | LlamaCalls
    | InvokeCalls
)

_BY_MARK: tuple[tuple[str, Form], ...] = (
    ("<｜tool▁call", DEEPSEEK),
    ("<|tool_calls_section_begin|>", KIMI),
    ("[TOOL_CALLS]", MistralCalls()),
    ("<start_function_call>", EscapedCalls()),
    ("<|tool_call>", GEMMA_4),
    ("｜DSML｜", DSML),
    ("<minimax:tool_call>", MINIMAX),
    ("<TOOLCALL>", NEMOTRON),
    ("<tool_calls>", APRIEL),
    ("<|tool_call_start|>", LFM2),
    ("<|tool_list_start|>", LFM2),
    ("<tool_call>", MarkupCalls()),
    ("<function=", MarkupCalls()),
    ("<|tool_call|>", PHI),
    ("<|START_ACTION|>", COMMAND),
    ("functools[", FUNCTOOLS),
    ("<|python_tag|>", LlamaCalls()),
    ("ipython", LlamaCalls()),
    ("tool_code", PythonCalls()),
    ("<|tool|>", PHI),
    ("List of tools: [", LFM2),
)
"""Formats by what a template contains, the surest sign first."""

_TOOLS = re.compile(r"\{[%{][^}]*\b(?:tools|custom_tools)\b")
_IN_MESSAGE = re.compile(r"""\bmessage(?:\.tools\b|\[['"]tools['"]\])""")


def knows_tools(template: str) -> bool:
    """Whether a template tells of `tools`, for calls in a form that can be read here.

    Told in a form of its own, a model would call in it, and nobody would see that these are calls.
    """
    return _TOOLS.search(template) is not None and (
        is_harmony(template) or _marked(template) is not None
    )


def reads_message(template: str) -> bool:
    """Whether a template looks for the tools in a message: Phi 4's."""
    return _IN_MESSAGE.search(template) is not None


def is_harmony(template: str) -> bool:
    """Whether a template writes messages on channels."""
    return "<|channel|>" in template and "<|message|>" in template


def find_format(template: str, schemas: Mapping[str, Any]) -> Form:
    """The format of the calls of the model to which a template belongs.

    Args:
        template: Jinja text.
        schemas: parameters of the tools that are offered, by name.
    """
    form = _marked(template) if knows_tools(template) else None
    return _suited(form or GENERIC, schemas)


def own_format(template: str, schemas: Mapping[str, Any]) -> Form | None:
    """The format that a model may use although its template tells of no tools: DeepSeek's R1 does.

    Args:
        template: Jinja text.
        schemas: parameters of the tools that are offered, by name.
    """
    form = None if knows_tools(template) else _marked(template)
    return None if form is None else _suited(form, schemas)


def _suited(form: Form, schemas: Mapping[str, Any]) -> Form:
    """A format that knows the tools, if it has to."""
    if isinstance(form, MarkupCalls | InvokeCalls):
        return replace(form, schemas=schemas)
    return LlamaCalls(frozenset(schemas)) if isinstance(form, LlamaCalls) else form


def closer_of(form: JSONCalls, template: str) -> str:
    """What ends the calls: Granite has Phi's opener, and no closer."""
    return "" if form == PHI and "<|/tool" not in template else form.closer


def _marked(template: str) -> Form | None:
    return next((form for mark, form in _BY_MARK if mark in template), None)
