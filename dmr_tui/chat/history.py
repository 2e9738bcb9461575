"""What was typed before, kept for the arrow keys of the REPL and of the Chat screen alike.

The file is prompt_toolkit's: for each entry an empty line, a comment with the time, and its lines
with a `+` before each.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_KEPT = 2000
"""Entries that are read; a longer file keeps them all."""


class History:
    """Entries, oldest first; each call reads or writes the file, so it may block."""

    def __init__(self, file: Path | None) -> None:
        """A history in a file; None: only for as long as this object lives."""
        self._file = file
        self._unwritten: list[str] = []

    def load(self) -> list[str]:
        """The entries, oldest first; a file that cannot be read has none."""
        if self._file is None:
            return list(self._unwritten)
        try:
            text = self._file.read_text("utf-8", "replace")
        except OSError:
            return list(self._unwritten)
        return (_entries(text) + self._unwritten)[-_KEPT:]

    def add(self, entry: str) -> None:
        """Append an entry; where that is not possible it is remembered all the same."""
        if self._file is None:
            self._unwritten.append(entry)
            return
        lines = "".join(f"+{line}\n" for line in entry.split("\n"))
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            # One write to a file that is only appended to: two programs do not mix their lines.
            descriptor = os.open(self._file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            try:
                os.fchmod(descriptor, 0o600)
                os.write(descriptor, f"\n# {_now()}\n{lines}".encode("utf-8", "replace"))
            finally:
                os.close(descriptor)
        except OSError:
            self._unwritten.append(entry)


def forgets(environ: dict[str, str] | os._Environ[str] = os.environ) -> bool:
    """Whether nothing that is typed is to be remembered, as Docker Model Runner is told."""
    return bool(environ.get("DOCKER_MODEL_NOHISTORY"))


def _entries(text: str) -> list[str]:
    entries: list[str] = []
    lines: list[str] = []
    for line in [*text.split("\n"), ""]:
        if line.startswith("+"):
            lines.append(line[1:])
        elif lines:
            entries.append("\n".join(lines))
            lines = []
    return entries


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
