"""Expressions that choose requests and lines."""

from __future__ import annotations

import pytest

from dmr_tui.errors import InvalidRequestError
from dmr_tui.runner.activity.filtering import parse_filter
from dmr_tui.runner.activity.records import Failure, LogLine, RequestRecord

GOOD = RequestRecord(
    id="ab-1", time=0, client="zed/0.209", protocol="chat", path="/v1/chat/completions",
    model="qwen3:8b", stream=True, status=200, seconds=4.9, first_token_seconds=0.3,
    prompt_tokens=26, completion_tokens=212,
)  # fmt: skip
BAD = RequestRecord(
    id="ab-2", time=0, client="python-openai 2.8", protocol="chat", model="gemma3", status=400,
    seconds=0.01, prompt_tokens=9214,
    error=Failure("the prompt is too long", "less", "context_length_exceeded"),
)  # fmt: skip
RUNNING = RequestRecord(id="ab-3", time=0, client="curl/8.5", protocol="embeddings", model="nomic")
ALL = (GOOD, BAD, RUNNING)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("", ALL),
        ("  ", ALL),
        ("status:>=400", [BAD]),
        ("code:200", [GOOD]),
        ("status:!=200", [BAD, RUNNING]),
        ("status:>=400 OR model:qwen", [GOOD, BAD]),
        ("model:qwen client:zed", [GOOD]),
        ("model:qwen AND client:curl", []),
        ("NOT model:qwen", [BAD, RUNNING]),
        ("-model:qwen -running:yes", [BAD]),
        ("(model:qwen or model:nomic) stream:no", [RUNNING]),
        ("QWEN3", [GOOD]),
        ('"too long"', [BAD]),
        ('error:"too long"', [BAD]),
        ("took:>2s", [GOOD]),
        ("took:<=10ms", [BAD]),
        ("ttft:<1", [GOOD]),
        ("in:>1000 or out:212", [GOOD, BAD]),
        ("route:=chat", [GOOD, BAD]),
        ("route:!=chat", [RUNNING]),
        ("running:yes", [RUNNING]),
        ("level:error", []),
        ("not level:error", ALL),
        ("ai/qwen3", []),
        ("/v1/chat", [GOOD]),
    ],
)
def test_requests(expression: str, expected: list[RequestRecord]) -> None:
    chosen = parse_filter(expression)
    assert [each for each in ALL if chosen.request(each)] == list(expected)


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ("level:>=warn", True),
        ("level:info", False),
        ("level:<error source:qwen", True),
        ("memory", True),
        ("model:qwen3", True),
        ("status:>=400", False),
        ("status:>=400 OR model:qwen", True),
        ("engine:yes", True),
        ("text:=nothing", False),
    ],
)
def test_lines(expression: str, matches: bool) -> None:
    line = LogLine(0, "low on memory", "warn", "qwen3_8b", engine=True)
    assert parse_filter(expression).line(line) is matches


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("stats:400", "no field “stats”"),
        ("status:", "no value after “status:”"),
        ("status:>=", "no value after “status:>=”"),
        ("status:many", "a number after “status:”, not “many”"),
        ("took:long", "a number after “took:”"),
        ("stream:perhaps", "yes or no"),
        ("level:loud", "no level “loud”"),
        ("model:>qwen", "cannot compare “model” with >"),
        ("(a", "“(” without"),
        ("a)", "“)” too many"),
        (")", "nothing before “)”"),
        ("OR b", "nothing before “OR”"),
        ("a OR", "ends too early"),
        ("NOT", "ends too early"),
        ('"abc', "quotation mark"),
    ],
)
def test_what_makes_no_sense_is_said(expression: str, reason: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        parse_filter(expression)
    assert reason in raised.value.message


@pytest.mark.parametrize("deep", ["(" * 5000 + "x" + ")" * 5000, "not " * 5000 + "x"])
def test_what_is_nested_without_end_is_refused(deep: str) -> None:
    with pytest.raises(InvalidRequestError, match="nested more than 50 deep"):
        parse_filter(deep)


def test_what_a_person_nests_is_read() -> None:
    assert parse_filter("(" * 40 + "qwen3" + ")" * 40).request(GOOD)
    assert parse_filter(" ".join(["(qwen3)"] * 200)).request(GOOD)
