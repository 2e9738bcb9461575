"""Which tokens a grammar lets through, and how one is drawn among them."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmr_tui.engine.llamacpp.constraint import Candidates, Constraint, choose
from dmr_tui.engine.llamacpp.model import Vocabulary
from dmr_tui.engine.llamacpp.native import llama
from dmr_tui.errors import InvalidRequestError
from tests.support.writer import RandomWriter

ANYTHING = r"root ::= [^\x00]*"


@pytest.fixture(scope="module")
def vocabulary(tiny_gguf: Path) -> Vocabulary:
    return RandomWriter(tiny_gguf).vocabulary


@pytest.fixture
def greedy() -> Iterator[object]:
    sampler = llama.llama_sampler_init_greedy()
    yield sampler
    llama.llama_sampler_free(sampler)


def token_of(vocabulary: Vocabulary, text: bytes) -> int:
    return next(each for each in range(vocabulary.size) if vocabulary.text(each) == text)


def test_control_tokens_come_only_where_they_are_kept(vocabulary: Vocabulary) -> None:
    mark = token_of(vocabulary, b"<|im_start|>")
    assert vocabulary.among_controls(["<|im_start|>", "a", "<|im_end|>"]) == {mark}
    assert not Constraint(vocabulary, ANYTHING, keep=frozenset()).allows(mark)
    kept = Constraint(vocabulary, 'root ::= "<|im_start|>x"', keep=frozenset([mark]))
    assert kept.allows(mark)
    kept.accept(mark)
    assert kept.allows(token_of(vocabulary, b"x"))
    assert not kept.allows(mark)


def test_the_end_comes_only_at_the_end(vocabulary: Vocabulary) -> None:
    end = token_of(vocabulary, b"<|im_end|>")
    constraint = Constraint(vocabulary, 'root ::= "x"', keep=frozenset())
    assert not constraint.allows(end)
    constraint.accept(token_of(vocabulary, b"x"))
    assert constraint.allows(end)


def test_bytes_that_are_no_character_never_come(vocabulary: Vocabulary) -> None:
    constraint = Constraint(vocabulary, ANYTHING, keep=frozenset())
    three, low, high = (token_of(vocabulary, bytes([byte])) for byte in (0xED, 0x80, 0xA0))
    assert not constraint.allows(low)
    assert constraint.allows(three)
    constraint.accept(three)
    # Half of a surrogate pair is no character, though the grammar takes it for one.
    assert not constraint.allows(high)
    assert constraint.allows(low)


def test_the_likeliest_of_what_is_allowed_is_drawn(vocabulary: Vocabulary, greedy: object) -> None:
    logits = (ctypes.c_float * vocabulary.size)()
    for text, logit in ((b"a", 9.0), (b"b", 8.0), (b"\xe0", 7.0), (b"c", 6.0)):
        logits[token_of(vocabulary, text)] = logit
    candidates = Candidates(vocabulary.size)

    def drawn(grammar: str) -> bytes | None:
        constraint = Constraint(vocabulary, grammar, keep=frozenset())
        token = choose(candidates, logits, greedy, constraint)
        return None if token is None else vocabulary.text(token)

    assert drawn("root ::= [a-z]") == b"a"
    assert drawn("root ::= [b-z]") == b"b"
    assert drawn("root ::= [c-z]") == b"c"
    assert drawn('root ::= "<|im_start|>"') == b"<"
    assert drawn("root ::= <[5000]>") is None


@pytest.mark.parametrize(
    ("grammar", "mistake"),
    [
        ("root", "expecting ::= at"),
        ('root ::= "a', "unexpected end of input"),
        ('root ::= ("a"\nother ::= "b"', "expecting ')' at ::="),
        ('root ::= ("a"', "expecting ')' at the end"),
        ('root ::= root "a"', "a rule can begin with itself; let it repeat with * or + instead"),
        ('root ::= "" other\nother ::= root', "a rule can begin with itself"),
        ("root ::= other", "Undefined rule identifier 'other'"),
        ('other ::= "a"', "there is no rule `root`"),
    ],
)
def test_what_is_no_grammar_is_refused(
    grammar: str, mistake: str, vocabulary: Vocabulary, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(f"it is no GBNF: {mistake}")) as raised:
        Constraint(vocabulary, grammar, keep=frozenset())
    assert raised.value.param == "grammar"
    assert "\n" not in str(raised.value)
    os.write(2, b"heard")
    assert capfd.readouterr().err.endswith("heard")
