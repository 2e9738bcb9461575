"""Values that make no sense never reach a worker."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dmr_tui.engine.checks import check_request
from dmr_tui.engine.request import ChatRequest, CompletionRequest, Limits, Message, Sampling
from dmr_tui.errors import InvalidRequestError


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"temperature": 0.0, "top_p": 0.0, "top_k": 0, "min_p": 1.0, "typical_p": 1.0, "seed": -1},
        {"temperature": 5.0, "top_k": -1, "repeat_last_n": -1, "repeat_penalty": 0.5},
        {"presence_penalty": -2.0, "frequency_penalty": 2.0},
        {"logit_bias": {5: -100, 7: 100.0}, "mirostat": 2, "dry_base": 1.0, "top_n_sigma": -1.0},
    ],
)
def test_what_has_a_meaning_is_allowed(values: dict[str, Any]) -> None:
    check_request(CompletionRequest("x", Sampling(**values), Limits(max_tokens=1, stop=["a"])))


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.inf),
        ("temperature", math.nan),
        ("top_k", -2),
        ("top_k", 2**31),
        ("top_p", 1.1),
        ("top_p", -0.1),
        ("top_p", math.nan),
        ("min_p", 2),
        ("typical_p", -1),
        ("repeat_penalty", 0),
        ("repeat_last_n", -2),
        ("presence_penalty", 2.1),
        ("frequency_penalty", -2.1),
        ("logit_bias", {5: 100.5}),
        ("logit_bias", {5: math.nan}),
        ("top_n_sigma", math.nan),
        ("xtc_probability", 1.5),
        ("xtc_threshold", -0.5),
        ("dry_multiplier", -1),
        ("dry_base", 0.5),
        ("dry_allowed_length", 0),
        ("dry_penalty_last_n", -2),
        ("dry_sequence_breakers", ["x"] * 65),
        ("mirostat", 3),
        ("mirostat_tau", -1),
        ("mirostat_eta", 2),
    ],
)
def test_a_wrong_sampling_value_is_named(param: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=param) as caught:
        check_request(CompletionRequest("x", Sampling(**{param: value})))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("param", "limits"),
    [
        ("max_tokens", Limits(max_tokens=-1)),
        ("stop", Limits(stop=["fine", ""])),
        ("stop", Limits(stop=["x"] * 65)),
    ],
)
def test_a_wrong_limit_is_named(param: str, limits: Limits) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_request(ChatRequest([Message("user", "Hi")], limits=limits))
    assert caught.value.param == param


def test_a_chat_needs_a_message() -> None:
    with pytest.raises(InvalidRequestError, match="no messages") as caught:
        check_request(ChatRequest([]))
    assert caught.value.param == "messages"


@pytest.mark.parametrize("count", [-1, 21])
def test_so_many_likely_tokens_are_reported_and_no_more(count: int) -> None:
    check_request(CompletionRequest("x", logprobs=20))
    with pytest.raises(InvalidRequestError) as caught:
        check_request(CompletionRequest("x", logprobs=count))
    assert caught.value.param == "logprobs"
