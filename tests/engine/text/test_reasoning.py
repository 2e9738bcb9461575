"""Thoughts and answers told apart, however the text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmr_tui.engine.text.pieces import Text, Thought
from dmr_tui.engine.text.reasoning import (
    THINK,
    Markers,
    ReasoningBudget,
    ReasoningSplitter,
    begins_inside,
    find_markers,
)

COMMAND = find_markers("<|START_THINKING|><|END_THINKING|><|START_RESPONSE|><|END_RESPONSE|>")
GRANITE = find_markers("<think></think><response></response>")
MAGISTRAL = find_markers("[THINK][/THINK]")
SAID = "<|START_RESPONSE|>b<|END_RESPONSE|>"


def split(text: str, cuts: list[int], markers: Markers, *, inside: bool) -> tuple[str, str]:
    splitter = ReasoningSplitter(markers, inside=inside)
    pieces = []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        pieces += splitter.feed(text[start:end])
    pieces += splitter.finish()
    assert all(piece.text for piece in pieces if isinstance(piece, Text | Thought))
    thoughts = "".join(piece.text for piece in pieces if isinstance(piece, Thought))
    return thoughts, "".join(piece.text for piece in pieces if isinstance(piece, Text))


CASES = [
    (THINK, False, "<think>\nHm.\n</think>\n\nYes.", "Hm.", "Yes."),
    (THINK, False, "\n<think>a</think>b", "a", "b"),
    (THINK, True, "Hm.\n\nWell.\n</think>\n\nYes.\n", "Hm.\n\nWell.", "Yes.\n"),
    (THINK, True, "<think>\nHm.</think>Yes.", "Hm.", "Yes."),
    (THINK, True, "Hm. It never ends <", "Hm. It never ends <", ""),
    (THINK, True, "\n</think>\n\nYes.", "", "Yes."),
    (THINK, False, " Yes, a < b.", "", " Yes, a < b."),
    (THINK, False, "No <think>thoughts</think> here.", "", "No <think>thoughts</think> here."),
    (THINK, False, "<thin", "", "<thin"),
    (THINK, False, "<think>a </thin> b</think>c</think>", "a </thin> b", "c</think>"),
    (THINK, False, "", "", ""),
    (
        COMMAND,
        False,
        "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>",
        "a",
        "b",
    ),
    (COMMAND, False, SAID, "", "b"),
    (GRANITE, False, "<think>a</think><response>b < c</response>", "a", "b < c"),
    (MAGISTRAL, False, "[THINK]a[0][/THINK]b", "a[0]", "b"),
]


@pytest.mark.parametrize(("markers", "inside", "text", "thoughts", "answer"), CASES)
def test_thoughts_and_answer(
    markers: Markers, inside: bool, text: str, thoughts: str, answer: str
) -> None:
    expected = (thoughts, answer)
    assert split(text, [], markers, inside=inside) == expected
    assert split(text, list(range(len(text))), markers, inside=inside) == expected
    for at in range(len(text)):
        assert split(text, [at], markers, inside=inside) == expected


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "k>", "a", " ", "\n", "</think"])),
    st.booleans(),
    st.data(),
)
def test_nothing_is_lost_but_markers_and_space(
    parts: list[str], inside: bool, data: st.DataObject
) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    thoughts, answer = split(text, cuts, THINK, inside=inside)
    assert (thoughts, answer) == split(text, [], THINK, inside=inside)
    left = text.replace("<think>", "", text.lstrip().startswith("<think>"))
    squeezed = "".join((thoughts + answer).split())
    assert squeezed in ("".join(left.split()), "".join(left.replace("</think>", "", 1).split()))


def test_templates_that_open_thoughts_are_known_by_their_prompt() -> None:
    assert begins_inside("<|im_start|>assistant\n<think>\n", THINK)
    assert not begins_inside("<|im_start|>assistant\n<think>\n\n</think>\n\n", THINK)


def test_a_budget_is_spent_token_by_token() -> None:
    budget = ReasoningBudget(2)
    assert not budget.spent
    budget.spend()
    assert not budget.spent
    budget.spend()
    assert budget.spent
    assert ReasoningBudget(0).spent
