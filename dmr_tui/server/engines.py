"""Docker Model Runner's own routes for running models: `/engines/…`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dmr_tui.engine.checks import check_sampling
from dmr_tui.engine.profile import Profile, RunningModel
from dmr_tui.errors import InvalidRequestError
from dmr_tui.runner.base import Runner
from dmr_tui.runner.configuration import Configuration, Configured, to_configuration, to_profile
from dmr_tui.server.body import decode, json_response, read_body, stored_name
from dmr_tui.server.exchange import attend

_NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time."""

_MAX_INT = 2**31 - 1
"""Docker Model Runner's numbers have 32 bits, as llama.cpp's."""

Mode: TypeAlias = Literal["", "completion", "embedding", "reranking", "image-generation"]


class UnloadBody(Struct, frozen=True):
    """The body of `POST /engines/unload`."""

    all: bool | None = None
    backend: str | None = None
    models: list[str] | None = None


class FitsBody(Struct, frozen=True):
    """The body of `POST /engines/fits`."""

    models: list[str]
    context: Annotated[int, Meta(gt=0)] | None = None


class ConfigureBody(Configuration, frozen=True, kw_only=True, rename="kebab"):
    """The body of `POST /engines/_configure`."""

    model: str
    replace: bool = False
    mode: Mode | None = None
    """Docker Model Runner's; here a model's file says what it is for."""
    context_size: Annotated[int, Meta(ge=-1, le=_MAX_INT)] | None = None
    threads: Annotated[int, Meta(ge=0, le=_MAX_INT)] | None = None
    gpu_layers: Annotated[int, Meta(ge=-1, le=_MAX_INT)] | None = None
    backend: Literal["llama.cpp", "llama-server"] | None = None
    raw_runtime_flags: str | None = None
    runtime_flags: list[str] | None = None
    speculative: Any = None
    vllm: Any = None


class Engines:
    """The handlers; all state is the runner's."""

    def __init__(self, runner: Runner, closing: asyncio.Event) -> None:
        """Answer from `runner` until `closing` is set."""
        self._runner = runner
        self._closing = closing

    def routes(self) -> list[Route]:
        """Every path."""
        return [
            Route("/engines/status", self.status),
            Route("/engines/ps", self.running),
            Route("/engines/df", self.disk_usage),
            Route("/engines/fits", self.fits, methods=["POST"]),
            Route("/engines/measured", self.measured),
            Route("/engines/unload", self.unload, methods=["POST"]),
            Route("/engines/_configure", self.configure, methods=["POST"]),
            Route("/engines/_configure", self.configured),
            Route("/engines/llama.cpp/_configure", self.configure, methods=["POST"]),
            Route("/engines/llama.cpp/_configure", self.configured),
        ]

    async def status(self, request: Request) -> Response:
        """`GET /engines/status`."""
        return json_response((await self._runner.status()).backends)

    async def running(self, request: Request) -> Response:
        """`GET /engines/ps`."""
        return json_response([_describe(model) for model in await self._runner.running()])

    async def disk_usage(self, request: Request) -> Response:
        """`GET /engines/df`."""
        usage = await self._runner.disk_usage()
        return json_response(
            {
                "models_disk_usage": usage.models,
                "default_backend_disk_usage": usage.engine,
                "partial_disk_usage": usage.partial,
                "unused_disk_usage": usage.unused,
                "quarantined_disk_usage": usage.quarantined,
            }
        )

    async def fits(self, request: Request) -> Response:
        """`POST /engines/fits`: what loading models would take here; not in Docker's server."""
        body = decode(await read_body(request), FitsBody)
        return json_response(await self._runner.fits(body.models, context=body.context))

    async def measured(self, request: Request) -> Response:
        """`GET /engines/measured`: how fast models were here; not in Docker's server."""
        return json_response(await self._runner.measured())

    async def unload(self, request: Request) -> Response:
        """`POST /engines/unload`."""
        body = decode(await read_body(request), UnloadBody)
        chosen = None if body.all else [stored_name(name) for name in body.models or []]
        if body.backend:
            chosen = await self._on(body.backend, chosen)
        gone = await attend(self._runner.unload(chosen), request.receive, self._closing)
        return json_response({"unloaded_runners": gone})

    async def _on(self, backend: str, chosen: list[str] | None) -> list[str]:
        """Which of `chosen` are on an engine, by the name that `ps` has; None: all idle ones."""
        there = [model for model in await self._runner.running() if model.backend == backend]
        if chosen is None:
            # Not those in use: a load that is named would be called off.
            return [model.id for model in there if not model.in_use]
        ids = {model.id for model in there}
        return [name for name in chosen if (await self._runner.model(name)).id in ids]

    async def configure(self, request: Request) -> Response:
        """`POST /engines/_configure`."""
        body = decode(await read_body(request), ConfigureBody)
        if body.raw_runtime_flags or body.runtime_flags or body.speculative:
            raise InvalidRequestError("runtime flags and draft models are not supported yet")
        if body.vllm:
            raise InvalidRequestError("vllm: there is no such engine here", param="vllm")
        profile = to_profile(body)
        check_sampling(profile.sampling)
        await self._runner.configure(stored_name(body.model), profile, replace=body.replace)
        return Response(status_code=202)

    async def configured(self, request: Request) -> Response:
        """`GET /engines/_configure`: of the model that is named, or of all that have settings."""
        asked = request.query_params.get("model")
        if asked:
            models = [await self._runner.model(stored_name(asked))]
        else:
            models = await self._runner.models()
        rows = []
        for model in models:
            name = model.tags[0] if model.tags else model.id
            profile = await self._runner.profile(name)
            if asked or profile != Profile():
                config = to_configuration(profile)
                rows.append(Configured("llama.cpp", name, model.id, "completion", config))
        return json_response(rows)


def _describe(model: RunningModel) -> dict[str, Any]:
    """One row of `ps`: Docker Model Runner's keys, then what only this program knows."""
    used = model.last_used
    stamp = datetime.fromtimestamp(used, UTC).isoformat() if used is not None else _NEVER
    return {
        "backend_name": model.backend,
        "model_name": model.name,
        "mode": model.mode,
        "last_used": stamp.replace("+00:00", "Z"),
        "in_use": model.in_use > 0,
        "loading": model.state == "loading",
        "keep_alive": "-1" if model.keep_alive < 0 else f"{model.keep_alive:g}s",
        "id": model.id,
        "state": model.state,
        "requests": model.in_use,
        "context_size": model.context_size,
        "memory": model.memory,
        "gpu_layers": model.gpu_layers,
        "pid": model.pid,
        "layers": model.layers,
        "slots": model.slots,
        "planned_memory": model.planned,
        "progress": model.progress,
        "stats": model.stats,
    }
