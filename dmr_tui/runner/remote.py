"""`RemoteRunner`: a runner somewhere else, over Docker Model Runner's HTTP API.

It speaks to `dmr serve` and to Docker Model Runner alike; what only `dmr serve` tells has a
fallback. Import it where it is needed: httpx is not cheap.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from dmr_tui.engine.fit import Fit, room_for
from dmr_tui.engine.plan import Memory
from dmr_tui.engine.profile import Profile, RunningModel
from dmr_tui.engine.questions import A, Question
from dmr_tui.engine.request import Event, GenerateRequest, Loading
from dmr_tui.engine.stats import Stats
from dmr_tui.errors import InvalidRequestError, ModelNotFoundError
from dmr_tui.runner.answers import read_events, to_body
from dmr_tui.runner.base import RunnerStatus
from dmr_tui.runner.configuration import Configured, to_configuration, to_profile
from dmr_tui.runner.connection import SECONDS
from dmr_tui.runner.inquiries import inquire
from dmr_tui.runner.loading import loads
from dmr_tui.runner.measured import Measured
from dmr_tui.runner.remote_models import RemoteModels
from dmr_tui.settings import parse_duration


class Version(Struct, frozen=True):
    """What `GET /version` answers; Docker's server knows no instance."""

    version: str = ""
    instance: str = ""


class _Unloaded(Struct, frozen=True):
    unloaded_runners: int = 0


class _RunningBody(Struct, frozen=True):
    """One row of `GET /engines/ps`; all from `id` on only `dmr serve` tells."""

    backend_name: str = ""
    model_name: str = ""
    mode: str = ""
    last_used: str = ""
    in_use: bool = False
    loading: bool = False
    keep_alive: str | None = None
    id: str = ""
    state: str = ""
    requests: int | None = None
    context_size: int = 0
    memory: int = 0
    gpu_layers: int = 0
    pid: int = 0
    layers: int = 0
    slots: int = 0
    planned_memory: int = 0
    progress: float | None = None
    stats: Stats | None = None


class RemoteRunner(RemoteModels):
    """A `Runner` that answers at a URL."""

    async def version(self, *, timeout: float = SECONDS) -> Version:
        """Which program answers."""
        return await self._get("/version", Version, timeout=timeout)

    async def free_memory(self) -> Memory | None:
        """See `Runner.free_memory`; of another machine nothing is known."""
        from dmr_tui.engine.room import free_memory  # Not at the top: it brings psutil.

        if not self._connection.local:
            return None
        return room_for(await asyncio.to_thread(free_memory), (), ())

    async def generate(
        self, model: str, request: GenerateRequest, *, profile: Profile | None = None
    ) -> AsyncGenerator[Event, None]:
        """See `Runner.generate`."""
        route, body = to_body(model, request, profile)
        path = f"/engines/v1/{route}"
        async with AsyncExitStack() as stack:
            stream = self._connection.stream("POST", path, body=body)
            begun = asyncio.create_task(stack.enter_async_context(stream))
            try:
                async with aclosing(loads(begun, self.running, model)) as fractions:
                    async for fraction in fractions:
                        yield Loading(fraction)
            finally:
                if not begun.done():
                    begun.cancel()
                    await asyncio.wait({begun})
            lines = self._connection.lines(await begun)
            async with aclosing(lines), aclosing(read_events(lines, path, request)) as events:
                async for event in events:
                    yield event

    async def ask(self, model: str, question: Question[A]) -> A:
        """See `Runner.ask`; Docker's server knows embeddings and ranks only."""
        return await inquire(self._connection.ask, model, question)

    async def load(self, model: str, *, profile: Profile | None = None) -> None:
        """See `Runner.load`."""
        body: dict[str, Any] = {"model": model}
        if profile is not None:
            body["dmr_profile"] = profile
        await self._connection.ask(
            "POST",
            "/engines/v1/chat/completions",
            body=body,
            headers={"X-Preload-Only": "true"},
            timeout=None,
        )

    async def profile(self, model: str) -> Profile:
        """See `Runner.profile`."""
        answer = await self._connection.ask("GET", "/engines/_configure", params={"model": model})
        found = self._decode(answer, list[Configured])
        return next((to_profile(each.config) for each in found), Profile())

    async def fits(self, models: Sequence[str], *, context: int | None = None) -> list[Fit | None]:
        """See `Runner.fits`; Docker's server tells nothing of it."""
        body = {"models": list(models), "context": context}
        try:
            answer = await self._connection.ask("POST", "/engines/fits", body=body, timeout=None)
        except (ModelNotFoundError, InvalidRequestError):
            return [None] * len(models)
        return self._decode(answer, list[Fit | None])

    async def measured(self) -> dict[str, Measured]:
        """See `Runner.measured`; Docker's server tells nothing of it."""
        try:
            return await self._get("/engines/measured", dict[str, Measured])
        except (ModelNotFoundError, InvalidRequestError):
            return {}

    async def configure(self, model: str, profile: Profile, *, replace: bool = False) -> None:
        """See `Runner.configure`; Docker's server knows context size and keep-alive only."""
        body = {"model": model, **msgspec.to_builtins(to_configuration(profile))}
        if replace:
            body["replace"] = True
        await self._connection.ask("POST", "/engines/_configure", body=body)

    async def running(self) -> list[RunningModel]:
        """See `Runner.running`."""
        return [_running(row) for row in await self._get("/engines/ps", list[_RunningBody])]

    async def unload(self, models: Sequence[str] | None = None) -> int:
        """See `Runner.unload`."""
        body = {"all": models is None, "models": list(models or ())}
        answer = await self._connection.ask("POST", "/engines/unload", body=body, timeout=None)
        return self._decode(answer, _Unloaded).unloaded_runners

    async def status(self) -> RunnerStatus:
        """See `Runner.status`."""
        version = await self.version()
        backends = await self._get("/engines/status", dict[str, str])
        return RunnerStatus("remote", self.url, version.version, backends)

    async def close(self) -> None:
        """See `Runner.close`; the runner at the other end goes on."""
        await self._connection.close()


def _running(row: _RunningBody) -> RunningModel:
    keep_alive = 300.0 if row.keep_alive is None else parse_duration(row.keep_alive, "keep_alive")
    used = None if row.in_use or row.last_used.startswith("0001-") else _unix(row.last_used)
    return RunningModel(
        id=row.id or row.model_name,
        name=row.model_name,
        backend=row.backend_name,
        mode=row.mode,
        state=row.state or ("loading" if row.loading else "ready"),
        in_use=row.requests if row.requests is not None else int(row.in_use),
        keep_alive=keep_alive,
        last_used=used,
        context_size=row.context_size,
        memory=row.memory,
        gpu_layers=row.gpu_layers,
        pid=row.pid,
        layers=row.layers,
        slots=row.slots,
        planned=row.planned_memory,
        progress=row.progress,
        stats=row.stats,
    )


def _unix(stamp: str) -> float | None:
    """Unix time of an RFC 3339 stamp, however many digits its seconds have."""
    try:
        return msgspec.convert(stamp, datetime).timestamp()
    except msgspec.ValidationError:
        return None
