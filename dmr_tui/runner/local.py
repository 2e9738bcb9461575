"""`LocalRunner`: the store on this disk, joined to an engine in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dmr_tui import __version__
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.fit import Fit, room_for
from dmr_tui.engine.plan import Memory
from dmr_tui.engine.profile import Profile, RunningModel
from dmr_tui.engine.questions import A, Question
from dmr_tui.engine.request import Event, GenerateRequest
from dmr_tui.errors import ConflictError
from dmr_tui.paths import Paths
from dmr_tui.runner.activity.answering import Answering
from dmr_tui.runner.activity.exchange import current
from dmr_tui.runner.base import Removed, RunnerStatus
from dmr_tui.runner.described import loose_file
from dmr_tui.runner.local_models import LocalModels
from dmr_tui.runner.measured import Keeper, Measured, Stopwatch
from dmr_tui.runner.profiles import overlay
from dmr_tui.runner.shapes import read_shape
from dmr_tui.settings import Settings
from dmr_tui.store.garbage import purge
from dmr_tui.store.reference import is_digest
from dmr_tui.store.store import Store

if TYPE_CHECKING:
    from dmr_tui.engine.llama_server import Client
    from dmr_tui.engine.manager import EngineManager
    from dmr_tui.runner.fitting import Fitting


class LocalRunner(LocalModels):
    """A `Runner` over a `Store` and an `EngineManager`.

    A model name that is a path to a `.gguf` file is run straight from disk.
    """

    def __init__(
        self, store: Store, settings: Settings, paths: Paths, *, client: str = "dmr"
    ) -> None:
        super().__init__(store, settings, paths)
        self._client = client
        self._paths = paths
        self._speeds = Keeper(paths.measured)
        self._manager: EngineManager | None = None
        self._workers: dict[str, int] = {}

    @classmethod
    def open(cls, paths: Paths, settings: Settings, *, client: str = "dmr") -> LocalRunner:
        """The runner of this user's store; starts nothing yet.

        Args:
            paths: where the store is.
            settings: the user's.
            client: what requests are called that this program makes itself.
        """
        store = Store(
            paths.models,
            default_registry=settings.default_registry,
            spare_bundles=paths.state / "bundles",
        )
        return cls(store, settings, paths, client=client)

    @cached_property
    def _fitting(self) -> Fitting:
        from dmr_tui.runner.fitting import Fitting  # listing models needs none of it

        return Fitting(self._store, self._settings, self._profiles, self._paths.shapes)

    @property
    def engine(self) -> EngineManager:
        """The engine manager, made when first asked for: listing models needs none."""
        if self._manager is None:
            from dmr_tui.engine.manager import EngineManager

            self._manager = EngineManager(
                settings=self._settings,
                logs=self._paths.logs,
                read_shape=read_shape,
                connect=_connect,
                tell=self.journal.tell,
            )
        return self._manager

    async def remove(self, name: str, *, force: bool = False) -> list[Removed]:
        """See `Runner.remove`; an idle model is unloaded first."""
        found = await self._find(name)
        if self._manager is not None and len(found.tags) <= 1:
            if self._manager.in_use(found.id):
                raise ConflictError(
                    f"{name} is answering a request", "wait for its end, or `dmr unload` it"
                )
            await self._manager.unload({found.id})
        steps = await asyncio.to_thread(self._store.remove, name, force=force)
        return [
            Removed(untagged=value) if kind == "Untagged" else Removed(deleted=value)
            for kind, value in steps
        ]

    async def purge(self, *, force: bool = False) -> None:
        """See `Runner.purge`."""
        if self._manager is not None:
            await self._manager.unload(None)
        await asyncio.to_thread(purge, self._store, force=force)

    async def free_memory(self) -> Memory | None:
        """See `Runner.free_memory`; idle models would leave for another one."""
        from dmr_tui.engine.room import free_memory  # Not at the top: it brings psutil.

        plans = {} if self._manager is None else self._manager.plans()
        staying = [verdict for verdict, leaves in plans.values() if not leaves]
        leaving = [verdict for verdict, leaves in plans.values() if leaves]
        return room_for(await asyncio.to_thread(free_memory), staying, leaving)

    async def generate(
        self, model: str, request: GenerateRequest, *, profile: Profile | None = None
    ) -> AsyncGenerator[Event, None]:
        """See `Runner.generate`."""
        with Answering(self.journal, self._client, model, request, profile) as record:
            files, settings = await asyncio.to_thread(self._resolve, model, profile)
            record.exchange.model_id = files.id
            watch = Stopwatch()
            async with (
                self._kept(files),
                aclosing(self.engine.generate(files, request, settings)) as events,
            ):
                async for event in events:
                    record.see(event)
                    answer = watch.note(event)
                    if answer is not None:
                        self._speeds.note(files.id, answer)
                    yield event

    async def ask(self, model: str, question: Question[A]) -> A:
        """See `Runner.ask`."""
        exchange = current.get()
        if exchange is not None:
            exchange.names(model)
        files, settings = await asyncio.to_thread(self._resolve, model, None)
        async with self._kept(files):
            reply = await self.engine.ask(files, question, settings)
        if exchange is not None:
            exchange.model_id = files.id
            exchange.counts(getattr(reply, "prompt_tokens", None))
        return reply

    async def load(self, model: str, *, profile: Profile | None = None) -> None:
        """See `Runner.load`."""
        files, settings = await asyncio.to_thread(self._resolve, model, profile)
        async with self._kept(files):
            await self.engine.load(files, settings)

    async def fits(self, models: Sequence[str], *, context: int | None = None) -> list[Fit | None]:
        """See `Runner.fits`."""
        plans = {} if self._manager is None else self._manager.plans()
        return await asyncio.to_thread(self._fitting.fits, models, context, plans)

    async def measured(self) -> dict[str, Measured]:
        """See `Runner.measured`."""
        return await self._speeds.all()

    async def profile(self, model: str) -> Profile:
        """See `Runner.profile`; makes no bundle, as it is asked for while people look around."""

        def work() -> Profile:
            return self._profiles.get((loose_file(model) or self._find_runnable(model)).id)

        return await asyncio.to_thread(work)

    async def configure(self, model: str, profile: Profile, *, replace: bool = False) -> None:
        """See `Runner.configure`."""
        files, _ = await asyncio.to_thread(self._resolve, model, None)
        if self._manager is not None:
            if self._manager.in_use(files.id):
                raise ConflictError(f"{model} is answering a request", "try again when it is idle")
            await self._manager.unload({files.id})
        kept = profile if replace else overlay(self._profiles.get(files.id), profile)
        await asyncio.to_thread(self._profiles.set, files.id, kept)

    async def running(self) -> list[RunningModel]:
        """See `Runner.running`."""
        return [] if self._manager is None else self._manager.running()

    async def unload(self, models: Sequence[str] | None = None) -> int:
        """See `Runner.unload`."""
        if self._manager is None:
            return 0
        if models is None:
            return await self._manager.unload(None)
        found = [await asyncio.to_thread(self._resolve, name, None) for name in models]
        return await self._manager.unload({files.id for files, _ in found})

    async def status(self) -> RunnerStatus:
        """See `Runner.status`."""
        return RunnerStatus(
            kind="embedded", endpoint="", version=__version__, backends=self.engine.backends()
        )

    async def close(self) -> None:
        """See `Runner.close`."""
        if self._manager is not None:
            await self._manager.close()
        await self.close_log()
        await self._speeds.close()

    @asynccontextmanager
    async def _kept(self, files: ModelFiles) -> AsyncGenerator[None, None]:
        """Keep others from removing a model while it is loaded, and while its worker lives."""
        if not is_digest(files.id) or self._workers.get(files.id, 0) in self._pids(files.id):
            yield
            return
        hold = self._store.leases.hold_model
        lease = await asyncio.to_thread(hold, files.id, f"load {files.name}")
        try:
            yield
        finally:
            # Shielded: who leaves early must not leave the lease behind.
            await asyncio.shield(asyncio.to_thread(self._hand_over, files, lease))

    def _hand_over(self, files: ModelFiles, lease: Path | None) -> None:
        """From now on it is the worker's life that keeps the model's files."""
        for pid in self._pids(files.id):
            self._store.leases.hold_model(files.id, f"run {files.name}", pid)
            self._workers[files.id] = pid
        if lease is not None:
            self._store.leases.release(lease)

    def _pids(self, model_id: str) -> list[int]:
        """The worker processes of a model."""
        loaded = [] if self._manager is None else self._manager.running()
        return [model.pid for model in loaded if model.id == model_id and model.pid]

    def _resolve(self, name: str, profile: Profile | None) -> tuple[ModelFiles, Profile]:
        files = loose_file(name) or self._stored_files(name)
        return files, overlay(self._profiles.get(files.id), profile)

    def _stored_files(self, name: str) -> ModelFiles:
        found = self._find_runnable(name)
        bundle = self._store.bundle(found)
        return ModelFiles(
            id=found.id,
            name=found.tags[0] if found.tags else found.id,
            gguf=bundle.gguf,
            mmproj=bundle.mmproj,
            chat_template=bundle.chat_template,
            context_size=bundle.context_size,
            adapters=bundle.adapters,
        )


def _connect(url: str) -> Client:
    """A client for a llama-server; it speaks as a runner does."""
    from dmr_tui.runner.remote import RemoteRunner

    return RemoteRunner(url)
