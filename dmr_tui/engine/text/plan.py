"""How a model is asked for an answer, and how what it writes is to be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import msgspec

from dmr_tui.engine.request import (
    AnswerFormat,
    ChatRequest,
    GrammarAnswer,
    JSONAnswer,
    Message,
    NamedTool,
    Reasoning,
    Tool,
)
from dmr_tui.engine.text.answer import MarkedReader, PlainReader, Reader
from dmr_tui.engine.text.grammar import charset
from dmr_tui.engine.text.grammar.compile import any_object, check_grammar, satisfying, write
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
from dmr_tui.engine.text.grammar.until import until
from dmr_tui.engine.text.reasoning import (
    Markers,
    ReasoningSplitter,
    begins_inside,
    find_markers,
)
from dmr_tui.engine.text.tools import generic, harmony
from dmr_tui.engine.text.tools.families import GENERIC, Form, find_format, is_harmony, knows_tools
from dmr_tui.engine.text.tools.forced import CallGrammar, forced_format, parameters
from dmr_tui.engine.text.tools.parser import ToolParser


@dataclass(frozen=True)
class AnswerPlan:
    """What a sequence has to know of its answer's text.

    Attributes:
        reader: makes what splits one answer into its pieces.
        grammar: that all of it is held to, in GBNF.
        call_grammar: makes the one that it is held to from its first tool call on, if there is one.
        marks: texts of control tokens that belong to it.
        closing: text that ends the model's thoughts.
        budget: tokens of thoughts after which that is written; None: any number.
        stoppable: stop strings may end it: it is not held to be a tool call.
    """

    reader: Callable[[], Reader]
    grammar: str | None = None
    call_grammar: Callable[[], str | None] | None = None
    marks: tuple[str, ...] = ()
    closing: str = ""
    budget: int | None = None
    stoppable: bool = True


def offered(request: ChatRequest) -> list[Tool]:
    """The tools that may be called."""
    if request.tool_choice == "none":
        return []
    if isinstance(request.tool_choice, NamedTool):
        return [tool for tool in request.tools if tool.function.name == request.tool_choice.name]
    return request.tools


def template_input(request: ChatRequest, template: str) -> tuple[Sequence[Message], dict[str, Any]]:
    """Messages and variables for a chat template.

    Args:
        request: what is asked.
        template: Jinja text.
    """
    tools = request.tools if request.tool_choice != "none" else []
    options = {**_reasoning_options(request.reasoning), **request.template_options}
    calls = any(message.tool_calls or message.role == "tool" for message in request.messages)
    if not (tools or calls) or knows_tools(template):
        return request.messages, {"tools": msgspec.to_builtins(tools) or None, **options}
    if not tools:
        return generic.without_calls(request.messages), options
    parallel = request.parallel_tool_calls
    return generic.tell(request.messages, tools, parallel=parallel), options


def _reasoning_options(reasoning: Reasoning) -> dict[str, Any]:
    enabled = reasoning.enabled
    if enabled is None and reasoning.budget == 0:
        enabled = False
    if enabled is None and reasoning.effort is not None:
        enabled = reasoning.effort != "none"
    options: dict[str, Any] = {}
    if enabled is not None:
        # Qwen's and most others' word; DeepSeek's and Granite's.
        options = {"enable_thinking": enabled, "thinking": enabled}
    if reasoning.effort not in (None, "none"):
        options["reasoning_effort"] = reasoning.effort
    if reasoning.budget is not None:
        options["thinking_budget"] = reasoning.budget  # Seed's models are told of it
    return options


def plan_completion(form: AnswerFormat | None) -> AnswerPlan:
    """The plan for text that continues a prompt.

    Raises:
        InvalidRequestError: the form cannot be held.
    """
    if form is None:
        return AnswerPlan(PlainReader)
    if isinstance(form, GrammarAnswer):
        check_grammar(form.grammar)
        return AnswerPlan(PlainReader, form.grammar)
    grammar = Grammar()
    return AnswerPlan(PlainReader, write(grammar, _json(form, grammar), param="response_format"))


def plan_chat(request: ChatRequest, template: str, prompt: str) -> AnswerPlan:
    """The plan for the answer to a conversation.

    Args:
        request: what is asked.
        template: Jinja text that wrote the prompt.
        prompt: the text that the answer follows.

    Raises:
        InvalidRequestError: the form, or a tool's parameters, cannot be held.
    """
    plan = _plan_harmony if is_harmony(template) else _plan_marked
    made = plan(request, template, prompt)
    if isinstance(request.format, GrammarAnswer):
        check_grammar(request.format.grammar)
        return replace(made, grammar=request.format.grammar, call_grammar=None, stoppable=True)
    return made


def check_answer(request: ChatRequest) -> None:
    """Check that forms and parameters can be held, without knowing the model.

    Raises:
        InvalidRequestError: one of them cannot.
    """
    plan_chat(request, "", "")


def _plan_marked(request: ChatRequest, template: str, prompt: str) -> AnswerPlan:
    tools = offered(request)
    schemas = {tool.function.name: parameters(tool) for tool in tools}
    form = find_format(template, schemas)
    grammar = Grammar()
    body = None
    if held_to_form(request):
        form = forced_format(form, tools)
        body = _forced(request, form, template, grammar)
    markers = find_markers(template)
    # A person's own grammar says what the whole answer is, thoughts included.
    inside = begins_inside(prompt, markers) and not isinstance(request.format, GrammarAnswer)
    if body is not None:
        body = chain(_thoughts(request, markers, template, prompt, grammar), body)

    sure = body is not None and not isinstance(request.format, GrammarAnswer)
    parallel = request.parallel_tool_calls

    def reader() -> Reader:
        parser = ToolParser(form, schemas, sure=sure) if tools else None
        return MarkedReader(ReasoningSplitter(markers, inside=inside), parser)

    call_grammar = partial(_call_grammar, msgspec.json.encode(tools), template, parallel=parallel)
    return AnswerPlan(
        reader,
        None if body is None else write(grammar, body, param=_param(request)),
        call_grammar if tools and body is None else None,
        (*markers.all(), *(form.marks if tools else ())),
        f"{markers.closing}\n\n",
        request.reasoning.budget,
        stoppable=not must_call(request),
    )


def _plan_harmony(request: ChatRequest, template: str, _prompt: str) -> AnswerPlan:
    tools = offered(request)
    text: str | None = None
    if held_to_form(request):
        grammar = Grammar()
        thoughts = chain(
            f"{harmony.CHANNEL}analysis{harmony.MESSAGE}",
            until(harmony.END, grammar),
            f"{harmony.START}assistant",
        )
        options = [
            chain(
                f"{harmony.CHANNEL}commentary {harmony.RECIPIENT}{tool.function.name} "
                f"{harmony.CONSTRAIN}json{harmony.MESSAGE}",
                satisfying(parameters(tool), grammar, param="tools"),
            )
            for tool in tools
        ]
        if isinstance(request.format, JSONAnswer) and not must_call(request):
            final = f"{harmony.CHANNEL}final{harmony.MESSAGE}"
            options.append(chain(final, _json(request.format, grammar)))
        text = write(grammar, chain(optional(thoughts), choice(*options)), param=_param(request))
    names = frozenset(tool.function.name for tool in tools)
    closing = f"{harmony.END}{harmony.START}assistant{harmony.CHANNEL}final{harmony.MESSAGE}"
    sure = text is not None and not isinstance(request.format, GrammarAnswer)

    call_grammar = partial(_call_grammar, msgspec.json.encode(tools), template, parallel=False)
    return AnswerPlan(
        partial(harmony.HarmonyParser, names, sure=sure),
        text,
        call_grammar if tools and text is None else None,
        harmony.MARKS,
        closing,
        request.reasoning.budget,
        stoppable=not must_call(request),
    )


@lru_cache(maxsize=16)
def _call_grammar(encoded: bytes, template: str, *, parallel: bool) -> str | None:
    """What an answer is held to from its first call on; programs offer the same tools each time."""
    tools = msgspec.json.decode(encoded, type=list[Tool])
    rules = Grammar()
    if is_harmony(template):
        return rules.text(CallGrammar(GENERIC, template, rules, tools, opened=True).harmony())
    form = find_format(template, {tool.function.name: parameters(tool) for tool in tools})
    calls = CallGrammar(form, template, rules, tools, parallel=parallel, opened=True)
    return rules.text(calls.calls())


def must_call(request: ChatRequest) -> bool:
    """The answer has to be a tool call."""
    return bool(offered(request)) and request.tool_choice not in ("auto", "none")


def held_to_form(request: ChatRequest) -> bool:
    """The answer is held to a grammar that is made here."""
    return must_call(request) or isinstance(request.format, JSONAnswer)


def _forced(request: ChatRequest, form: Form, template: str, grammar: Grammar) -> Node:
    """Calls, JSON, or either of them."""
    options: list[Node] = []
    if isinstance(request.format, JSONAnswer) and not must_call(request):
        options.append(_json(request.format, grammar))
    tools = offered(request)
    if tools:
        parallel = request.parallel_tool_calls
        options.append(CallGrammar(form, template, grammar, tools, parallel=parallel).calls())
    return choice(*options)


def _thoughts(
    request: ChatRequest, markers: Markers, template: str, prompt: str, grammar: Grammar
) -> Node:
    """What may come before an answer that is held to a form."""
    after = repeat(Characters(charset.of(" \n")), 0, 2)
    if begins_inside(prompt, markers):
        return chain(until(markers.closing, grammar), after)
    closed = prompt.rstrip().endswith(markers.closing)
    if markers.closing not in template or closed or request.reasoning.enabled is False:
        return EMPTY
    return optional(chain(markers.opening, until(markers.closing, grammar), after))


def _json(form: JSONAnswer, grammar: Grammar) -> Node:
    if form.schema is None:
        return any_object(grammar)
    return satisfying(form.schema, grammar, param="response_format")


def _param(request: ChatRequest) -> str:
    return "tools" if must_call(request) else "response_format"
