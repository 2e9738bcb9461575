"""The parent's side of one worker process: start it, ask it, end it, and tell how it died."""

from __future__ import annotations

import asyncio
import itertools
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias, cast

import msgspec

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.last_words import Death, Postmortem, lacks_memory
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
    Query,
    Reply,
    Step,
    ToWorker,
    decode_from_worker,
    encode_frame,
)
from dmr_tui.engine.questions import A, AnyQuestion, Question
from dmr_tui.engine.request import Event, Finished, GenerateRequest
from dmr_tui.engine.rotation import rotate
from dmr_tui.engine.spawn import log_file, resident_memory, spawn_worker
from dmr_tui.engine.stats import Stats
from dmr_tui.engine.watchdog import LAST_PATIENCE, UNKILLABLE, Watchdog, ends_within, works
from dmr_tui.errors import (
    DmrError,
    EngineError,
    InsufficientMemoryError,
    UnavailableError,
    to_error,
)

BACKEND = "llama.cpp"
"""What the built-in engine is called."""

_PATIENCE = 2.0
"""Seconds to end by itself before a worker is terminated, and then again before it is killed."""

_PIECE = 1 << 16
_LONGEST = 1 << 30
"""Bytes of a message."""

_Answer: TypeAlias = "asyncio.Queue[Event | Reply | DmrError]"


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
        self.name = BACKEND
        self.load = load
        self.ended = asyncio.Event()
        self.crashed = False
        """It died without a word about why, and nobody had ended it."""
        self.facts: Loaded | None = None
        """What the worker said of its model; None until it is loaded."""
        self.stats: Stats | None = None
        """What it last told of its work."""
        self._files = files
        self._log = log_file(logs, files.name)
        self._process: Process | None = None
        self._stopping = False
        self._told = False
        """It has said itself why the model cannot be loaded."""
        self._stuck = False
        self._garbled = ""
        """What was wrong with what it said."""
        self._postmortem = Postmortem(self._log)
        self._death = Death("")
        self._watchdog = Watchdog(self._log, busy=lambda: self._loading or bool(self._answers))
        self._outcome: asyncio.Future[None] | None = None
        """Of the load; None before there is one."""
        self._answers: dict[int, _Answer] = {}
        self._numbers = itertools.count(1)

    @property
    def cause(self) -> str:
        """See `Backend.cause`."""
        return self._death.cause

    @property
    def pid(self) -> int:
        """The process's id; 0 before it is started."""
        return 0 if self._process is None else self._process.pid

    @property
    def memory(self) -> int:
        """Resident bytes of the process; 0 when there is none."""
        if self._process is None or self.ended.is_set():
            return 0
        return resident_memory(self.pid)

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
        self._outcome = asyncio.get_running_loop().create_future()
        self._watchdog.hear()
        self._listener = asyncio.create_task(self._listen(self._process, on_progress))
        self._guard = asyncio.create_task(self._watch(self._process))
        self._send(self.load)
        try:
            await self._outcome
        finally:
            if self.facts is None:
                await self.stop()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Event, None]:
        """Answer a request; closing the iterator takes it back.

        Raises:
            DmrError: why the worker refused; `EngineError` when it died.
        """
        with self._asked(lambda number: Generate(number, request)) as answer:
            while True:
                event = await answer.get()
                if isinstance(event, DmrError):
                    raise event
                assert not isinstance(event, Reply)
                yield event
                if isinstance(event, Finished):
                    return

    async def ask(self, question: Question[A]) -> A:
        """The reply to a question; raises like `generate`."""
        with self._asked(lambda number: Query(number, cast(AnyQuestion, question))) as answer:
            reply = await answer.get()
        if isinstance(reply, DmrError):
            raise reply
        assert isinstance(reply, Reply)
        return cast(A, reply.answer)

    @contextmanager
    def _asked(self, message: Callable[[int], ToWorker]) -> Iterator[_Answer]:
        """Send a request and collect what comes for it; who leaves before the end takes it back."""
        if self.ended.is_set():
            raise self._death_notice()
        number = next(self._numbers)
        answer: _Answer = asyncio.Queue()
        self._send(message(number))  # first: to what cannot be sent no answer is owed
        if not self._answers:
            self._watchdog.hear()
        self._answers[number] = answer
        try:
            yield answer
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
        if await ends_within(self.ended, _PATIENCE):
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        if not await ends_within(self.ended, _PATIENCE):
            await self._kill(self._process)

    async def _spawn(self) -> Process:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        rotate(self._log)
        self._postmortem = Postmortem(self._log)
        return await spawn_worker(self._log)

    async def _watch(self, process: Process) -> None:
        """End the process when it is stuck."""
        await self._watchdog.watch()
        while await works(process.pid, computing_counts=self._loading) or not self._watchdog.stuck:
            self._watchdog.hear()
            await self._watchdog.watch()
        self._stuck = True
        await self._kill(process)

    async def _kill(self, process: Process) -> None:
        """Kill the process, and do as if that had worked."""
        with suppress(ProcessLookupError):
            process.kill()
        if not await ends_within(self.ended, LAST_PATIENCE):
            self._bury(Death(UNKILLABLE))

    def _send(self, message: ToWorker) -> None:
        """Write without waiting: the worker's reader is always there, or the worker is dead."""
        pipe = None if self._process is None else self._process.stdin
        if pipe is not None and not pipe.is_closing():
            pipe.write(encode_frame(message))

    async def _listen(self, process: Process, on_progress: Callable[[float], None]) -> None:
        """Hand out what the worker says until its output ends, then bury it."""
        try:
            async for message in _messages(process):
                self._watchdog.hear()
                if isinstance(message, LoadProgress):
                    on_progress(message.fraction)
                elif isinstance(message, Loaded):
                    self.facts = message
                    self._settle(None)
                elif isinstance(message, Stats):
                    self.stats = message
                elif isinstance(message, LoadFailed):
                    self._told = True
                    self._settle(self._load_error(message.reason))
                else:
                    self._hand_out(message)
        except msgspec.MsgspecError as error:
            self._garbled = str(error)
            await self._silence(process)
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            raise
        finally:
            status = await process.wait()
            self._guard.cancel()
            death = self._postmortem.examine(status, stuck=self._stuck)
            if self._garbled:
                death = Death(
                    f"the worker said what cannot be understood: {self._garbled}; if dmr was"
                    " upgraded meanwhile, start it anew"
                )
            self._bury(death)

    async def _silence(self, process: Process) -> None:
        """Kill a process that still talks; to asyncio it is not gone before its output is read."""
        with suppress(ProcessLookupError):
            process.kill()
        assert process.stdout is not None
        while await process.stdout.read(_PIECE):
            pass

    def _bury(self, death: Death) -> None:
        """Tell all who wait that the process is gone; once."""
        if self.ended.is_set():
            return
        self.crashed = not (self._told or self._stopping)
        self._death = death
        self.ended.set()
        self._settle(self._load_error(death.cause))
        for answer in self._answers.values():
            answer.put_nowait(self._death_notice())
        self._answers.clear()

    @property
    def _loading(self) -> bool:
        return self._outcome is not None and not self._outcome.done()

    def _settle(self, error: DmrError | None) -> None:
        """Let the load end, once."""
        if self._outcome is None or self._outcome.done():
            return
        if error is None:
            self._outcome.set_result(None)
        else:
            self._outcome.set_exception(error)

    def _hand_out(self, message: Step | Reply | Failed) -> None:
        """Put events into their answers' queues; an answer that ends is forgotten."""
        if not isinstance(message, Step):
            answer = self._answers.pop(message.id, None)
            if answer is not None:
                answer.put_nowait(_to_error(message) if isinstance(message, Failed) else message)
            return
        for number, event in message.events:
            answer = self._answers.get(number)
            if answer is not None:
                answer.put_nowait(event)
                if isinstance(event, Finished):
                    del self._answers[number]

    def _load_error(self, reason: str) -> DmrError:
        refused = self._death.out_of_memory or lacks_memory(reason)
        kind = InsufficientMemoryError if refused else EngineError
        return kind(f"cannot load {self._files.gguf}: {reason}", self._log_hint)

    def _death_notice(self) -> DmrError:
        """A new error each time: one that is raised twice gathers the traces of both."""
        if self._stopping:
            return UnavailableError(f"{self._files.name} was unloaded")
        kind = InsufficientMemoryError if self._death.out_of_memory else EngineError
        return kind(f"{self._files.gguf}: {self._death.cause}", self._log_hint)

    @property
    def _log_hint(self) -> str:
        return f"its log: {self._log}"


async def _messages(process: Process) -> AsyncGenerator[FromWorker, None]:
    """What a worker says, to the end of its output.

    Raises:
        msgspec.MsgspecError: it is no message.
    """
    output = process.stdout
    assert output is not None
    try:
        while True:
            length = int.from_bytes(await output.readexactly(LENGTH_BYTES), "big")
            if length > _LONGEST:  # as the beginning of any text would say
                raise msgspec.DecodeError(f"a message of {length} bytes")
            yield decode_from_worker(await output.readexactly(length))
    except asyncio.IncompleteReadError:
        return


def _to_error(failed: Failed) -> DmrError:
    error = to_error(failed.code, failed.message, failed.hint)
    error.param = failed.param
    return error
