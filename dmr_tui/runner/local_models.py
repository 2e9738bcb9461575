"""The part of a `Runner` that keeps models, over the store on this disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

import msgspec

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import Sampling
from dmr_tui.errors import InvalidRequestError, ModelNotFoundError
from dmr_tui.paths import Paths
from dmr_tui.runner.activity.keeper import JournalKeeper
from dmr_tui.runner.activity.transferring import Transferring
from dmr_tui.runner.archives import read, written
from dmr_tui.runner.base import DiskUsage, Importable, Model
from dmr_tui.runner.described import describe_file, loose_file, to_model
from dmr_tui.runner.profiles import Profiles
from dmr_tui.runner.searching import Searcher
from dmr_tui.runner.streams import follow
from dmr_tui.settings import Settings
from dmr_tui.store.reference import Reference, parse_reference
from dmr_tui.store.store import Store, StoredModel
from dmr_tui.store.transfer.hub.name import HubName, parse_source
from dmr_tui.store.transfer.progress import TransferProgress
from dmr_tui.store.usage import disk_usage

Report = Callable[[TransferProgress], None]


class LocalModels(JournalKeeper, Searcher):
    """A runner that keeps models itself. Removing is `LocalRunner`'s: it has to know what runs."""

    def __init__(self, store: Store, settings: Settings, paths: Paths) -> None:
        """Keep models in `store`.

        Args:
            store: where they are.
            settings: of the registries, and of what is written down.
            paths: of the logs and the models' settings.
        """
        super().__init__(paths.logs, bodies=settings.record_bodies, level=settings.log_level)
        self._store = store
        self._settings = settings
        self._profiles = Profiles(paths.state / "profiles.json")

    async def models(self) -> list[Model]:
        """See `Runner.models`."""
        return [to_model(found) for found in await asyncio.to_thread(self._store.models)]

    async def model(self, name: str) -> Model:
        """See `Runner.model`; a file is described by its header."""
        files = await asyncio.to_thread(loose_file, name)
        if files is not None:
            return await asyncio.to_thread(describe_file, files)
        return to_model(await asyncio.to_thread(self._find_runnable, name))

    async def manifest(self, name: str) -> dict[str, Any]:
        """See `Runner.manifest`."""
        found = await self._find(name)
        raw = await asyncio.to_thread(self._store.manifest_bytes, found.id)
        return msgspec.json.decode(raw, type=dict[str, Any])

    async def files(self) -> dict[str, dict[str, int]]:
        """See `Runner.files`."""
        found = await asyncio.to_thread(self._store.models)
        return {model.id: model.manifest.files for model in found}

    async def tag(self, source: str, target: str) -> str:
        """See `Runner.tag`."""
        return str(await asyncio.to_thread(self._store.tag, source, target))

    async def pull(self, name: str, *, token: str = "") -> AsyncGenerator[TransferProgress, None]:
        """See `Runner.pull`; the built-in model comes from the program itself."""
        from dmr_tui.guide import is_guide
        from dmr_tui.store.transfer.pull import pull

        if is_guide(name):
            await asyncio.to_thread(self._adopt_guide)
            yield TransferProgress("success", "Model pulled successfully")
            return
        reference = parse_source(name, default_registry=self._settings.default_registry)
        _check_token(token, reference)

        def job(report: Report, cancelled: threading.Event) -> None:
            pull(
                self._store,
                reference,
                on_progress=report,
                cancelled=cancelled,
                insecure=self._settings.insecure_registry,
                mirrors=self._settings.mirrors,
                token=token,
            )

        with Transferring(self.journal, "pull", str(reference)) as transfer:
            async with aclosing(follow(job)) as lines:
                async for line in lines:
                    transfer.see(line)
                    yield line

    async def push(self, name: str, *, token: str = "") -> AsyncGenerator[TransferProgress, None]:
        """See `Runner.push`."""
        from dmr_tui.store.transfer.push import push

        reference = parse_reference(name, default_registry=self._settings.default_registry)
        _check_token(token, reference)

        def job(report: Report, cancelled: threading.Event) -> None:
            insecure = self._settings.insecure_registry
            push(self._store, reference, on_progress=report, cancelled=cancelled, insecure=insecure)

        with Transferring(self.journal, "push", str(reference)) as transfer:
            async with aclosing(follow(job)) as lines:
                async for line in lines:
                    transfer.see(line)
                    yield line

    async def importable(self) -> list[Importable]:
        """See `Runner.importable`."""
        from dmr_tui.runner.adopting import importable

        return await asyncio.to_thread(importable, self._store)

    async def adopt(self, name: str) -> AsyncGenerator[TransferProgress, None]:
        """See `Runner.adopt`."""
        from dmr_tui.runner.adopting import take_in

        async with aclosing(follow(partial(take_in, self._store, name))) as lines:
            async for line in lines:
                yield line

    async def export(self, name: str) -> AsyncGenerator[bytes, None]:
        """See `Runner.export`."""
        from dmr_tui.store.archive import save

        found = await self._find(name)
        async with aclosing(written(partial(save, self._store, found))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def load_archive(self, chunks: AsyncIterable[bytes]) -> str:
        """See `Runner.load_archive`."""
        from dmr_tui.store.archive import load

        return (await read(chunks, partial(load, self._store, names=False))).id

    async def repackage(self, source: str, target: str, *, context_size: int | None = None) -> str:
        """See `Runner.repackage`."""
        from dmr_tui.store.package import repackage
        from dmr_tui.store.parts import Extras

        reference = parse_reference(target, default_registry=self._settings.default_registry)
        found = await self._find(source)
        extras = Extras(context_size=context_size)
        await asyncio.to_thread(repackage, self._store, found, reference, extras=extras)
        return str(reference)

    async def disk_usage(self) -> DiskUsage:
        """See `Runner.disk_usage`."""
        usage = await asyncio.to_thread(disk_usage, self._store)
        return DiskUsage(
            models=usage.models,
            partial=usage.partial,
            unused=usage.unused,
            quarantined=usage.quarantined,
        )

    async def _find(self, name: str) -> StoredModel:
        return await asyncio.to_thread(self._store.find, name)

    def _find_runnable(self, name: str) -> StoredModel:
        """A model of the store; the built-in one enters it when it is asked for."""
        try:
            return self._store.find(name)
        except ModelNotFoundError:
            from dmr_tui.guide import is_guide

            if not is_guide(name):
                raise
            return self._adopt_guide()

    def _adopt_guide(self) -> StoredModel:
        from dmr_tui.guide import adopt_guide

        found = adopt_guide(self._store)
        if self._profiles.get(found.id) == Profile():
            # It knows each answer by heart: the likeliest words are the right ones.
            self._profiles.set(found.id, Profile(sampling=Sampling(temperature=0.0)))
        return found


def _check_token(token: str, reference: Reference | HubName) -> None:
    """Refuse a token that would be passed over: registries want a login."""
    if token and isinstance(reference, Reference) and not reference.is_huggingface:
        raise InvalidRequestError(
            f"bearer-token is taken for the Hugging Face Hub only, not for {reference.registry}",
            f"log in where the runner is: dmr login {reference.registry}",
            param="bearer-token",
        )
