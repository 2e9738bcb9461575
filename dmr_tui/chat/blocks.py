"""The code blocks of an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})(?P<info>.*)")


@dataclass(frozen=True)
class CodeBlock:
    """One fenced block.

    Attributes:
        language: the first word behind the fence; may be empty.
        text: its lines, without the fences and their indent.
    """

    language: str
    text: str


def code_blocks(markdown: str) -> list[CodeBlock]:
    """The fenced code blocks of a text, as CommonMark (4.5) finds them; one may lack its end."""
    blocks: list[CodeBlock] = []
    opened: re.Match[str] | None = None
    lines: list[str] = []
    for line in markdown.splitlines():
        fence = _FENCE.fullmatch(line)
        if opened is None:
            # Backticks in the rest of the line make it inline code.
            if fence and not ("`" in fence["fence"] and "`" in fence["info"]):
                opened, lines = fence, []
        elif fence and not fence["info"].strip() and fence["fence"].startswith(opened["fence"]):
            blocks.append(_block(opened, lines))
            opened = None
        else:
            lines.append(line)
    if opened is not None:
        blocks.append(_block(opened, lines))
    return blocks


def _block(opened: re.Match[str], lines: list[str]) -> CodeBlock:
    indent = len(opened["indent"])
    kept = [line[min(indent, len(line) - len(line.lstrip())) :] for line in lines]
    language = (opened["info"].split() or [""])[0]
    return CodeBlock(language, "\n".join(kept))
