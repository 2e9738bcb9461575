"""One answer's tokens, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from dmr_tui.engine.llamacpp.likelihood import Likelihoods
from dmr_tui.engine.llamacpp.sampling import Sampler
from dmr_tui.engine.llamacpp.sequence import Sequence, Thoughts
from dmr_tui.engine.request import Delta, Finished, Likelihood, TokenLogprobs
from dmr_tui.engine.text.answer import AnswerText, MarkedReader, PlainReader, Reader
from dmr_tui.engine.text.reasoning import THINK, Markers, ReasoningSplitter
from dmr_tui.engine.text.tools.harmony import HarmonyParser
from dmr_tui.engine.text.tools.json_calls import JSONCalls
from dmr_tui.engine.text.tools.parser import ToolParser


class Script:
    """Draws what it was told to, and finds it certain."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def sample(self, index: int) -> int:
        return index

    def measure(self, index: int, token: int) -> TokenLogprobs:
        return TokenLogprobs(Likelihood(self.pieces[token], 0.0), [])


@pytest.mark.parametrize(
    "pieces",
    [
        [b"<think>", b"a", b" b", b"</think>", b"\n\n", b"Hi", b" you"],
        [b"<", b"think", b">", b"a", b" b</", b"think", b">", b"\n", b"\n", b"Hi", b" you"],
        [b"Hi", b" y", b"ou"],
        [b"\nHi", b" you"],
    ],
)
def test_only_what_is_shown_is_told_of(pieces: list[bytes]) -> None:
    check_told(MarkedReader(ReasoningSplitter(THINK, inside=False), None), pieces)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"<think>", b"a", b"</think>", b"\n", b"<", b"answer", b">", b"Hi", b" you"],
        [b"<answer>", b"Hi", b" you"],
        [b"Hi", b" you"],
    ],
)
def test_the_marks_before_an_answer_are_not_told_of(pieces: list[bytes]) -> None:
    markers = Markers("<think>", "</think>", "<answer>", "</answer>")
    check_told(MarkedReader(ReasoningSplitter(markers, inside=False), None), pieces)


FINAL = [b"<|channel|>", b"final", b"<|message|>", b"Hi", b" you"]


@pytest.mark.parametrize(
    "pieces",
    [
        FINAL,
        [
            b"<|channel|>",
            b"analysis",
            b"<|message|>",
            b"a",
            b"<|end|>",
            b"<|start|>",
            b"it",
            *FINAL,
        ],
        [b"<|channel|>", b"commentary", b"<|message|>", b"I", b"<|end|>", b"<|start|>", *FINAL],
        [b"to", b" all:", b"Hi", b" you"],
    ],
)
def test_the_headers_of_messages_are_not_told_of(pieces: list[bytes]) -> None:
    check_told(HarmonyParser(frozenset()), pieces)


def test_control_tokens_without_text_are_not_told_of() -> None:
    check_told(PlainReader(), [b"", b"Hi", b" ", b"", b"you"])


def check_told(reader: Reader, pieces: list[bytes]) -> None:
    """Read an answer: the tokens that are told of make up its text."""
    script = Script([*pieces, b""])
    sequence = Sequence(
        1,
        [5],
        sampler=cast(Sampler, script),
        limit=None,
        text=AnswerText(reader),
        likelihoods=cast(Likelihoods, script),
    )
    events = []
    for index, piece in enumerate(pieces):
        sequence.draw(index)
        events += sequence.say(piece)
    sequence.draw(len(pieces))  # the end of the turn
    sequence.hush()
    events += sequence.finish("stop")
    deltas = [event for event in events if isinstance(event, Delta)]
    told = b"".join(each.chosen.piece for delta in deltas for each in delta.logprobs)
    assert told.decode() == "".join(delta.text for delta in deltas)
    assert told.endswith(b"Hi you")
    entries = [each for delta in deltas for each in delta.logprobs]
    assert b"" not in [each.chosen.piece for each in entries]


@pytest.mark.parametrize("parallel", [True, False])
def test_the_only_call_ends_the_answer(parallel: bool) -> None:
    """What follows it would not be told: nobody has to wait for it."""
    call = [b"<tool_call>", b'{"name": "add", ', b'"arguments": {}}', b"\n</tool_call>"]
    parser = ToolParser(JSONCalls(("<tool_call>",), "</tool_call>"), {"add"}, parallel=parallel)
    sequence = Sequence(
        1,
        [5],
        sampler=cast(Sampler, Script(call)),
        limit=None,
        text=AnswerText(MarkedReader(ReasoningSplitter(THINK, inside=False), parser)),
    )
    reasons = []
    for index, piece in enumerate(call):
        sequence.draw(index)
        sequence.say(piece)
        reasons.append(sequence.finish_reason)
    assert reasons == [None] * 3 + [None if parallel else "stop"]
    finished = sequence.finish("stop")[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == "tool_calls"


class Form:
    """Allows what has not been forbidden."""

    def __init__(self) -> None:
        self.forbidden = set[int]()
        self.accepted: list[int] = []

    def allows(self, token: int) -> bool:
        return token not in self.forbidden

    def accept(self, token: int) -> None:
        self.accepted.append(token)


class Mind:
    """Thinks, or does not."""

    interruptible = True


def thoughts_of(closings: list[list[int]]) -> tuple[Callable[[], int | None], Mind, Form]:
    """What comes next of thoughts that have no token left."""
    thoughts, mind, form = Thoughts(0, closings), Mind(), Form()
    return lambda: thoughts.next(cast(AnswerText, mind), cast(Sampler, form)), mind, form


def test_thoughts_that_begin_again_are_ended_again() -> None:
    following, mind, form = thoughts_of([[1, 2], [1, 2, 3, 4]])
    assert following() == 1
    mind.interruptible = False
    assert [following() for _ in range(3)] == [2, None, None]
    mind.interruptible = True
    assert following() == 1
    mind.interruptible = False
    assert [following() for _ in range(4)] == [2, 3, 4, None]
    mind.interruptible = True
    assert following() is None
    assert form.accepted == [1, 2, 1, 2, 3, 4]


def test_what_a_form_does_not_allow_of_a_closing_is_not_written_later() -> None:
    following, mind, form = thoughts_of([[1, 2, 3]])
    form.forbidden = {1}
    assert following() is None
    form.forbidden = {2}
    assert following() == 1
    mind.interruptible = False
    assert following() is None
    form.forbidden = set()
    assert following() is None
    assert form.accepted == [1]
