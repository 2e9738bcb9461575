"""Showing one answer as it comes: what `dmr run PROMPT` and the REPL have in common."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import aclosing
from typing import Protocol, TextIO

from dmr_tui.chat.turn import Turn
from dmr_tui.cli.progress import Waiting
from dmr_tui.engine.request import Delta, Loading, ReasoningDelta, Started
from dmr_tui.widgets.printable import printable


class Printer(Protocol):
    """Where the text of an answer goes."""

    def write(self, text: str) -> None:
        """Print more of it."""
        ...

    def close(self) -> None:
        """The answer is over; end its last line."""
        ...


class PlainPrinter:
    """Text as the model writes it, at once."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last = ""

    def write(self, text: str) -> None:
        """Print and flush."""
        self._out.write(text)
        self._out.flush()
        self._last = text

    def close(self) -> None:
        """End the line if the model has not."""
        if not self._last.endswith("\n"):
            self.write("\n")


class Thoughts:
    """A model's reasoning: dim, on stderr, and only for a person who watches."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._open = False

    def write(self, text: str) -> None:
        """Print more of it."""
        if not self._shown:
            return
        self._open = True
        # The style ends with each piece, so that nothing else on the terminal can catch it.
        sys.stderr.write(f"\x1b[2m{text}\x1b[22m")
        sys.stderr.flush()

    def close(self) -> None:
        """Leave a blank line before what follows."""
        if self._open:
            sys.stderr.write("\n\n")
            sys.stderr.flush()
        self._open = False


def printer_for(out: TextIO, color: str) -> Callable[[], Printer]:
    """How answers are printed on `out`: rendered Markdown for a terminal, else plain text.

    Args:
        out: where they go.
        color: `auto`, `yes` or `no`.
    """
    capable = out.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}
    if color == "yes" or (color == "auto" and capable):
        from dmr_tui.cli.markdown import MarkdownPrinter

        return lambda: MarkdownPrinter(out)
    return lambda: PlainPrinter(out)


async def show_answer(turn: Turn, model: str, printer: Callable[[], Printer]) -> None:
    """Stream one answer; stopping it leaves what came on the screen.

    Args:
        turn: the question, not yet asked.
        model: its short name, for the wait.
        printer: makes what prints the text.

    Raises:
        DmrError: the runner refused the request, or failed.
    """
    thoughts = Thoughts()
    watched = sys.stdout.isatty()
    answer: Printer | None = None
    async with Waiting(f"Asking {model}") as waiting, aclosing(turn.stream()) as events:
        try:
            async for event in events:
                match event:
                    case Loading():
                        waiting.show(f"Loading {model}", event.fraction)
                    case Started():
                        waiting.show("Reading the prompt")
                        for notice in _notices(turn):
                            waiting.say(notice)
                    case ReasoningDelta():
                        await waiting.done()
                        thoughts.write(printable(event.text))
                    case Delta():
                        await waiting.done()
                        if answer is None:
                            thoughts.close()
                            answer = printer()
                        # Other programs are given what the model wrote, to the letter.
                        answer.write(printable(event.text) if watched else event.text)
        finally:
            await waiting.done()
            thoughts.close()
            if answer is not None:
                answer.close()


def _notices(turn: Turn) -> list[str]:
    """What a person should know of the question before its answer comes."""
    notices = [f"Added {file.name}" for file in turn.files]
    if turn.left_out:
        what = "message is" if turn.left_out == 1 else "messages are"
        notices.append(
            f"The context is full: the oldest {turn.left_out} {what} no longer sent"
            " (/compact sums up instead)"
        )
    return notices
