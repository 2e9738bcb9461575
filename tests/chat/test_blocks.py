from __future__ import annotations

import pytest

from dmr_tui.chat.blocks import CodeBlock, code_blocks


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("no code", []),
        ("a\n```python\nx = 1\n\ny\n```\nb", [CodeBlock("python", "x = 1\n\ny")]),
        ("```\na\n```\n~~~sh title=x\nb\n~~~", [CodeBlock("", "a"), CodeBlock("sh", "b")]),
        ("````md\n```py\nx\n```\n````", [CodeBlock("md", "```py\nx\n```")]),
        ("1. do\n   ```sh\n   ls\n     -l\n   ```\n", [CodeBlock("sh", "ls\n  -l")]),
        (
            "> ```sh\n> ls\n> ```\n\n    indented\n",
            [CodeBlock("sh", "ls"), CodeBlock("", "indented")],
        ),
        ("```make\nall:\n\tcc\n```", [CodeBlock("make", "all:\n\tcc")]),
        ("```py\nnot closed", [CodeBlock("py", "not closed")]),
        ("``` inline ``` code", []),
        ("~~~\n```\n~~~", [CodeBlock("", "```")]),
        ("```\n``` x\n```", [CodeBlock("", "``` x")]),
        ("```py\n```", [CodeBlock("py", "")]),
    ],
)
def test_blocks_are_found_as_markdown_means_them(text: str, blocks: list[CodeBlock]) -> None:
    assert code_blocks(text) == blocks


def test_a_block_is_written_as_markdown_again() -> None:
    text = "````md\n```py\nx\n```\n````"
    (block,) = code_blocks(text)
    assert block.fenced() == text
    assert block.suffix == ".md"
    assert CodeBlock("brainfuck", "+").suffix == ".txt"
