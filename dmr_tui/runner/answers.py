"""The engine's requests as OpenAI bodies, and OpenAI streams as the engine's events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
from msgspec import Struct

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import (
    ChatRequest,
    Delta,
    Event,
    Finished,
    FinishReason,
    GenerateRequest,
    ReasoningDelta,
    Started,
    Usage,
)
from dmr_tui.errors import UnavailableError
from dmr_tui.runner.connection import from_object


class _Delta(Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(Struct, frozen=True):
    delta: _Delta | None = None
    text: str | None = None
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
    if not isinstance(request, ChatRequest):
        return "completions", {**body, "prompt": request.prompt}
    body["messages"] = request.messages
    if request.template_options:
        body["chat_template_kwargs"] = request.template_options
    return "chat/completions", body


async def read_events(lines: AsyncIterator[bytes], path: str) -> AsyncGenerator[Event, None]:
    """The events of a stream's lines.

    The stream tells its counts at the end only, so `Started` has none.

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
            for event in _texts(choice):
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


def _texts(choice: _Choice) -> list[Delta | ReasoningDelta]:
    delta = choice.delta or _Delta()
    found: list[Delta | ReasoningDelta] = []
    if delta.reasoning_content:
        found.append(ReasoningDelta(delta.reasoning_content))
    text = delta.content or choice.text
    if text:
        found.append(Delta(text))
    return found


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
