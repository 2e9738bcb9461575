"""Recorded outputs, read as a whole and cut everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmr_tui.engine.request import (
    ChatRequest,
    Delta,
    Event,
    Function,
    Message,
    ReasoningDelta,
    Tool,
    ToolCallDelta,
)
from dmr_tui.engine.text.answer import AnswerText
from dmr_tui.engine.text.plan import plan_chat
from tests.engine.text.tools.recorded import MALFORMED, RECORDED, TOOLS, Recorded

OFFERED = [Tool(Function(name, parameters=schema)) for name, schema in TOOLS.items()]
REQUEST = ChatRequest([Message("user", "Go")], tools=OFFERED)


def read(recorded: Recorded, pieces: Iterable[bytes]) -> list[Event]:
    answer = AnswerText(plan_chat(REQUEST, recorded.template, "").reader())
    return [event for piece in pieces for event in answer.feed(piece)] + answer.finish()


def meant(events: list[Event]) -> tuple[list[tuple[str, Any]], str, str]:
    calls: dict[int, tuple[str, str]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            name, arguments = calls.get(event.index, ("", ""))
            assert bool(event.id) == bool(event.name) == (event.index not in calls)
            calls[event.index] = (name + event.name, arguments + event.arguments)
    text = "".join(event.text for event in events if isinstance(event, Delta))
    thoughts = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    assert list(calls) == list(range(len(calls)))
    return [(name, json.loads(given)) for name, given in calls.values()], text, thoughts


@pytest.mark.parametrize("recorded", [*RECORDED, *MALFORMED], ids=lambda each: each.name)
def test_an_output_means_the_same_however_it_is_cut(recorded: Recorded) -> None:
    raw = recorded.output.encode()
    expected = (recorded.calls, recorded.text, recorded.thoughts)
    assert meant(read(recorded, [raw])) == expected
    assert meant(read(recorded, [raw[at : at + 1] for at in range(len(raw))])) == expected
    for at in range(1, len(raw)):
        assert meant(read(recorded, [raw[:at], raw[at:]])) == expected


@given(st.sampled_from([*RECORDED, *MALFORMED]), st.data())
def test_outputs_run_together_lose_nothing_however_they_are_cut(
    recorded: Recorded, data: st.DataObject
) -> None:
    other = data.draw(st.sampled_from(RECORDED))
    raw = (recorded.output + other.output).encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=9)) | {0, len(raw)})
    pieces = [raw[start:end] for start, end in pairwise(cuts)]
    assert meant(read(recorded, pieces)) == meant(read(recorded, [raw]))
