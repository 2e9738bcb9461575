"""What llama-server is asked, so that it passes over nothing: requests, questions, answers.

It ignores what it does not know, without a word. So what it lacks is put into a form that it heeds,
is made of its answer here, or is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from dmr_tui.engine.programs import NAME
from dmr_tui.engine.questions import Props, TemplateQuestion, Text
from dmr_tui.engine.request import (
    ChatRequest,
    CompletionRequest,
    Delta,
    Event,
    Finished,
    GenerateRequest,
    GrammarAnswer,
    JSONAnswer,
    NamedTool,
    TokenLogprobs,
    ToolCallDelta,
)
from dmr_tui.engine.text.answer import AnswerText
from dmr_tui.engine.text.plan import must_call, offered, plan_chat, plan_completion
from dmr_tui.engine.text.reasoning import find_markers
from dmr_tui.engine.text.tools import generic
from dmr_tui.engine.text.tools.families import is_harmony, knows_tools
from dmr_tui.errors import InvalidRequestError

Write = Callable[[TemplateQuestion], Awaitable[Text]]


def check(request: GenerateRequest, *, mode: str, shifts: bool) -> None:
    """Refuse what llama-server would pass over, and what cannot be made here, either.

    Args:
        request: what is asked.
        mode: what the model is for.
        shifts: it has been started so that it shifts a context that is full.

    Raises:
        InvalidRequestError: with `param` naming the field.
    """
    if mode != "completion":
        raise InvalidRequestError(
            f"this model is for {mode}: it cannot write answers",
            "choose another model",
            param="model",
        )
    if request.limits.context_shift and not shifts:
        raise InvalidRequestError(
            f"context shift: {NAME} does not do that for this model as it is loaded",
            "switch it off in the model's settings, or use the built-in engine",
            param="context_shift",
        )
    if not isinstance(request, CompletionRequest):
        return
    if request.prompt_logprobs:
        raise InvalidRequestError(
            f"echo with logprobs: {NAME} does not tell how likely a prompt is",
            "leave one of them out, or use the built-in engine",
            param="logprobs",
        )
    if request.suffix is not None:
        raise InvalidRequestError(
            f"suffix: {NAME} does not fill in the middle of a text here",
            "leave it out, or use the built-in engine",
            param="suffix",
        )


def told(request: ChatRequest, props: Props) -> ChatRequest:
    """A conversation with tools and calls in a form that reaches the model.

    Args:
        request: what is asked.
        props: of the model.
    """
    reasoning, tools = request.reasoning, request.tools
    if reasoning.enabled is None and reasoning.budget == 0:
        reasoning = replace(reasoning, enabled=False)
    if request.tool_choice == "none":
        tools = []
    if _in_words(request, props):
        parallel = request.parallel_tool_calls
        messages = (
            generic.tell(request.messages, tools, parallel=parallel)
            if tools
            else generic.without_calls(request.messages)
        )
        return replace(
            request, messages=messages, tools=[], tool_choice="auto", reasoning=reasoning
        )
    choice, form = request.tool_choice, request.format
    if isinstance(choice, NamedTool):
        # It knows words only, and takes anything else for "auto".
        tools, choice = offered(request), "required"
    if must_call(request) and isinstance(form, JSONAnswer):
        form = None  # of an answer that is no call
    return replace(request, tools=tools, tool_choice=choice, format=form, reasoning=reasoning)


def _in_words(request: ChatRequest, props: Props) -> bool:
    """Whether tools are put in words here, and their calls are found in the answer's text.

    Where a template knows no tools, llama-server passes over them. An answer that has to be a call
    it lets begin with any text; what comes in words can be held from the first token on. Channels
    cannot: there the calls are no part of the text.
    """
    if not (props.tool_template or knows_tools(props.chat_template)):
        return True
    return must_call(request) and not is_harmony(props.chat_template)


def _marks(template: str) -> str:
    """What a template would be that knows of thoughts what this one does, and nothing of tools."""
    markers = find_markers(template)
    return " ".join(markers.all()) if markers.closing in template else ""


class Prepared:
    """A request as llama-server gets it, and the way back of its answer."""

    def __init__(
        self, request: GenerateRequest, *, must_call: bool = False, text: AnswerText | None = None
    ) -> None:
        """Begin.

        Args:
            request: for llama-server.
            must_call: the answer has to be a tool call.
            text: finds the calls in the answer, where llama-server does not.
        """
        self.request = request
        self._must_call = must_call
        self._called = False
        self._text = text
        self._logprobs: list[TokenLogprobs] = []
        """Of tokens whose text is still held back."""

    def read(self, event: Event) -> list[Event]:
        """What an event of llama-server's stands for.

        Raises:
            InvalidRequestError: the answer is at its end and has no call, which it has to be.
        """
        events = [event] if self._text is None else self._parse(event, self._text)
        self._called = self._called or any(isinstance(each, ToolCallDelta) for each in events)
        # Whether it holds a model to a call depends on what it makes of the template.
        if (
            self._must_call
            and isinstance(event, Finished)
            and event.reason == "stop"
            and not self._called
        ):
            raise InvalidRequestError(
                f"tool_choice: {NAME} could not hold this model to a tool call",
                "leave the choice to the model (`auto`), or use the built-in engine",
                param="tool_choice",
            )
        return events

    def _parse(self, event: Event, text: AnswerText) -> list[Event]:
        if isinstance(event, Delta):
            self._logprobs += event.logprobs
            return self._likely(text.feed(event.text.encode()))
        if not isinstance(event, Finished):
            return [event]
        rest = self._likely(text.finish())
        calls = event.reason == "stop" and text.called
        return [*rest, replace(event, reason="tool_calls") if calls else event]

    def _likely(self, events: list[Event]) -> list[Event]:
        """The events with what was told of their tokens; of those of calls nothing is said."""
        found: list[Event] = []
        for event in events:
            if isinstance(event, Delta):
                event = replace(event, logprobs=self._logprobs)
            if isinstance(event, Delta | ToolCallDelta):
                self._logprobs = []
            found.append(event)
        return found


async def prepare(request: GenerateRequest, props: Props, write: Write) -> Prepared:
    """Put a request into the form that llama-server heeds.

    Args:
        request: what is asked.
        props: of the model.
        write: asks llama-server for a conversation as the model's template writes it.

    Raises:
        InvalidRequestError: what the answer is to be cannot be held.
    """
    if isinstance(request, CompletionRequest):
        if isinstance(request.format, JSONAnswer):
            # Of `response_format` it knows in chats only.
            plan = await asyncio.to_thread(plan_completion, request.format)
            if plan.grammar is not None:
                request = replace(request, format=GrammarAnswer(plan.grammar))
        return Prepared(request)
    chat, must = told(request, props), must_call(request)
    if not (offered(request) and _in_words(request, props)):
        return Prepared(chat, must_call=must)
    template = _marks(props.chat_template)
    if must or request.format is not None:
        prompt = await write(TemplateQuestion(replace(chat, format=None)))
        plan = await asyncio.to_thread(plan_chat, request, template, prompt.text)
        if plan.grammar is not None:
            chat = replace(chat, format=GrammarAnswer(plan.grammar))
        if not plan.stoppable:
            chat = replace(chat, limits=replace(chat.limits, stop=[]))
    # Thoughts that have begun in the prompt are told apart already when the answer comes.
    reader = plan_chat(replace(request, continues=False), template, "").reader()
    return Prepared(chat, must_call=must, text=AnswerText(reader))
