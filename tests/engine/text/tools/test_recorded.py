"""Recorded outputs, read as a whole and cut everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
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
from dmr_tui.engine.text.tools.gemma import python_calls
from dmr_tui.engine.text.tools.markup import MarkupCalls
from dmr_tui.engine.text.tools.reading import Reading
from tests.engine.text.tools.recorded import (
    HERMES,
    LLAMA,
    MALFORMED,
    NO_TOOLS,
    RECORDED,
    TOOLS,
    Recorded,
)
from tests.support.writer import RandomWriter

OFFERED = [Tool(Function(name, parameters=schema)) for name, schema in TOOLS.items()]
REQUEST = ChatRequest([Message("user", "Go")], tools=OFFERED)


@pytest.fixture(scope="module")
def writer(tiny_gguf: Path) -> RandomWriter:
    return RandomWriter(tiny_gguf)


def read(recorded: Recorded, pieces: Iterable[bytes], *, held: bool = False) -> list[Event]:
    answer = AnswerText(plan_chat(REQUEST, recorded.template, "").reader())
    answer.hold(held)
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
    return [(name, strict(given)) for name, given in calls.values()], text, thoughts


def strict(given: str) -> Any:
    """What every client reads: Unicode, and none of Python's own words for numbers."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(given.encode(), parse_constant=refuse)


@pytest.mark.parametrize("recorded", [*RECORDED, *MALFORMED], ids=lambda each: each.name)
def test_an_output_means_the_same_however_it_is_cut(recorded: Recorded) -> None:
    raw = recorded.output.encode()
    expected = (recorded.calls, recorded.text, recorded.thoughts)
    assert meant(read(recorded, [raw])) == expected
    assert meant(read(recorded, [raw[at : at + 1] for at in range(len(raw))])) == expected
    for at in range(1, len(raw)):
        assert meant(read(recorded, [raw[:at], raw[at:]])) == expected


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda each: each.name)
def test_an_output_that_is_held_to_its_form_means_the_same(recorded: Recorded) -> None:
    raw = recorded.output.encode()
    expected = (recorded.calls, recorded.text, recorded.thoughts)
    assert (
        meant(read(recorded, [raw[at : at + 1] for at in range(len(raw))], held=True)) == expected
    )
    for at in range(1, len(raw)):
        assert meant(read(recorded, [raw[:at], raw[at:]], held=True)) == expected


AT_ONCE = (
    *("built in", "llama, code", "gemma, ", "lfm2"),
    *("arguments as text", "no arguments", "nested"),
)
"""In the names of outputs whose last call has no arguments, or can only be read as a whole."""
IN_PIECES = [
    each
    for each in RECORDED
    if each.calls and each.name != "gemma" and not any(words in each.name for words in AT_ONCE)
]


@pytest.mark.parametrize("recorded", IN_PIECES, ids=lambda each: each.name)
def test_held_calls_come_while_they_are_written(recorded: Recorded) -> None:
    raw = recorded.output.encode()
    pieces = [raw[at : at + 1] for at in range(len(raw))]
    parts = [each for each in read(recorded, pieces, held=True) if isinstance(each, ToolCallDelta)]
    last = [part for part in parts if part.index == len(recorded.calls) - 1]
    assert [bool(part.name) for part in last] == [True, *[False] * (len(last) - 1)]
    assert len(last) > 3
    whole = [
        each for each in read(recorded, pieces) if isinstance(each, ToolCallDelta) and not each.name
    ]
    assert len(whole) == len(recorded.calls)


@pytest.mark.parametrize("template", [LLAMA, NO_TOOLS])
@pytest.mark.parametrize("begin", ['{"title": "', '[ {"title": "', '{"city": {"name": "'])
def test_an_answer_that_is_json_comes_while_it_is_written(template: str, begin: str) -> None:
    answer = AnswerText(plan_chat(REQUEST, template, "").reader())
    [event] = answer.feed(begin.encode())
    assert event == Delta(begin, 1)
    [event] = answer.feed(b"Long")
    assert event == Delta("Long", 1)


def test_a_held_call_that_is_cut_off_is_not_told_twice() -> None:
    output = '<tool_call>\n{"name": "weather", "arguments": {"city": "Par'
    recorded = Recorded("cut", HERMES, output, [])
    answer = AnswerText(plan_chat(REQUEST, HERMES, "").reader())
    answer.hold(True)
    events = [*answer.feed(output.encode()), *answer.finish()]
    assert [type(event) for event in events] == [ToolCallDelta] * 2
    assert "".join(event.arguments for event in events if isinstance(event, ToolCallDelta)) == (
        '{"city": "Par'
    )
    assert not answer.called
    # Without a hold on it, it is the text that it is.
    assert meant(read(recorded, [output.encode()])) == ([], output, "")


@pytest.mark.parametrize(
    "recorded",
    [each for each in RECORDED if each.calls and not each.sloppy],
    ids=lambda each: each.name,
)
def test_what_a_family_writes_is_what_its_grammar_holds_it_to(
    recorded: Recorded, writer: RandomWriter
) -> None:
    plan = plan_chat(REQUEST, recorded.template, "")
    assert plan.call_grammar is not None
    grammar = plan.call_grammar()
    assert grammar is not None
    raw = recorded.output.encode()
    answer = AnswerText(plan.reader())
    read_so_far = 0
    while (begun := answer.opened) is None:
        answer.feed(raw[read_so_far : read_so_far + 1])
        read_so_far += 1
    assert raw[:read_so_far].endswith(begun.encode())
    call = begun + raw[read_so_far:].decode()
    for noise in ("<start_function_response>", "<|call|>"):
        call = call.removesuffix(noise)
    assert writer.follows(grammar, call.rstrip())
    assert not writer.follows(grammar, begun + "\0")


@given(st.sampled_from([*RECORDED, *MALFORMED]), st.data())
def test_outputs_run_together_lose_nothing_however_they_are_cut(
    recorded: Recorded, data: st.DataObject
) -> None:
    other = data.draw(st.sampled_from(RECORDED))
    raw = (recorded.output + other.output).encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=9)) | {0, len(raw)})
    pieces = [raw[start:end] for start, end in pairwise(cuts)]
    assert meant(read(recorded, pieces)) == meant(read(recorded, [raw]))


def test_python_that_is_cut_off_within_a_text_full_of_quotes_is_no_call() -> None:
    """It is read once, and not once for each quote: that would take minutes."""
    assert python_calls('write(text="' + 'say \\"x\\" and ' * 20_000) == []


def test_a_long_call_is_not_read_again_at_each_token(monkeypatch: pytest.MonkeyPatch) -> None:
    read_again: list[int] = []
    plain = MarkupCalls.read

    def counted(self: MarkupCalls, text: str, *, final: bool) -> Reading | None:
        read_again.append(len(text))
        return plain(self, text, final=final)

    monkeypatch.setattr(MarkupCalls, "read", counted)
    story = "It was a dark and stormy night. " * 500
    call = json.dumps({"name": "weather", "arguments": {"city": story}})
    recorded = Recorded("long", HERMES, f"<tool_call>{call}</tool_call> There.", [])
    whole = recorded.output.encode()
    pieces = [whole[at : at + 4] for at in range(0, len(whole), 4)]
    for held in (False, True):
        read_again.clear()
        events = read(recorded, pieces, held=held)
        assert meant(events) == ([("weather", {"city": story})], "There.", "")
        assert 20 < sum(length > 8000 for length in read_again) < 100
