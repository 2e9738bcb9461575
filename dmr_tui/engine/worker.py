"""The parent's side of one worker process: start it, ask it, end it, and tell how it died."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TypeAlias

import psutil

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.last_words import describe_exit, last_words
from dmr_tui.engine.protocol import (
    LENGTH_BYTES,
    Cancel,
    Failed,
    FromWorker,
    Generate,
    Load,
    Loaded,
    LoadFailed,
    LoadProgress,
    Step,
    ToWorker,
    decode_from_worker,
    encode_frame,
)
from dmr_tui.engine.request import Event, Finished, GenerateRequest
from dmr_tui.errors import DmrError, EngineError, UnavailableError, to_error

_MODULE = "dmr_tui.engine.llamacpp.main"
_PATIENCE = 2.0
"""Seconds to end by itself before a worker is terminated, and then again before it is killed."""

_LOG_LIMIT = 1_000_000
"""Bytes above which a log is begun anew."""

_Answer: TypeAlias = "asyncio.Queue[Event | DmrError]"


class Worker:
    """One process with one model.

    Life: `start` once, `generate` as often as wanted, `stop`. `ended` is set when the process is
    gone, for whatever reason.
    """

    def __init__(self, files: ModelFiles, load: Load, logs: Path) -> None:
        """Prepare; nothing runs yet.

        Args:
            files: the model.
            load: how to load it.
            logs: folder for the worker's log.
        """
        self.load = load
        self.ended = asyncio.Event()
        self.facts: Loaded | None = None
        """What the worker said of its model; None until it is loaded."""
        self._files = files
        self._log = logs / f"{_slug(files.name)}.log"
        self._log_start = 0
        self._process: Process | None = None
        self._stopping = False
        self._cause_of_death = ""
        self._answers: dict[int, _Answer] = {}
        self._numbers = itertools.count(1)

    @property
    def pid(self) -> int:
        """The process's id; 0 before it is started."""
        return 0 if self._process is None else self._process.pid

    @property
    def memory(self) -> int:
        """Resident bytes of the process; 0 when there is none."""
        if self._process is None or self.ended.is_set():
            return 0
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    async def start(self, on_progress: Callable[[float], None]) -> None:
        """Start the process and load the model.

        Args:
            on_progress: told the share of the weights that has been read.

        Raises:
            EngineError: it cannot be loaded; says which file and why. The process is gone.
        """
        try:
            self._process = await self._spawn()
        except OSError as error:
            raise self._load_error(f"no worker can be started: {error}") from error
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listener = asyncio.create_task(self._listen(self._process, outcome, on_progress))
        self._send(self.load)
        try:
            await outcome
        finally:
            if self.facts is None:
                await self.stop()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Event, None]:
        """Answer a request; closing the iterator takes it back.

        Raises:
            DmrError: why the worker refused; `EngineError` when it died.
        """
        if self.ended.is_set():
            raise self._death_notice()
        number = next(self._numbers)
        answer: _Answer = asyncio.Queue()
        self._answers[number] = answer
        self._send(Generate(number, request))
        try:
            while True:
                event = await answer.get()
                if isinstance(event, DmrError):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            if self._answers.pop(number, None) is not None:
                self._send(Cancel(number))

    async def stop(self) -> None:
        """End the process: by closing its input, then with a signal, then with the last one."""
        if self._process is None:
            return
        self._stopping = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        for end in (self._process.terminate, self._process.kill):
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self.ended.wait()
                return
            except TimeoutError:
                end()
        await self.ended.wait()

    async def _spawn(self) -> Process:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            if log.tell() > _LOG_LIMIT:
                log.truncate(0)
            self._log_start = log.seek(0, os.SEEK_END)
            # A session of its own: Ctrl-C at the terminal is for the parent alone. `-P`: the
            # current folder, which may be anyone's, is no place to import from.
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", _MODULE),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                env=_environment(),
                start_new_session=True,
            )

    def _send(self, message: ToWorker) -> None:
        """Write without waiting: the worker's reader is always there, or the worker is dead."""
        pipe = None if self._process is None else self._process.stdin
        if pipe is not None and not pipe.is_closing():
            pipe.write(encode_frame(message))

    async def _listen(
        self,
        process: Process,
        outcome: asyncio.Future[None],
        on_progress: Callable[[float], None],
    ) -> None:
        """Hand out what the worker says until its output ends, then bury it."""
        try:
            async for message in _messages(process):
                if isinstance(message, LoadProgress):
                    on_progress(message.fraction)
                elif isinstance(message, Loaded):
                    self.facts = message
                    _settle(outcome, None)
                elif isinstance(message, LoadFailed):
                    _settle(outcome, self._load_error(message.reason))
                else:
                    self._hand_out(message)
        except BaseException:
            process.kill()
            raise
        finally:
            self._cause_of_death = self._describe_death(await process.wait())
            self.ended.set()
            _settle(outcome, self._load_error(self._cause_of_death))
            for answer in self._answers.values():
                answer.put_nowait(self._death_notice())
            self._answers.clear()

    def _hand_out(self, message: Step | Failed) -> None:
        """Put events into their answers' queues; an answer that ends is forgotten."""
        if isinstance(message, Failed):
            answer = self._answers.pop(message.id, None)
            if answer is not None:
                answer.put_nowait(_to_error(message))
            return
        for number, event in message.events:
            answer = self._answers.get(number)
            if answer is not None:
                answer.put_nowait(event)
                if isinstance(event, Finished):
                    del self._answers[number]

    def _load_error(self, reason: str) -> EngineError:
        return EngineError(f"cannot load {self._files.gguf}: {reason}", self._log_hint)

    def _describe_death(self, status: int) -> str:
        words = last_words(self._log, self._log_start)
        cause = f"the worker died: {describe_exit(status)}"
        return f"{cause}: {words}" if words else cause

    def _death_notice(self) -> DmrError:
        """A new error each time: one that is raised twice gathers the traces of both."""
        if self._stopping:
            return UnavailableError(f"{self._files.name} was unloaded")
        return EngineError(f"{self._files.gguf}: {self._cause_of_death}", self._log_hint)

    @property
    def _log_hint(self) -> str:
        return f"its log: {self._log}"


async def _messages(process: Process) -> AsyncGenerator[FromWorker, None]:
    """What a worker says, to the end of its output."""
    output = process.stdout
    assert output is not None
    try:
        while True:
            length = int.from_bytes(await output.readexactly(LENGTH_BYTES), "big")
            yield decode_from_worker(await output.readexactly(length))
    except asyncio.IncompleteReadError:
        return


def _settle(outcome: asyncio.Future[None], error: DmrError | None) -> None:
    if outcome.done():
        return
    if error is None:
        outcome.set_result(None)
    else:
        outcome.set_exception(error)


def _to_error(failed: Failed) -> DmrError:
    error = to_error(failed.code, failed.message, failed.hint)
    error.param = failed.param
    return error


def _environment() -> dict[str, str]:
    """The worker's environment.

    OpenMP threads that spin while they wait cost others their CPU, and on a busy machine their own
    speed: a short spin is nearly as fast on a quiet one. A native crash prints no backtrace: that
    would start a debugger.
    """
    environment = dict(os.environ)
    if not environment.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        environment["GOMP_SPINCOUNT"] = "1000"
    environment.setdefault("GGML_NO_BACKTRACE", "1")
    return environment


def _slug(name: str) -> str:
    """A model's name as a file name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("._") or "model"
