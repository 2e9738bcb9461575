from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmr_tui.cli.blocks import Block, Blocks, CodeLine, FenceEnd, FenceStart, Prose


def read(*chunks: str) -> list[Block]:
    blocks = Blocks()
    done = [block for chunk in chunks for block in blocks.feed(chunk)]
    return merged(done + blocks.finish())


def merged(blocks: list[Block]) -> list[Block]:
    """Lists put together again, without the blank lines between blocks."""
    out: list[Block] = []
    for block in blocks:
        if isinstance(block, Prose):
            if block.joined and out and isinstance(out[-1], Prose):
                block = Prose(out[-1].source + block.source)
                out.pop()
            out.append(Prose(block.source))
        else:
            out.append(block)
    return [Prose(b.source.strip("\n")) if isinstance(b, Prose) else b for b in out]


def test_a_block_is_finished_by_the_next() -> None:
    blocks = Blocks()
    assert blocks.feed("One\ntwo\n") == []
    assert blocks.feed("\nThree") == []
    assert blocks.feed("\n") == [Prose("One\ntwo\n\n")]
    assert blocks.rest == "Three\n"
    assert blocks.finish() == [Prose("Three\n")]
    assert blocks.rest == ""


def test_half_a_line_finishes_nothing() -> None:
    """`#` alone would be a heading; `#tag` goes on with the paragraph."""
    blocks = Blocks()
    assert blocks.feed("One\n#") == []
    assert blocks.feed("tag\n") == []
    assert blocks.finish() == [Prose("One\n#tag\n")]


def test_an_underline_makes_a_heading_of_what_was_a_paragraph() -> None:
    assert read("Title\n", "---\n", "text\n") == [Prose("Title\n---"), Prose("text")]


def test_code_comes_line_by_line() -> None:
    blocks = Blocks()
    assert blocks.feed("```py") == []
    assert blocks.feed("thon\ndef") == [FenceStart("```python", "python")]
    assert blocks.in_fence
    assert blocks.rest == "def"
    assert blocks.feed(" f():\n    pass\n") == [CodeLine("def f():"), CodeLine("    pass")]
    assert blocks.feed("```\nAfter") == [FenceEnd("```")]
    assert not blocks.in_fence
    assert blocks.finish() == [Prose("After\n")]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("~~~\n```\n~~~\n", [FenceStart("~~~", ""), CodeLine("```"), FenceEnd("~~~")]),
        ("````\n```\n````\n", [FenceStart("````", ""), CodeLine("```"), FenceEnd("````")]),
        ("  ```\n    a\n b\n  ```\n", [FenceStart("```", ""), CodeLine("  a"), CodeLine("b"),
                                       FenceEnd("```")]),
        ("```\nno end", [FenceStart("```", ""), CodeLine("no end")]),
        ("```\n\n```\n", [FenceStart("```", ""), CodeLine(""), FenceEnd("```")]),
        ("```js title=x\r\na\r\n```\r\n", [FenceStart("```js title=x", "js"), CodeLine("a"),
                                           FenceEnd("```")]),
        ("text\n```\nx\n```\n", [Prose("text"), FenceStart("```", ""), CodeLine("x"),
                                 FenceEnd("```")]),
        ("`` ` ``` no fence\n", [Prose("`` ` ``` no fence")]),
        ("", []),
        ("\n\n", []),
    ],
)  # fmt: skip
def test_fences(source: str, expected: list[Block]) -> None:
    assert read(source) == expected


def test_a_fence_inside_a_list_stays_with_its_item() -> None:
    source = "- a\n  ```\n  x\n  ```\n- b\n"
    assert read(source) == [Prose(source.strip())]


def test_finished_items_of_a_list_do_not_wait_for_its_end() -> None:
    blocks = Blocks()
    assert blocks.feed("1. a\n") == []
    assert blocks.feed("2. b\n") == [Prose("1. a\n")]
    assert blocks.joined
    assert blocks.feed("   more\n3. c\n") == [Prose("2. b\n   more\n", joined=True)]
    assert blocks.feed("\nText\n") == [Prose("3. c\n\n", joined=True)]
    assert not blocks.joined


PIECES = [
    "A paragraph\nof two lines\n",
    "# Heading\n",
    "Title\n=====\n",
    "- one\n- two\n  - deep\n  - deeper\n- three\n\n  with more\n",
    "1. one\n2. two\n\n   text\n3. three\n",
    "* other\n* list\n",
    "```python\ndef f():\n    return '''\n```\n",
    "~~~\n\n# no heading\n~~~\n",
    "> quote\nlazy\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n",
    "    indented code\n\n    more\n",
    "***\n",
    "<div>\n",
    "#tag and **bold** and `code`\n",
    "\n",
]


@given(st.lists(st.sampled_from(PIECES), max_size=8), st.data())
def test_how_the_text_is_cut_makes_no_difference(pieces: list[str], data: st.DataObject) -> None:
    source = "\n".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(source)), max_size=20)))
    chunks = [source[a:b] for a, b in zip([0, *cuts], [*cuts, len(source)], strict=True)]
    assert read(*chunks) == read(source) == read(*source)
