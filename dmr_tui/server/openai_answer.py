"""What OpenAI's clients get: whole answers and chunks of a stream, from the engine's events.

Source: OpenAI API reference, the chat completion object and its chunk, the completion object.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from dmr_tui import __version__
from dmr_tui.engine.request import (
    Delta,
    FinishReason,
    FunctionCall,
    PromptLogprobs,
    ReasoningDelta,
    TokenLogprobs,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from dmr_tui.server.openai_functions import function_delta, function_reason
from dmr_tui.server.openai_logprobs import TextOffsets, chat_logprobs, completion_logprobs
from dmr_tui.server.openai_usage import timings, total, usage_body

Piece: TypeAlias = Delta | ReasoningDelta | ToolCallDelta
"""An event that carries a part of the answer."""

FINGERPRINT = f"dmr-{__version__}"


@dataclass
class Collected:
    """One whole answer."""

    text: str = ""
    reasoning: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    prompt: PromptLogprobs | None = None
    reason: FinishReason = "stop"
    usage: Usage = field(default_factory=lambda: Usage(prompt_tokens=0, completion_tokens=0))

    def add(self, event: Piece) -> None:
        """Take one more piece."""
        match event:
            case ReasoningDelta(text):
                self.reasoning += text
            case Delta(text):
                self.text += text
                self.logprobs += event.logprobs
            case ToolCallDelta(index, id_, name, arguments):
                if index == len(self.calls):
                    self.calls.append(ToolCall(id_, FunctionCall(name, arguments)))
                else:
                    known = self.calls[index]
                    whole = known.function.arguments + arguments
                    self.calls[index] = ToolCall(known.id, FunctionCall(known.function.name, whole))


class Shape(Protocol):
    """How one kind of answer is written: JSON-ready payloads, whole or as chunks of a stream."""

    choices: int
    """Answers to each prompt."""

    def opening(self, index: int) -> Any | None:
        """The chunk before the first text, if there is one."""
        ...

    def prompt(self, index: int, event: PromptLogprobs) -> Any | None:
        """The chunk of what is known of the prompt, if it is part of the answer."""
        ...

    def piece(self, index: int, event: Piece) -> Any:
        """The chunk of one piece of text."""
        ...

    def closing(self, index: int, reason: FinishReason, usage: Usage | None) -> Any:
        """The last chunk of a choice; with `usage` it carries the timings."""
        ...

    def usage(self, usage: Usage) -> Any:
        """The chunk of token counts, without a choice."""
        ...

    def whole(self, answers: Sequence[Collected]) -> Any:
        """All at once."""
        ...


class Envelope:
    """What every payload of one answer has in common."""

    def __init__(self, prefix: str, model: str) -> None:
        """Make the answer's identity; `model` is the name that the client used."""
        self._id = prefix + secrets.token_hex(12)
        self._created = int(time.time())
        self._model = model

    def wrap(
        self, kind: str, choices: list[dict[str, Any]], usage: Usage | None = None
    ) -> dict[str, Any]:
        """One payload of type `kind`; `usage` adds the timings."""
        payload = {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
        }
        return payload if usage is None else {**payload, "timings": timings(usage)}


class ChatShape:
    """Answers to `chat/completions`."""

    def __init__(self, model: str, choices: int = 1, *, functions: bool = False) -> None:
        """Write answers of `model`, so many to each prompt; with `functions` in the older words."""
        self.choices = choices
        self._envelope = Envelope("chatcmpl-", model)
        self._functions = functions

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        reason: str | None,
        usage: Usage | None = None,
        logprobs: Sequence[TokenLogprobs] = (),
    ) -> Any:
        choice = {
            "index": index,
            "delta": delta,
            "logprobs": chat_logprobs(logprobs),
            "finish_reason": reason,
        }
        return self._envelope.wrap("chat.completion.chunk", [choice], usage)

    def opening(self, index: int) -> Any:
        """See `Shape.opening`: the role."""
        return self._chunk(index, {"role": "assistant", "content": ""}, None)

    def prompt(self, index: int, event: PromptLogprobs) -> None:
        """See `Shape.prompt`: a chat's prompt is not repeated."""

    def piece(self, index: int, event: Piece) -> Any:
        """See `Shape.piece`."""
        if self._functions and isinstance(event, ToolCallDelta):
            return self._chunk(index, function_delta(event), None)
        return self._chunk(index, _delta(event), None, logprobs=_logprobs(event))

    def closing(self, index: int, reason: FinishReason, usage: Usage | None) -> Any:
        """See `Shape.closing`."""
        return self._chunk(index, {}, self._reason(reason), usage)

    def usage(self, usage: Usage) -> Any:
        """See `Shape.usage`."""
        payload = self._envelope.wrap("chat.completion.chunk", [], usage)
        return {**payload, "usage": usage_body(usage)}

    def whole(self, answers: Sequence[Collected]) -> Any:
        """See `Shape.whole`."""
        choices = [
            {
                "index": index,
                "message": _message(answer, functions=self._functions),
                "logprobs": chat_logprobs(answer.logprobs),
                "finish_reason": self._reason(answer.reason),
            }
            for index, answer in enumerate(answers)
        ]
        usage = total([answer.usage for answer in answers], self.choices)
        payload = self._envelope.wrap("chat.completion", choices, usage)
        return {**payload, "usage": usage_body(usage)}

    def _reason(self, reason: FinishReason) -> str:
        return function_reason(reason) if self._functions else reason


class _Answer(Struct, frozen=True):
    role: str
    content: str | None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[dict[str, Any]] | UnsetType = UNSET
    function_call: FunctionCall | UnsetType = UNSET
    refusal: None = None


def _message(answer: Collected, *, functions: bool) -> _Answer:
    # OpenAI's own null: there is nothing to say beside the calls.
    text = None if answer.calls and not answer.text else answer.text
    thoughts = answer.reasoning or UNSET
    if functions:
        called = answer.calls[0].function if answer.calls else UNSET
        return _Answer("assistant", text, thoughts, function_call=called)
    calls = [{"id": call.id, "type": call.type, "function": call.function} for call in answer.calls]
    return _Answer("assistant", text, thoughts, calls or UNSET)


def _logprobs(event: Piece) -> list[TokenLogprobs]:
    return event.logprobs if isinstance(event, Delta) else []


def _delta(event: Piece) -> dict[str, Any]:
    match event:
        case ReasoningDelta(text):
            return {"reasoning_content": text}
        case Delta(text):
            return {"content": text}
    call: dict[str, Any] = {"index": event.index, "function": {"arguments": event.arguments}}
    if event.id:
        function = {"name": event.name, "arguments": event.arguments}
        call = {"index": event.index, "id": event.id, "type": "function", "function": function}
    return {"tool_calls": [call]}


class CompletionShape:
    """Answers to `completions`; `echo` holds the prompts to repeat before them, if any."""

    def __init__(self, model: str, echo: Sequence[str] = (), choices: int = 1) -> None:
        """Write answers of `model`, so many to each prompt."""
        self.choices = choices
        self._envelope = Envelope("cmpl-", model)
        self._echo = echo
        self._offsets: dict[int, TextOffsets] = {}
        """Of each choice, as far as a stream has come."""

    def _choice(
        self, index: int, text: str, reason: str | None, logprobs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}

    def opening(self, index: int) -> Any | None:
        """See `Shape.opening`: the prompt, when it is to be repeated."""
        if not self._echo:
            return None
        choice = self._choice(index, self._echo[index], None)
        return self._envelope.wrap("text_completion", [choice])

    def prompt(self, index: int, event: PromptLogprobs) -> Any:
        """See `Shape.prompt`: its text has come before."""
        self._offsets[index] = TextOffsets(0)
        logprobs = completion_logprobs([], self._offsets[index], event)
        return self._envelope.wrap("text_completion", [self._choice(index, "", None, logprobs)])

    def piece(self, index: int, event: Piece) -> Any:
        """See `Shape.piece`."""
        text = "" if isinstance(event, ToolCallDelta) else event.text
        if index not in self._offsets:
            self._offsets[index] = TextOffsets(len(self._echo[index]) if self._echo else 0)
        logprobs = completion_logprobs(_logprobs(event), self._offsets[index])
        choice = self._choice(index, text, None, logprobs)
        return self._envelope.wrap("text_completion", [choice])

    def closing(self, index: int, reason: FinishReason, usage: Usage | None) -> Any:
        """See `Shape.closing`."""
        choice = self._choice(index, "", reason)
        return self._envelope.wrap("text_completion", [choice], usage)

    def usage(self, usage: Usage) -> Any:
        """See `Shape.usage`."""
        payload = self._envelope.wrap("text_completion", [], usage)
        return {**payload, "usage": usage_body(usage)}

    def whole(self, answers: Sequence[Collected]) -> Any:
        """See `Shape.whole`."""
        prompts = self._echo or [""] * len(answers)
        choices = []
        for index, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            before = prompt + answer.reasoning
            offsets = TextOffsets(0 if answer.prompt else len(before))
            logprobs = completion_logprobs(answer.logprobs, offsets, answer.prompt)
            choices.append(self._choice(index, before + answer.text, answer.reason, logprobs))
        usage = total([answer.usage for answer in answers], self.choices)
        payload = self._envelope.wrap("text_completion", choices, usage)
        return {**payload, "usage": usage_body(usage)}
