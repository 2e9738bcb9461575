"""Refuse a request whose values make no sense, before a worker sees it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from dmr_tui.engine.request import (
    ChatRequest,
    CompletionRequest,
    GenerateRequest,
    Limits,
    NamedTool,
    Sampling,
)
from dmr_tui.errors import InvalidRequestError

MAX_STOPS = 64
"""Stop strings of one request; OpenAI allows 4, other clients send more."""

MAX_LOGPROBS = 20
"""Alternatives that are reported for a token at most; OpenAI's."""

MAX_BREAKERS = 64
"""Sequence breakers of DRY: for each of them llama.cpp looks through the whole vocabulary."""

MAX_BIAS = 100
"""OpenAI's; with so much a token always comes, or never."""

_MAX_INT = 2**31 - 1

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_RULES: dict[str, tuple[Callable[[float], bool], str]] = {
    "temperature": (lambda value: 0 <= value < math.inf, "0 or more"),
    "top_k": (lambda value: -1 <= value <= _MAX_INT, "0 or more"),
    "top_p": (lambda value: 0 <= value <= 1, "between 0 and 1"),
    "min_p": (lambda value: 0 <= value <= 1, "between 0 and 1"),
    "typical_p": (lambda value: 0 <= value <= 1, "between 0 and 1"),
    "repeat_penalty": (lambda value: 0 < value < math.inf, "more than 0"),
    "repeat_last_n": (lambda value: -1 <= value <= _MAX_INT, "-1 (the whole context) or more"),
    "presence_penalty": (lambda value: -2 <= value <= 2, "between -2 and 2"),
    "frequency_penalty": (lambda value: -2 <= value <= 2, "between -2 and 2"),
    "top_n_sigma": (math.isfinite, "a number"),
    "xtc_probability": (lambda value: 0 <= value <= 1, "between 0 and 1"),
    "xtc_threshold": (lambda value: 0 <= value <= 1, "between 0 and 1"),
    "dry_multiplier": (lambda value: 0 <= value < math.inf, "0 or more"),
    "dry_base": (lambda value: 1 <= value < math.inf, "1 or more"),
    "dry_allowed_length": (lambda value: 1 <= value <= _MAX_INT, "1 or more"),
    "dry_penalty_last_n": (lambda value: -1 <= value <= _MAX_INT, "-1 (the whole context) or more"),
    "mirostat": (lambda value: value in (0, 1, 2), "0, 1 or 2"),
    "mirostat_tau": (lambda value: 0 <= value < math.inf, "0 or more"),
    "mirostat_eta": (lambda value: 0 <= value <= 1, "between 0 and 1"),
}


def check_request(request: GenerateRequest) -> None:
    """Check everything that can be checked without the model.

    Raises:
        InvalidRequestError: with `param` naming the field at fault.
    """
    check_sampling(request.sampling)
    _check_limits(request.limits)
    if request.logprobs is not None and not 0 <= request.logprobs <= MAX_LOGPROBS:
        raise InvalidRequestError(
            f"logprobs: between 0 and {MAX_LOGPROBS} tokens can be reported, not"
            f" {request.logprobs}",
            param="logprobs",
        )
    if isinstance(request, CompletionRequest) and request.prompt_logprobs:
        if request.logprobs is None:
            raise InvalidRequestError("prompt_logprobs needs logprobs", param="logprobs")
        if request.suffix is not None:
            raise InvalidRequestError(
                "suffix: a prompt in two parts cannot be repeated with its logprobs",
                "leave echo or logprobs out",
                param="suffix",
            )
    if isinstance(request, ChatRequest):
        if not request.messages:
            raise InvalidRequestError("there are no messages to answer", param="messages")
        _check_tools(request)


def check_sampling(sampling: Sampling) -> None:
    """Check the values of `sampling` that are set.

    Raises:
        InvalidRequestError: with `param` naming the value at fault.
    """
    for name, (allowed, words) in _RULES.items():
        value = getattr(sampling, name)
        if value is not None and not allowed(value):
            raise InvalidRequestError(f"{name} must be {words}, not {value}", param=name)
    if len(sampling.dry_sequence_breakers or []) > MAX_BREAKERS:
        raise InvalidRequestError(
            f"dry_sequence_breakers: there may be at most {MAX_BREAKERS}",
            param="dry_sequence_breakers",
        )
    for token, bias in (sampling.logit_bias or {}).items():
        if not -MAX_BIAS <= bias <= MAX_BIAS:
            raise InvalidRequestError(
                f"logit_bias: {bias} for token {token} is not between {-MAX_BIAS} and {MAX_BIAS}",
                param="logit_bias",
            )


def _check_tools(request: ChatRequest) -> None:
    names = [tool.function.name for tool in request.tools]
    for tool in request.tools:
        kind = (tool.function.parameters or {}).get("type", "object")
        if "object" not in (kind if isinstance(kind, list) else [kind]):
            raise InvalidRequestError(
                f"tools: the parameters of {tool.function.name!r} have to be an object,"
                f" not {kind!r}",
                param="tools",
            )
    for name in names:
        if not _NAME.fullmatch(name):
            raise InvalidRequestError(
                f"tools: {name!r} is no name of a function: 1 to 64 letters, digits, _ - and .",
                param="tools",
            )
    if len(set(names)) < len(names):
        raise InvalidRequestError("tools: two of them have the same name", param="tools")
    choice = request.tool_choice
    if isinstance(choice, NamedTool) and choice.name not in names:
        raise InvalidRequestError(
            f"tool_choice: {choice.name!r} is not among the tools", param="tool_choice"
        )
    if choice == "required" and not names:
        raise InvalidRequestError("tool_choice: there are no tools to call", param="tool_choice")


def has_form(request: GenerateRequest) -> bool:
    """Whether the answer is held to a form, which is worth a look before a model is loaded."""
    if not isinstance(request, ChatRequest):
        return request.format is not None
    strict = any(tool.function.strict for tool in request.tools)
    return request.format is not None or request.tool_choice not in ("auto", "none") or strict


def check_form(request: GenerateRequest) -> None:
    """Compile what the answer is held to: the worker does so again, but loads a model first.

    Raises:
        InvalidRequestError: it cannot be compiled; with `param` naming the field at fault.
    """
    if isinstance(request, ChatRequest):
        from dmr_tui.engine.text.plan import check_answer

        check_answer(request)
    elif request.format is not None:
        from dmr_tui.engine.text.plan import plan_completion

        plan_completion(request.format)


def _check_limits(limits: Limits) -> None:
    if limits.max_tokens is not None and limits.max_tokens < 0:
        raise InvalidRequestError(
            f"max_tokens must be 0 or more, not {limits.max_tokens}", param="max_tokens"
        )
    if len(limits.stop) > MAX_STOPS:
        raise InvalidRequestError(f"there may be at most {MAX_STOPS} stop strings", param="stop")
    if not all(limits.stop):
        raise InvalidRequestError("a stop string must not be empty", param="stop")
