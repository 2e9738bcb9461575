"""Why a worker died: its exit status in words, and what its log says about it."""

from __future__ import annotations

import signal
from pathlib import Path

MOST_LINES = 5
_TAIL_BYTES = 8192
_CHATTER = "I "
"""How llama.cpp's informational lines begin in a worker's log."""


def describe_exit(status: int) -> str:
    """An exit status as `asyncio.subprocess` gives it: negative for a signal.

    >>> describe_exit(-11)
    'killed by signal 11 (SIGSEGV)'
    """
    if status >= 0:
        return f"exit status {status}"
    number = -status
    try:
        text = f"killed by signal {number} ({signal.Signals(number).name})"
    except ValueError:
        text = f"killed by signal {number}"
    if number == signal.SIGKILL:
        text += ", perhaps because the system ran out of memory"
    return text


def last_words(log: Path, start: int) -> str:
    """The last lines of a log that are more than information, in one line; may be empty.

    Args:
        log: the file.
        start: where the worker's own part begins, in bytes.
    """
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(start, end - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    telling = [line.strip() for line in lines if line.strip() and not line.startswith(_CHATTER)]
    return " | ".join(telling[-MOST_LINES:])
