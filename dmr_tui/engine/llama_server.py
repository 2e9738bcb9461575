"""llama.cpp's own server as a second engine: spawned for a model, spoken to over HTTP.

It is the program `llama-server`, or the same code in the xllamacpp wheel where that is installed.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.last_words import Death, Postmortem
from dmr_tui.engine.programs import NAME, Program
from dmr_tui.engine.protocol import Load, Loaded
from dmr_tui.engine.questions import A, Props, PropsQuestion, Question
from dmr_tui.engine.request import Event, GenerateRequest
from dmr_tui.engine.rotation import rotate
from dmr_tui.engine.server_options import PREFIX, options, shifts
from dmr_tui.engine.spawn import log_file, resident_memory, spawn_server
from dmr_tui.engine.stats import Stats
from dmr_tui.engine.watchdog import LAST_PATIENCE, UNKILLABLE, Watchdog, ends_within, responds
from dmr_tui.errors import (
    DmrError,
    EngineError,
    InsufficientMemoryError,
    UnavailableError,
)

_POLL = 0.05
"""Seconds between two looks at whether the model is there."""

_PATIENCE = 2.0
"""Seconds from the friendly signal to the other one, and for a death to be noticed."""


class Client(Protocol):
    """Who speaks HTTP to a server: a remote runner does."""

    def generate(self, model: str, request: GenerateRequest) -> AsyncGenerator[Event, None]:
        """Answer a request."""
        ...

    async def ask(self, model: str, question: Question[A]) -> A:
        """The reply to a question."""
        ...

    async def close(self) -> None:
        """Release what it holds."""
        ...


Connect = Callable[[str], Client]


class LlamaServer:
    """One llama-server with one model, on a socket in a folder that only this user can open.

    Each request has a connection of its own: llama-server closes one after a stream without saying
    so, and who reuses it gets an empty answer now and then.

    While it reads a prompt it says nothing, however long that takes. It is taken for stuck when it
    has been silent for long and does not tell its health either, which another thread of it does.
    """

    def __init__(
        self, program: Program, files: ModelFiles, load: Load, logs: Path, connect: Connect
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            program: how to start llama-server.
            files: the model.
            load: how to load it.
            logs: folder for the server's log.
            connect: makes a client for the URL of a server.
        """
        self.name = NAME
        self.load = load
        self.ended = asyncio.Event()
        self.crashed = False
        self.facts: Loaded | None = None
        self.stats: Stats | None = None
        self._program = program
        self._files = files
        self._log = log_file(logs, files.name)
        self._connect = connect
        self._process: Process | None = None
        self._client: Client | None = None
        self._props: Props
        """What it says of its model; there is one from the load on."""
        self._requests = 0
        """What is being answered."""
        self._stopping = False
        self._stuck = False
        self._death = Death("")
        self._watchdog = Watchdog(self._log, busy=lambda: self.facts is None or self._requests > 0)

    @property
    def cause(self) -> str:
        """See `Backend.cause`."""
        return self._death.cause

    @property
    def pid(self) -> int:
        """See `Backend.pid`."""
        return 0 if self._process is None else self._process.pid

    @property
    def memory(self) -> int:
        """See `Backend.memory`."""
        if self._process is None or self.ended.is_set():
            return 0
        return resident_memory(self.pid)

    async def start(self, on_progress: Callable[[float], None]) -> None:
        """See `Backend.start`; llama-server does not tell how far it is."""
        try:
            folder = Path(tempfile.mkdtemp(prefix="dmr-"))
        except OSError as error:
            raise self._load_error(f"there is no place for its socket: {error}") from error
        socket = folder / "llama.sock"
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            rotate(self._log)
            postmortem = Postmortem(self._log)
            self._process = await spawn_server(
                [*self._program.command, *options(self._files, self.load, socket)], self._log
            )
        except OSError as error:
            raise self._load_error(f"{self._program.shown} cannot be started: {error}") from error
        finally:
            if self._process is None:
                shutil.rmtree(folder, ignore_errors=True)
        self._watchdog.hear()
        self._guard = asyncio.create_task(self._watch(self._process, socket))
        self._burial = asyncio.create_task(self._bury(self._process, postmortem, folder))
        self._client = self._connect(f"unix://{socket}")
        try:
            self.facts = await self._ready(self._client)
        finally:
            if self.facts is None:
                await self.stop()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Event, None]:
        """See `Backend.generate`."""
        # Not at the top: it brings the grammars.
        from dmr_tui.engine.server_requests import check, prepare

        check(request, mode=self.load.mode, shifts=shifts(self._files, self.load))
        with self._asked() as client:
            try:
                write = partial(client.ask, self._files.name)
                prepared = await prepare(request, self._props, write)
                asked = client.generate(self._files.name, prepared.request)
                async with aclosing(asked) as events:
                    async for event in events:
                        self._watchdog.hear()
                        for each in prepared.read(event):
                            yield each
            except UnavailableError as error:
                raise await self._explained(error) from error

    async def ask(self, question: Question[A]) -> A:
        """See `Backend.ask`."""
        # Not at the top: it brings the grammars.
        from dmr_tui.engine.server_questions import reply_to

        with self._asked() as client:
            try:
                reply = await reply_to(question, client.ask, self._files, self.load, self._props)
            except UnavailableError as error:
                raise await self._explained(error) from error
            self._watchdog.hear()
            return reply

    async def stop(self) -> None:
        """See `Backend.stop`."""
        if self._process is None:
            return
        self._stopping = True
        if not self.ended.is_set():
            with suppress(ProcessLookupError):
                self._process.terminate()
            if not await ends_within(self.ended, _PATIENCE):
                await self._kill(self._process)
        await self._hang_up()

    async def _hang_up(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _ready(self, client: Client) -> Loaded:
        """Wait until the server has its model."""
        while not self.ended.is_set():
            try:
                props = await client.ask(self._files.name, PropsQuestion())
            except UnavailableError:
                await asyncio.sleep(_POLL)
                continue
            except DmrError as error:
                raise self._load_error(error.message) from error
            self._props = props
            return Loaded(
                description=props.description or NAME,
                context_size=props.context_size,
                trained_context=0,
                layers=0,
                gpu_layers=max(self.load.gpu_layers, 0),
                mode=self.load.mode,
            )
        raise self._load_error(self._death.cause)

    async def _watch(self, process: Process, socket: Path) -> None:
        """End the process when it is stuck."""
        await self._watchdog.watch()
        while await responds(socket, f"{PREFIX}/health"):
            self._watchdog.hear()
            await self._watchdog.watch()
        self._stuck = True
        await self._kill(process)

    async def _kill(self, process: Process) -> None:
        """Kill the process, and do as if that had worked: who waits for it is let go."""
        with suppress(ProcessLookupError):
            process.kill()
        if not await ends_within(self.ended, LAST_PATIENCE):
            self._end(Death(UNKILLABLE))
            await self._hang_up()

    async def _bury(self, process: Process, postmortem: Postmortem, folder: Path) -> None:
        status = await process.wait()
        self._guard.cancel()
        shutil.rmtree(folder, ignore_errors=True)
        self._end(postmortem.examine(status, stuck=self._stuck))

    def _end(self, death: Death) -> None:
        """Note that the process is gone; once."""
        if not self.ended.is_set():
            self.crashed = not self._stopping
            self._death = death
            self.ended.set()

    @contextmanager
    def _asked(self) -> Iterator[Client]:
        """Who speaks to the server, for one request; it counts while it lasts."""
        if self._client is None or self.ended.is_set():
            raise self._death_notice()
        if not self._requests:
            self._watchdog.hear()
        self._requests += 1
        try:
            yield self._client
        finally:
            self._requests -= 1

    async def _explained(self, error: DmrError) -> DmrError:
        """Why the server does not answer: it is dead, or the client's own error."""
        return self._death_notice() if await ends_within(self.ended, _PATIENCE) else error

    def _load_error(self, reason: str) -> DmrError:
        kind = InsufficientMemoryError if self._death.out_of_memory else EngineError
        return kind(f"cannot load {self._files.gguf}: {reason}", f"its log: {self._log}")

    def _death_notice(self) -> DmrError:
        if self._stopping:
            return UnavailableError(f"{self._files.name} was unloaded")
        kind = InsufficientMemoryError if self._death.out_of_memory else EngineError
        return kind(f"{self._files.gguf}: {self._death.cause}", f"its log: {self._log}")
