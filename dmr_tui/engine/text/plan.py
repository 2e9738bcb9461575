"""How a model is asked for an answer, and how what it writes is to be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace as replace_fields

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
from dmr_tui.engine.text.grammar.compile import check_grammar
from dmr_tui.engine.text.held import Held, Thinking, call_grammar, check_strict, held_grammar
from dmr_tui.engine.text.reasoning import Markers, ReasoningSplitter, begins_inside, find_markers
from dmr_tui.engine.text.tools import generic, harmony
from dmr_tui.engine.text.tools.either import EitherCalls
from dmr_tui.engine.text.tools.families import (
    find_format,
    is_harmony,
    knows_tools,
    own_format,
)
from dmr_tui.engine.text.tools.forced import forced_format, parameters
from dmr_tui.engine.text.tools.ids import fit_ids
from dmr_tui.engine.text.tools.parser import ToolParser


@dataclass(frozen=True)
class AnswerPlan:
    """What a sequence has to know of its answer's text.

    Attributes:
        reader: makes what splits one answer into its pieces.
        grammar: that all of it is held to, in GBNF.
        call_grammar: makes the one that it is held to from its first tool call on, if there is one.
        marks: texts of control tokens that belong to it.
        closings: texts that end the model's thoughts: the first time, and when they begin again.
        budget: tokens of thoughts after which these are written; None: any number.
        stoppable: stop strings may end it: it is not held to be a tool call.
    """

    reader: Callable[[], Reader]
    grammar: str | None = None
    call_grammar: Callable[[], str | None] | None = None
    marks: tuple[str, ...] = ()
    closings: tuple[str, ...] = ()
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
    messages, reasoning = fit_ids(request.messages, template), request.reasoning
    options = request.template_options
    if request.continues:
        messages = messages[:-1]
        options = {**options, "add_generation_prompt": True}
        last = request.messages[-1]
        if not (last.reasoning_content or _has_thoughts(request, find_markers(template))):
            # The answer has begun: the time to think is over.
            reasoning = replace_fields(reasoning, enabled=bool(reasoning.enabled))
    options = {**_reasoning_options(reasoning), **options}
    calls = any(message.tool_calls or message.role == "tool" for message in messages)
    if not (tools or calls) or knows_tools(template):
        return messages, {"tools": [_as_sent(tool) for tool in tools] or None, **options}
    if not tools:
        return generic.without_calls(messages), options
    parallel = request.parallel_tool_calls
    return generic.tell(messages, tools, parallel=parallel), options


def _as_sent(tool: Tool) -> dict[str, Any]:
    """A tool with its type first: templates write it as it comes, and models know it so."""
    return {"type": tool.type, "function": msgspec.to_builtins(tool.function)}


def continued(request: ChatRequest, template: str, prompt: str) -> str:
    """A prompt with the answer's beginning, if the conversation ends with that.

    Args:
        request: what is asked.
        template: Jinja text that wrote the prompt.
        prompt: up to where the answer begins.
    """
    if not request.continues:
        return prompt
    last = request.messages[-1]
    text = generic.text_of(last)
    if is_harmony(template):
        return f"{prompt}{harmony.CHANNEL}final{harmony.MESSAGE}{text}"
    markers = find_markers(template)
    inside, thoughts = begins_inside(prompt, markers), last.reasoning_content or ""
    if _has_thoughts(request, markers):
        begun = prompt.rstrip().removesuffix(markers.opening.rstrip()) if inside else prompt
        return begun + text.lstrip()
    thinks = markers.closing in template and not prompt.rstrip().endswith(markers.closing)
    if thoughts and thinks and not inside:
        prompt, inside = f"{prompt}{markers.opening.rstrip()}\n", True
    return f"{prompt}{thoughts}\n{markers.closing}\n\n{text}" if inside else prompt + text


def _has_thoughts(request: ChatRequest, markers: Markers) -> bool:
    """Whether the answer's beginning opens with thoughts."""
    begun = generic.text_of(request.messages[-1]).lstrip()
    return begun.startswith(markers.opening.rstrip())


def _continues_thoughts(request: ChatRequest, markers: Markers) -> bool:
    """Whether it leaves them open."""
    open_still = markers.closing not in generic.text_of(request.messages[-1])
    return open_still and _has_thoughts(request, markers)


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
    if reasoning.budget not in (None, -1):
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
    return AnswerPlan(PlainReader, held_grammar(Held(form=form), ""))


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
    check_strict(offered(request))
    if request.format is not None or must_call(request):
        plan_chat(request, "", "")


def _plan_marked(request: ChatRequest, template: str, prompt: str) -> AnswerPlan:
    tools = offered(request)
    schemas = {tool.function.name: parameters(tool) for tool in tools}
    form = find_format(template, schemas)
    markers = find_markers(template)
    grammar = None
    if held_to_form(request):
        form = forced_format(form, template, tools)
        grammar = held_grammar(_held(request, _thoughts(request, template, prompt)), template)
    own = isinstance(request.format, GrammarAnswer)
    # A person's own grammar says what the whole answer is, thoughts included.
    inside = _inside(request, prompt, markers) and not own
    sure = grammar is not None and not own
    other = own_format(template, schemas)
    read_as = form if other is None else EitherCalls(form, other)

    def reader() -> Reader:
        parallel = request.parallel_tool_calls
        parser = ToolParser(read_as, schemas, sure=sure, parallel=parallel) if tools else None
        return MarkedReader(ReasoningSplitter(markers, inside=inside), parser)

    return AnswerPlan(
        reader,
        grammar,
        None if grammar is not None else _calls(request, template),
        (*markers.all(), *(read_as.marks if tools else ())),
        (f"{markers.closing}\n\n",),
        request.reasoning.budget,
        stoppable=not must_call(request),
    )


def _plan_harmony(request: ChatRequest, template: str, _prompt: str) -> AnswerPlan:
    grammar = None
    if held_to_form(request):
        thoughts: Thinking = "none" if request.continues else "may"
        grammar = held_grammar(_held(request, thoughts), template)
    names = frozenset(tool.function.name for tool in offered(request))
    sure = grammar is not None and not isinstance(request.format, GrammarAnswer)
    ended = f"{harmony.END}{harmony.START}assistant"
    # A call may follow thoughts as well; a model that thinks on instead has to answer.
    calling = (ended,) if offered(request) else ()
    return AnswerPlan(
        partial(harmony.HarmonyParser, names, sure=sure),
        grammar,
        None if grammar is not None else _calls(request, template),
        harmony.MARKS,
        (*calling, f"{ended}{harmony.CHANNEL}final{harmony.MESSAGE}"),
        request.reasoning.budget,
        stoppable=not must_call(request),
    )


def must_call(request: ChatRequest) -> bool:
    """The answer has to be a tool call."""
    return bool(offered(request)) and request.tool_choice not in ("auto", "none")


def held_to_form(request: ChatRequest) -> bool:
    """The answer is held to a grammar that is made here."""
    return must_call(request) or isinstance(request.format, JSONAnswer)


def _held(request: ChatRequest, thoughts: Thinking) -> Held:
    """Calls, JSON, or either of them."""
    form = request.format if isinstance(request.format, JSONAnswer) else None
    return Held(
        offered(request),
        request.parallel_tool_calls,
        None if must_call(request) else form,
        thoughts,
    )


def _calls(request: ChatRequest, template: str) -> Callable[[], str | None] | None:
    """Makes the grammar of the calls that the answer may come to."""
    tools = offered(request)
    if not tools:
        return None
    encoded = msgspec.json.encode(tools)
    return partial(call_grammar, encoded, template, parallel=request.parallel_tool_calls)


def _thoughts(request: ChatRequest, template: str, prompt: str) -> Thinking:
    """What may come before an answer that is held to a form."""
    markers = find_markers(template)
    if _inside(request, prompt, markers):
        return "begun"
    if request.continues:
        return "none"
    closed = prompt.rstrip().endswith(markers.closing)
    if markers.closing not in template or closed or request.reasoning.enabled is False:
        return "none"
    return "may"


def _inside(request: ChatRequest, prompt: str, markers: Markers) -> bool:
    """Whether what comes next is a thought."""
    if request.continues:
        return _continues_thoughts(request, markers)
    return begins_inside(prompt, markers)
