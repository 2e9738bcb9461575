"""Markdown on a terminal while it is being written.

Finished blocks are printed for good, so that the terminal's own scrollback holds the answer; only
the block that still grows is drawn again. Code comes line by line, without frame or indentation,
so that what is copied is the code.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable
from typing import ClassVar, TextIO

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.syntax import Syntax
from rich.text import Text
from rich.theme import Theme

from dmr_tui.cli.blocks import Block, Blocks, CodeLine, FenceEnd, FenceStart, Prose
from dmr_tui.cli.live import LiveRegion

_CODE_THEME = "ansi_dark"  # The terminal's own sixteen colours, on its own background.
_THEME = Theme({"markdown.code": "cyan", "markdown.h1": "bold", "markdown.h2": "bold"})
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_PADDING = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$")


class _LeftHeading(Heading):
    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = {}


class _PlainCode(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield _syntax(self.lexer_name).highlight(str(self.text).rstrip())


class _Markdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _LeftHeading,
        "fence": _PlainCode,
        "code_block": _PlainCode,
    }

    def __init__(self, source: str) -> None:
        super().__init__(source, hyperlinks=False)
        # Without HTML, so that a tag in an answer is shown and not swallowed.
        parser = MarkdownIt("commonmark", {"html": False})
        self.parsed = parser.enable("strikethrough").enable("table").parse(source)


def _syntax(language: str) -> Syntax:
    return Syntax("", language or "text", theme=_CODE_THEME, background_color="default")


class MarkdownPrinter:
    """Prints one answer; needs a running event loop."""

    INTERVAL = 0.05
    """Least seconds between two drawings; a drawing that was slow makes the next one wait more."""

    def __init__(self, out: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Print on `out`, a terminal."""
        self._console = Console(
            file=out, theme=_THEME, highlight=False, no_color=bool(os.environ.get("NO_COLOR"))
        )
        self._live = LiveRegion(out, lambda: self._console.height)
        self._blocks = Blocks()
        self._clock = clock
        self._new: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._failure: OSError | None = None
        self._next = 0.0
        self._first = True
        self._language = ""
        self._code: list[str] = []

    def write(self, text: str) -> None:
        """Take more of the answer.

        Raises:
            OSError: what came before could not be written.
        """
        if self._failure is not None:
            raise self._failure
        self._new.append(text)
        if self._timer is None:
            wait = max(0.0, self._next - self._clock())
            self._timer = asyncio.get_running_loop().call_later(wait, self._draw_soon)

    def close(self) -> None:
        """Print what is left; the cursor then stands at the beginning of a line."""
        if self._timer is not None:
            self._timer.cancel()
        self._print(self._blocks.feed("".join(self._new)))
        self._print(self._blocks.finish())
        self._live.finish([])

    def _draw_soon(self) -> None:
        self._timer = None
        try:
            self._draw()
        except OSError as error:
            self._failure = error

    def _draw(self) -> None:
        started = self._clock()
        text = "".join(self._new)
        self._new.clear()
        self._print(self._blocks.feed(text))
        self._live.show(self._unfinished())
        ended = self._clock()
        self._next = ended + max(self.INTERVAL, 5 * (ended - started))

    def _print(self, blocks: list[Block]) -> None:
        lines: list[str] = []
        printed = len(self._code)
        for block in blocks:
            match block:
                case Prose():
                    lines += self._prose(block.source, joined=block.joined)
                    self._first = False
                case FenceStart():
                    lines += self._gap(joined=False) + self._dim(block.line)
                    self._first = False
                    self._language, self._code, printed = block.language, [], 0
                case CodeLine():
                    self._code.append(block.code)
                case FenceEnd():
                    lines += self._highlighted(self._code)[printed:] + self._dim(block.line)
                    self._code, printed = [], 0
        if printed < len(self._code):
            lines += self._highlighted(self._code)[printed:]
        if lines:
            self._live.finish(lines)

    def _unfinished(self) -> list[str]:
        rest = self._blocks.rest
        if self._blocks.in_fence:
            if not rest:
                return []
            line = self._highlighted([*self._code, rest])[-1]
            return self._ansi(Text.from_ansi(line), crop=True)
        return self._prose(rest, joined=self._blocks.joined) if rest.strip() else []

    def _prose(self, source: str, *, joined: bool) -> list[str]:
        lines = self._ansi(_Markdown(source))
        # Rich frames lists and tables with blank lines of its own.
        while lines and not _ESCAPES.sub("", lines[0]).strip():
            del lines[0]
        while lines and not _ESCAPES.sub("", lines[-1]).strip():
            del lines[-1]
        return self._gap(joined=joined) + lines

    def _gap(self, *, joined: bool) -> list[str]:
        return [] if joined or self._first else [""]

    def _dim(self, line: str) -> list[str]:
        return self._ansi(Text(line, style="dim"))

    def _highlighted(self, code: list[str]) -> list[str]:
        """Each line of code with its colours; the whole is read, for strings over many lines."""
        if not code:
            return []
        text = _syntax(self._language).highlight("\n".join(code))
        text.rstrip()
        coloured = text.split("\n", allow_blank=True)
        lines = [self._ansi(line, soft_wrap=True) for line in coloured[: len(code)]]
        return [line[0] if line else "" for line in lines] + [""] * (len(code) - len(lines))

    def _ansi(
        self, renderable: RenderableType, *, soft_wrap: bool = False, crop: bool = False
    ) -> list[str]:
        with self._console.capture() as capture:
            self._console.print(
                renderable,
                soft_wrap=soft_wrap,
                no_wrap=crop or None,
                overflow="crop" if crop else None,
            )
        lines = capture.get().split("\n")[:-1]
        return [_PADDING.sub(r"\1", line) for line in lines]
