"""Grammars of one's own: what llama.cpp's parser does not survive is refused."""

from __future__ import annotations

import pytest

from dmr_tui.engine.text.grammar.compile import MAX_NESTING, MAX_RULES, check_grammar
from dmr_tui.errors import InvalidRequestError

DEEP = "(" * 600 + '"a"' + ")" * 600


@pytest.mark.parametrize(
    "grammar",
    [
        f"root ::= {DEEP}",
        f'# it is "\nroot ::= {DEEP}',
        f'# [\rroot ::= {DEEP} # "',
        f"root ::= <[> {DEEP}",
        f'root ::= <"> {DEEP}',
    ],
)
def test_parentheses_are_counted_wherever_they_are_some(grammar: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"nest deeper than {MAX_NESTING}"):
        check_grammar(grammar)


@pytest.mark.parametrize("quoted", [f'"{DEEP[:600]}"', f"[{DEEP[:600]}]", f"<{DEEP[:600]}>"])
def test_parentheses_in_texts_are_none(quoted: str) -> None:
    check_grammar(f"root ::= {quoted} # {DEEP[:600]}")


@pytest.mark.parametrize(
    "grammar",
    [
        "".join(f"r{number} ::= r{number + 1}\n" for number in range(MAX_RULES)),
        'root ::= "a"' + "?" * MAX_RULES,
        "".join(f"r{at} ::= {'(' * 400}r{at + 1}{')' * 400}\n" for at in range(50)),
    ],
    ids=["rules", "repetitions", "groups"],
)
def test_rules_are_counted_also_those_that_have_no_name(grammar: str) -> None:
    check_grammar(grammar[: len(grammar) // 2])
    with pytest.raises(InvalidRequestError, match=f"more than {MAX_RULES} rules"):
        check_grammar(f'{grammar}last ::= "b"')


@pytest.mark.parametrize("sign", ['"', "[", "<", "#", '"\\', "[\\"])
def test_signs_that_nothing_ends_are_looked_at_once(sign: str) -> None:
    check_grammar("root ::= " + sign * 1_000_000)
