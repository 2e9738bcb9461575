"""The engine's requests as OpenAI bodies, and OpenAI streams as the engine's events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
from msgspec import Struct

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import (
    AnswerFormat,
    ChatRequest,
    Delta,
    Event,
    Finished,
    FinishReason,
    GenerateRequest,
    GrammarAnswer,
    JSONAnswer,
    Likelihood,
    NamedTool,
    ReasoningDelta,
    Started,
    TokenLogprobs,
    ToolCallDelta,
    Usage,
)
from dmr_tui.errors import UnavailableError
from dmr_tui.runner.failures import from_object


class _Function(Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct, frozen=True):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Call] | None = None


class _Likelihood(Struct, frozen=True):
    logprob: float
    token: str = ""
    bytes: list[int] | None = None
    top_logprobs: list[_Likelihood] = []


class _Logprobs(Struct, frozen=True):
    content: list[_Likelihood] | None = None


class _Choice(Struct, frozen=True):
    delta: _Delta | None = None
    text: str | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _PromptDetails(Struct, frozen=True):
    cached_tokens: int | None = None


class _Usage(Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None


class _Timings(Struct, frozen=True):
    prompt_ms: float = 0.0
    predicted_ms: float = 0.0


class _Chunk(Struct, frozen=True):
    """One chunk of a chat's or a completion's stream; engines leave out what they like."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    timings: _Timings | None = None
    error: Any = None


def to_body(
    model: str, request: GenerateRequest, profile: Profile | None
) -> tuple[str, dict[str, Any]]:
    """The route below `/engines/v1` and the body that ask for `request` as a stream."""
    body: dict[str, Any] = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        **msgspec.to_builtins(request.sampling),
    }
    if request.limits.max_tokens is not None:
        body["max_tokens"] = request.limits.max_tokens
    if request.limits.stop:
        body["stop"] = request.limits.stop
    if profile is not None:
        body["dmr_profile"] = profile
    # None of the likeliest ones: llama-server would take that for none of the tokens, either.
    count = None if request.logprobs is None else max(request.logprobs, 1)
    if not isinstance(request, ChatRequest):
        body |= {"prompt": request.prompt} | _completion_form(request.format)
        if request.suffix is not None:
            body["suffix"] = request.suffix
        return "completions", body if count is None else {**body, "logprobs": count}
    if count is not None:
        body |= {"logprobs": True, "top_logprobs": count}
    return "chat/completions", body | _chat(request) | _form(request.format) | _tools(request)


def _chat(request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {"messages": request.messages}
    if request.messages and request.messages[-1].role == "assistant":
        body["continue_final_message"] = request.continues
        body["add_generation_prompt"] = not request.continues
    options, thinks = request.template_options, request.reasoning.enabled
    if thinks is None and request.continues:
        thinks = False  # llama-server refuses to think within an answer that has begun
    if thinks is not None:
        options = {"enable_thinking": thinks, "thinking": thinks, **options}
    if options:
        body["chat_template_kwargs"] = options
    if request.reasoning.effort is not None:
        body["reasoning_effort"] = request.reasoning.effort
    if request.reasoning.budget is not None:
        body["reasoning_budget"] = request.reasoning.budget
        body["thinking_budget_tokens"] = request.reasoning.budget  # llama-server's word for it
    return body


def _form(form: AnswerFormat | None) -> dict[str, Any]:
    match form:
        case None:
            return {}
        case GrammarAnswer(grammar):
            return {"grammar": grammar}
        case JSONAnswer(None):
            return {"response_format": {"type": "json_object"}}
    schema = {"name": "answer", "strict": True, "schema": form.schema}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _completion_form(form: AnswerFormat | None) -> dict[str, Any]:
    """The form of a completion: llama-server knows `response_format` in chats only."""
    if not isinstance(form, JSONAnswer):
        return _form(form)
    return {"json_schema": {"type": "object"} if form.schema is None else form.schema}


def _tools(request: ChatRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    choice: Any = request.tool_choice
    if isinstance(choice, NamedTool):
        choice = {"type": "function", "function": {"name": choice.name}}
    return {
        "tools": request.tools,
        "tool_choice": choice,
        "parallel_tool_calls": request.parallel_tool_calls,
    }


async def read_events(
    lines: AsyncIterator[bytes], path: str, request: GenerateRequest
) -> AsyncGenerator[Event, None]:
    """The events of a stream's lines.

    The stream tells its counts at the end only, so `Started` has none.

    Args:
        lines: of the stream.
        path: where it comes from, for errors.
        request: what was asked.

    Raises:
        DmrError: the failure that the stream reports.
        UnavailableError: it ends without a finish reason.
    """
    yield Started(prompt_tokens=0)
    reason: FinishReason | None = None
    counted, usage, timings = 0, None, _Timings()
    async for line in lines:
        chunk = _chunk(line)
        if chunk is None:
            continue
        if chunk.error:
            fields = chunk.error if isinstance(chunk.error, dict) else {"message": chunk.error}
            raise from_object(fields, 500, path)
        for choice in (chunk.choices or [])[:1]:
            for event in _pieces(choice, request.logprobs):
                counted += 1
                yield event
            reason = _reason(choice.finish_reason) or reason
        usage, timings = chunk.usage or usage, chunk.timings or timings
    if reason is None:
        raise UnavailableError("the answer broke off", "is the runner still there? dmr status")
    yield Finished(reason, _usage(usage or _Usage(completion_tokens=counted), timings))


def _chunk(line: bytes) -> _Chunk | None:
    """The chunk in a line; None for comments, blank lines and `[DONE]`."""
    field, _, data = line.partition(b":")
    data = data.strip()
    if field not in (b"data", b"error") or data == b"[DONE]":
        return None
    try:
        # llama-server once wrote errors as a field of their own.
        if field == b"error":
            return _Chunk(error=msgspec.json.decode(data))
        return msgspec.json.decode(data, type=_Chunk)
    except msgspec.MsgspecError as error:
        raise UnavailableError(f"the runner sent a chunk that is none: {error}") from error


def _pieces(choice: _Choice, top: int | None) -> list[Delta | ReasoningDelta | ToolCallDelta]:
    delta = choice.delta or _Delta()
    found: list[Delta | ReasoningDelta | ToolCallDelta] = []
    if delta.reasoning_content:
        found.append(ReasoningDelta(delta.reasoning_content))
    text = delta.content or choice.text
    if text:
        told = choice.logprobs.content if choice.logprobs and top is not None else None
        logprobs = [_token_logprobs(each, top or 0) for each in told or []]
        found.append(Delta(text, logprobs=logprobs))
    for call in delta.tool_calls or []:
        function = call.function or _Function()
        name, arguments = function.name or "", function.arguments or ""
        found.append(ToolCallDelta(call.index, call.id or "", name, arguments))
    return found


def _token_logprobs(told: _Likelihood, top: int) -> TokenLogprobs:
    return TokenLogprobs(_likelihood(told), [_likelihood(each) for each in told.top_logprobs[:top]])


def _likelihood(told: _Likelihood) -> Likelihood:
    piece = told.token.encode() if told.bytes is None else bytes(told.bytes)
    return Likelihood(piece, told.logprob)


def _reason(said: str | None) -> FinishReason | None:
    if said is None:
        return None
    return "length" if said == "length" else "tool_calls" if said == "tool_calls" else "stop"


def _usage(usage: _Usage, timings: _Timings) -> Usage:
    details = usage.prompt_tokens_details or _PromptDetails()
    return Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=details.cached_tokens or 0,
        prompt_seconds=timings.prompt_ms / 1000,
        generation_seconds=timings.predicted_ms / 1000,
    )
