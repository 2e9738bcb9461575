"""Cutting Markdown that still grows into blocks that will not change any more.

CommonMark is read line by line: what has been closed by a later block stays as it is
(https://spec.commonmark.org/0.31.2/#phase-1-block-structure). So each finished block can be
printed for good, and only the last one has to be drawn again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

_FENCE = re.compile(r"(?P<indent> {0,3})(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^\r\n]*)")


@dataclass(frozen=True)
class Prose:
    """Markdown source of one block that is no fence.

    Attributes:
        source: the text.
        joined: it goes on with the list before it, so no blank line comes between.
    """

    source: str
    joined: bool = False


@dataclass(frozen=True)
class FenceStart:
    """The first line of a code block."""

    line: str
    language: str


@dataclass(frozen=True)
class CodeLine:
    """One whole line of code, without its line break."""

    code: str


@dataclass(frozen=True)
class FenceEnd:
    """The last line of a code block."""

    line: str


Block = Prose | FenceStart | CodeLine | FenceEnd


class Blocks:
    """Markdown in, finished blocks out.

    Attributes:
        rest: the source of what is not finished yet.
    """

    def __init__(self) -> None:
        self.rest = ""
        self._fence: re.Match[str] | None = None
        self._in_list = False
        self._parser = MarkdownIt().enable("strikethrough").enable("table")

    @property
    def in_fence(self) -> bool:
        """Whether `rest` is the beginning of a line of code."""
        return self._fence is not None

    @property
    def joined(self) -> bool:
        """Whether `rest` goes on with the list that was printed last."""
        return self._in_list

    def feed(self, text: str) -> list[Block]:
        """Take more text; returns the blocks that it finished, in order."""
        self.rest += text
        # Only whole lines are read: "#" may yet become "#tag", which begins no block.
        whole = self.rest.rfind("\n") + 1
        if not whole:
            return []
        lines = self.rest[:whole].splitlines(keepends=True)
        tail = self.rest[whole:]
        done: list[Block] = []
        while True:
            if self._fence is not None:
                lines = self._take_code(lines, done)
                if self._fence is not None:
                    break
            taken = self._take_prose(lines, done)
            lines = lines[taken:]
            if self._fence is None:
                break
        self.rest = "".join(lines) + tail
        return done

    def finish(self) -> list[Block]:
        """Nothing more will come; returns what was left."""
        done = self.feed("" if self.rest.endswith("\n") or not self.rest else "\n")
        if self.rest.strip():
            done.append(Prose(self.rest, self._in_list))
        self.rest, self._fence, self._in_list = "", None, False
        return done

    def _take_code(self, lines: list[str], done: list[Block]) -> list[str]:
        assert self._fence is not None
        mark, indent = self._fence["mark"], len(self._fence["indent"])
        end = re.compile(rf" {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*")
        for index, line in enumerate(lines):
            code = line.rstrip("\r\n")
            if end.fullmatch(code):
                done.append(FenceEnd(code.strip()))
                self._fence = None
                return lines[index + 1 :]
            own = len(code) - len(code.lstrip(" "))
            done.append(CodeLine(code[min(own, indent) :]))
        return []

    def _take_prose(self, lines: list[str], done: list[Block]) -> int:
        """Add finished blocks up to the first fence; returns how many lines they took."""
        tokens = self._parser.parse("".join(lines))
        tops = [token for token in tokens if token.level == 0 and token.map and token.nesting >= 0]
        at = 0
        for index, top in enumerate(tops):
            start, _ = _span(top)
            if top.type == "fence" and (match := _FENCE.match(lines[start])):
                self._fence = match
                self._in_list = False
                words = match["info"].split()
                done.append(FenceStart(lines[start].strip(), words[0] if words else ""))
                return start + 1
            if index + 1 < len(tops):
                end, _ = _span(tops[index + 1])
                self._add(lines[at:end], done)
                self._in_list = False
                at = end
            elif top.type.endswith("list_open"):
                items = [
                    token for token in tokens if token.type == "list_item_open" and token.level == 1
                ]
                last, _ = _span(items[-1])
                if last > max(at, start):
                    self._add(lines[at:last], done)
                    self._in_list = True
                    at = last
        return at

    def _add(self, lines: list[str], done: list[Block]) -> None:
        done.append(Prose("".join(lines), self._in_list))


def _span(token: Token) -> tuple[int, int]:
    assert token.map is not None
    return token.map[0], token.map[1]
