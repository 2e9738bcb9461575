from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmr_tui.widgets.markdown import Document, Row

ANSWER = Path(__file__).with_name("answer.md").read_text("utf-8")


def read(text: str, width: int = 60) -> list[Row]:
    document = Document()
    document.update(text, finished=True)
    return document.rows(width)


def plain(text: str, width: int = 60) -> list[str]:
    return [row.content.plain.rstrip() for row in read(text, width)]


def spans(row: Row) -> dict[str, str]:
    return {row.content.plain[span.start : span.end]: str(span.style) for span in row.content.spans}


def copied(rows: list[Row]) -> str:
    return "".join(
        (row.glue if index else "") + row.content.plain[row.decoration :].rstrip()
        for index, row in enumerate(rows)
    )


def test_paragraphs_are_wrapped_and_joined_again_when_copied() -> None:
    rows = read("one two three four five\nsix", 12)
    assert [row.content.plain for row in rows] == ["one two", "three four", "five six"]
    assert copied(rows) == "one two three four five six"


def test_inline_styles_become_spans() -> None:
    (row,) = read("a **bold** *em* `code` ~~old~~ [link](http://x) ![pic](p.png)")
    assert row.content.plain == "a bold em code old link [pic]"
    styles = spans(row)
    assert (styles["bold"], styles["em"], styles["old"]) == ("bold", "italic", "strike")
    assert "underline" in styles["link"]
    assert "$panel" in styles["code"]


def test_hard_breaks_stay_and_html_is_shown() -> None:
    assert plain("a  \nb <b>x</b>") == ["a", "b <b>x</b>"]


def test_headings_are_bold_with_an_empty_row_before() -> None:
    rows = read("text\n# Title\nmore")
    assert [row.content.plain for row in rows] == ["text", "", "Title", "", "more"]
    assert "bold" in spans(rows[2])["Title"]


def test_lists_keep_their_numbers_nest_and_are_tight_or_loose_as_written() -> None:
    assert plain("3. a\n4. b\n   - c\n     - d") == ["3. a", "4. b", "   ◦ c", "     ▪ d"]
    assert plain("- a\n\n- b") == ["• a", "", "• b"]
    assert plain("-\n- b") == ["•", "• b"]


def test_a_wrapped_item_is_indented_and_copied_without_its_bullet() -> None:
    rows = read("- one two three", 9)
    assert [row.content.plain for row in rows] == ["• one two", "  three"]
    assert copied(rows) == "one two three"


def test_quotes_have_a_bar_on_every_row() -> None:
    assert plain("> a\n>\n> b") == ["▎ a", "▎", "▎ b"]


def test_code_is_folded_not_wrapped_and_copied_as_it_was() -> None:
    code = "if x:\n    return 'abcdefghijklmnopqrstuvwxyz'"
    rows = read(f"```python\n{code}\n```", 20)
    assert rows[0].content.plain.split() == ["▏", "python"]
    assert all(row.content.cell_length == 20 for row in rows)
    assert copied(rows[1:]) == code


def test_code_is_coloured_once_its_block_is_closed() -> None:
    document = Document()
    document.update("```python\nreturn 1\n")
    assert "$text-accent" not in spans(document.rows(40)[1]).values()
    document.update("```python\nreturn 1\n```\nnext")
    assert spans(document.rows(40)[1])["return"] == "$text-accent"


def test_unknown_languages_are_no_failure() -> None:
    assert plain("```nosuchlanguage\nx\n```")[1] == "▏ x"


def test_tables_are_aligned_and_shrink_to_the_width() -> None:
    source = "| a | long head | n |\n|---|:-:|--:|\n| 1 | two words here | 22 |"
    wide = plain(source, 60)
    assert wide[0] == "a │   long head    │  n"
    assert wide[1] == "──┼────────────────┼───"
    assert wide[2] == "1 │ two words here │ 22"
    narrow = read(source, 16)
    assert max(row.content.cell_length for row in narrow) <= 16
    assert "here" in narrow[-1].content.plain


@pytest.mark.parametrize("width", [24, 40, 79])
def test_no_row_is_wider_than_the_place(width: int) -> None:
    assert max(row.content.cell_length for row in read(ANSWER, width)) <= width


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(20, 90))
def test_a_text_that_grows_ends_as_if_it_had_come_at_once(steps: list[int], width: int) -> None:
    document = Document()
    end = 0
    for step in steps:
        end += step
        document.update(ANSWER[:end])
        document.rows(width)
    document.update(ANSWER)
    grown = [row.content.plain for row in document.rows(width)]
    assert grown == [row.content.plain for row in read(ANSWER, width)]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.sampled_from(
            ["a", "b c", "\n", "\n\n", "- x\n", "1. y\n", "  - z\n", "```\n", "> q\n", "# h\n",
             "| a | b |\n|---|---|\n", "| 1 | 2 |\n", "    code\n", "---\n", "~~~py\n", "*", "`"]
        ),
        max_size=25,
    )
)  # fmt: skip
def test_any_text_can_grow_and_loses_nothing(pieces: list[str]) -> None:
    document = Document()
    text = ""
    for piece in pieces:
        text += piece
        document.update(text)
        document.rows(40)
    document.update(text, finished=True)
    at_once = [row.content.plain for row in read(text, 40)]
    assert [row.content.plain for row in document.rows(40)] == at_once


def test_what_is_settled_is_not_done_again() -> None:
    document = Document()
    text = "".join(f"- item {number}\n" for number in range(400))
    document.update(text)
    first = document.rows(40)[:300]
    document.update(text + "- one more")
    again = document.rows(40)
    assert document.settled_rows >= 399
    assert all(before is after for before, after in zip(first, again, strict=False))


def test_line_ends_of_other_systems_are_line_ends() -> None:
    assert plain("a\r\n\r\nb\rc") == ["a", "", "b c"]
