"""The logs on disk: the runner's own lines are written, these and the engines' are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from dmr_tui.engine.rotation import rotate
from dmr_tui.runner.activity.log_lines import line_text, parse_line
from dmr_tui.runner.activity.records import LEVELS, Level, LogLine

RUNNER_LOG = "runner.log"
_RUNNERS = (RUNNER_LOG, "serve.log")
"""The logs that are not an engine's: our lines, and what a server in the background prints."""

_TAIL = 512 * 1024
"""Bytes of each log from which reading begins."""

_MOST = 10_000
"""Lines to begin with."""

_POLL = 0.25
"""Seconds between two looks at the files."""


class RunnerLog:
    """Writes lines to the end of the runner's log, from a thread, in their order.

    Several processes may write to it: each writes whole lines at the file's end.
    """

    def __init__(self, folder: Path, level: Level = "info") -> None:
        """Write to `folder`, which is made when there is something to write.

        Args:
            folder: of the logs.
            level: lines below it are left out.
        """
        self._levels = LEVELS[LEVELS.index(level) :]
        self._file = folder / RUNNER_LOG
        self._waiting: list[LogLine] = []
        self._writing: asyncio.Task[None] | None = None

    def write(self, line: LogLine) -> None:
        """Write a line, soon; of a disk that is full nobody is told."""
        if line.level not in self._levels:
            return
        self._waiting.append(line)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._drain())

    async def close(self) -> None:
        """Wait until all is written."""
        if self._writing is not None:
            await self._writing

    async def _drain(self) -> None:
        while self._waiting:
            lines, self._waiting = self._waiting, []
            await asyncio.to_thread(self._append, "".join(f"{line_text(x)}\n" for x in lines))

    def _append(self, text: str) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            rotate(self._file)
            with self._file.open("a", encoding="utf-8", errors="replace") as out:
                out.write(text)
        except OSError:
            return


@dataclass
class _Reader:
    """One file, and how far it has been read."""

    file: Path
    engine: bool
    offset: int = -1
    """-1: not at all yet."""
    time: float = 0.0
    rest: bytes = b""
    torn: bool = False
    """Reading begins within a line, of which nothing is shown."""

    def read(self) -> list[LogLine]:
        """The lines that are new."""
        try:
            with self.file.open("rb") as log:
                end = log.seek(0, 2)
                first = self.offset < 0
                if first:
                    self._begin(end)
                if end < self.offset:  # begun anew
                    self.offset, self.rest = 0, b""
                if end == self.offset and not first:
                    return []
                log.seek(self.offset)
                raw = self.rest + log.read(end - self.offset)
        except OSError:
            return []
        self.offset = end
        if self.torn:
            raw, self.torn = raw.partition(b"\n")[2], False
        *whole, self.rest = raw.split(b"\n")
        return [self._line(line) for line in whole if line.strip()]

    def _begin(self, end: int) -> None:
        self.time = self.file.stat().st_mtime
        self.offset = max(end - _TAIL, 0)
        self.torn = self.offset > 0
        older = self.file.with_name(f"{self.file.name}.1")
        room = _TAIL - end
        if room > 0 and older.exists():
            with older.open("rb") as log:
                self.torn = log.seek(max(older.stat().st_size - room, 0)) > 0
                self.rest = log.read()

    def _line(self, raw: bytes) -> LogLine:
        text = raw.decode("utf-8", "replace").rstrip("\r")
        line = parse_line(text, self.time, _source(self.file), engine=self.engine)
        self.time = line.time
        return line


def _source(file: Path) -> str:
    """What a log is called: a model's without what most have in common."""
    return file.stem.removeprefix("docker.io_").removeprefix("ai_").removesuffix("_latest")


async def read_logs(
    folder: Path, *, follow: bool, engines: bool
) -> AsyncGenerator[list[LogLine], None]:
    """The lines of all logs in the order of their times, and then those that come.

    Args:
        folder: where the logs are; may be missing.
        follow: go on with what is written from now on, until it is closed.
        engines: the engines' logs too.
    """
    readers: dict[Path, _Reader] = {}
    first = True
    while True:
        lines = await asyncio.to_thread(_look, folder, engines, readers, first)
        if lines or first:
            yield lines
        if not follow:
            return
        first = False
        await asyncio.sleep(_POLL)


def _look(folder: Path, engines: bool, readers: dict[Path, _Reader], first: bool) -> list[LogLine]:
    for file in sorted(folder.glob("*.log")):
        engine = file.name not in _RUNNERS
        if file not in readers and (engines or not engine):
            # A log that appears later is read from its beginning.
            readers[file] = _Reader(file, engine, -1 if first else 0)
    lines = [line for reader in readers.values() for line in reader.read()]
    lines.sort(key=lambda line: line.time)
    return lines[-_MOST:]
