"""Refuse a request whose values make no sense, before a worker sees it."""

from __future__ import annotations

import math
from collections.abc import Callable

from dmr_tui.engine.request import ChatRequest, GenerateRequest, Limits, Sampling
from dmr_tui.errors import InvalidRequestError

MAX_STOPS = 64
"""Stop strings of one request; OpenAI allows 4, other clients send more."""

_MAX_INT = 2**31 - 1

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
}


def check_request(request: GenerateRequest) -> None:
    """Check everything that can be checked without the model.

    Raises:
        InvalidRequestError: with `param` naming the field at fault.
    """
    check_sampling(request.sampling)
    _check_limits(request.limits)
    if isinstance(request, ChatRequest) and not request.messages:
        raise InvalidRequestError("there are no messages to answer", param="messages")


def check_sampling(sampling: Sampling) -> None:
    """Check the values of `sampling` that are set.

    Raises:
        InvalidRequestError: with `param` naming the value at fault.
    """
    for name, (allowed, words) in _RULES.items():
        value = getattr(sampling, name)
        if value is not None and not allowed(value):
            raise InvalidRequestError(f"{name} must be {words}, not {value}", param=name)


def _check_limits(limits: Limits) -> None:
    if limits.max_tokens is not None and limits.max_tokens < 1:
        raise InvalidRequestError(
            f"max_tokens must be 1 or more, not {limits.max_tokens}", param="max_tokens"
        )
    if len(limits.stop) > MAX_STOPS:
        raise InvalidRequestError(f"there may be at most {MAX_STOPS} stop strings", param="stop")
    if not all(limits.stop):
        raise InvalidRequestError("a stop string must not be empty", param="stop")
