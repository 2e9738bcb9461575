"""How fast each model was on this machine, noted after real answers and kept over restarts."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from dmr_tui.engine.request import Delta, Event, Finished, Loading, ReasoningDelta, Started, Usage
from dmr_tui.errors import StoreError
from dmr_tui.store import durable

_FEWEST_PROMPT_TOKENS = 32
_FEWEST_TOKENS = 8
"""Shorter texts tell more of the clock than of the model."""

_WRITING_SECONDS = 1.0

_NEWEST = 0.3
"""What the last answer counts for, beside all before it."""


class Measured(Struct, frozen=True, omit_defaults=True):
    """What was measured of one model; a figure of 0 is not known yet."""

    last_used: float = 0.0
    """Unix time of the last answer's end."""
    answers: int = 0
    """How many answers there were."""
    prompt_rate: float = 0.0
    """Tokens of a prompt per second; those that were computed before do not count."""
    generation_rate: float = 0.0
    """Tokens of an answer per second."""
    first_token: float = 0.0
    """Seconds from a request to the first text of its answer, the model being loaded."""
    load: float = 0.0
    """Seconds from a request to a loaded model."""

    def after(self, answer: Answered) -> Measured:
        """What is known after one more answer."""
        usage = answer.usage
        prompt = usage.prompt_tokens - usage.cached_tokens
        prompt_rate = _rate(prompt, usage.prompt_seconds, _FEWEST_PROMPT_TOKENS)
        # The first token comes with the prompt; the seconds are those between first and last.
        rate = _rate(usage.completion_tokens - 1, usage.generation_seconds, _FEWEST_TOKENS)
        return Measured(
            last_used=answer.ended,
            answers=self.answers + 1,
            prompt_rate=_blend(self.prompt_rate, prompt_rate),
            generation_rate=_blend(self.generation_rate, rate),
            first_token=_blend(self.first_token, answer.first_token),
            load=_blend(self.load, answer.load),
        )


class Answered(Struct, frozen=True):
    """One answer, as far as it was measured; a time of 0 was not."""

    ended: float
    usage: Usage
    first_token: float = 0.0
    load: float = 0.0


class Stopwatch:
    """Times one answer by its events."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin now, which is when the request came."""
        self._clock = clock
        self._began = clock()
        self._loading = False
        self._load = self._first = 0.0

    def note(self, event: Event) -> Answered | None:
        """Take an event; the last one gives what was measured."""
        if isinstance(event, Loading):
            self._loading = True
        elif isinstance(event, Started):
            if self._loading:
                self._load = self._clock() - self._began
        elif isinstance(event, Delta | ReasoningDelta):
            if not self._first:
                self._first = self._clock() - self._began
        elif isinstance(event, Finished):
            first = 0.0 if self._loading else self._first
            return Answered(time.time(), event.usage, first, self._load)
        return None


class Measurements:
    """A JSON file that maps a model's id to what was measured of it; for many processes at once."""

    def __init__(self, file: Path) -> None:
        """Look at a file; it need not exist."""
        self._file = file
        self._read: tuple[int, dict[str, Measured]] = (0, {})
        self._new: list[tuple[str, Answered]] = []

    def all(self) -> dict[str, Measured]:
        """Everything by model id; read again when the file was written. Blocks."""
        known = self._kept()
        return _with(known, self._new) if self._new else known

    def note(self, model_id: str, answer: Answered) -> None:
        """Take what an answer has shown; `flush` keeps it."""
        self._new.append((model_id, answer))

    @property
    def unwritten(self) -> bool:
        """Whether something was noted that `flush` has not written yet."""
        return bool(self._new)

    def flush(self) -> None:
        """Write down what was noted. Blocks.

        Raises:
            StoreError: the file cannot be written.
        """
        new, self._new = self._new, []
        if new:
            with self._locked():
                durable.write(self._file, msgspec.json.encode(_with(self._kept(), new)))

    def _kept(self) -> dict[str, Measured]:
        try:
            written = self._file.stat().st_mtime_ns
            if written != self._read[0]:
                known = msgspec.json.decode(self._file.read_bytes(), type=dict[str, Measured])
                self._read = (written, known)
        except (OSError, msgspec.MsgspecError):
            # Nothing depends on it; the next answer begins it anew.
            self._read = (0, {})
        return self._read[1]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with durable.reporting(f"write {self._file}"):
            durable.make_folder(self._file.parent)
            lock = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


class Keeper:
    """Measurements on an event loop: noted at once, written a little later, many at a time."""

    def __init__(self, file: Path) -> None:
        """Keep measurements in a file."""
        self._measurements = Measurements(file)
        self._writing: asyncio.Task[None] | None = None

    async def all(self) -> dict[str, Measured]:
        """Everything by model id, also what is not written yet."""
        return await asyncio.to_thread(self._measurements.all)

    def note(self, model_id: str, answer: Answered) -> None:
        """Keep what an answer has shown."""
        self._measurements.note(model_id, answer)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Write what is not written yet."""
        if self._writing is not None:
            self._writing.cancel()
            await self._flush()

    async def _write(self) -> None:
        while self._measurements.unwritten:
            await asyncio.sleep(_WRITING_SECONDS)
            await self._flush()

    async def _flush(self) -> None:
        with suppress(StoreError):  # an answer does not fail for a note about its speed
            await asyncio.to_thread(self._measurements.flush)


def _with(
    known: dict[str, Measured], answers: Iterable[tuple[str, Answered]]
) -> dict[str, Measured]:
    result = dict(known)
    for model_id, answer in answers:
        result[model_id] = result.get(model_id, Measured()).after(answer)
    return result


def _rate(tokens: int, seconds: float, fewest: int) -> float:
    return tokens / seconds if tokens >= fewest and seconds > 0 else 0.0


def _blend(known: float, new: float) -> float:
    if not known or not new:
        return new or known
    return known + _NEWEST * (new - known)
