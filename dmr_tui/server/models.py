"""Docker Model Runner's own routes for models: `/models…`."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Literal

from msgspec import Struct, field, json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dmr_tui.errors import DmrError, InvalidRequestError
from dmr_tui.runner.base import Model, Runner
from dmr_tui.server.body import decode, json_response, read_body
from dmr_tui.server.errors import RouteError
from dmr_tui.server.exchange import StreamedResponse
from dmr_tui.store.transfer.progress import LayerProgress, TransferProgress


class CreateBody(Struct, frozen=True):
    """The body of `POST /models/create`."""

    reference: str = field(name="from")
    token: str | None = field(default=None, name="bearer-token")


class PushBody(Struct, frozen=True):
    """The body of `POST /models/{name}/push`, where there is one."""

    token: str | None = field(default=None, name="bearer-token")


class RepackageBody(Struct, frozen=True):
    """The body of `POST /models/{name}/repackage`."""

    target: str = ""
    context_size: int | None = None


class ErrorLine(Struct, frozen=True):
    """A progress line of type `error`, with the failure's code and hint for our own clients."""

    message: str
    code: str
    hint: str
    mode: Literal["pull", "push"]
    type: str = "error"
    total: int = 0
    layer: LayerProgress = LayerProgress()


class Models:
    """The handlers; all state is the runner's."""

    def __init__(self, runner: Runner, closing: asyncio.Event) -> None:
        """Answer from `runner` until `closing` is set."""
        self._runner = runner
        self._closing = closing

    def routes(self) -> list[Route]:
        """Every path, in the order in which they must be tried."""
        return [
            Route("/models", self.all),
            Route("/models/create", self.create, methods=["POST"]),
            Route("/models/load", self.load, methods=["POST"]),
            Route("/models/purge", self.purge, methods=["DELETE"]),
            Route("/models/{name:path}/export", self.export),
            Route("/models/{name:path}/repackage", self.repackage, methods=["POST"]),
            Route("/models/{name:path}/tag", self.tag, methods=["POST"]),
            Route("/models/{name:path}/push", self.push, methods=["POST"]),
            Route("/models/{name:path}/manifest", self.manifest),
            Route("/models/{name:path}/{action}", self.unknown_action, methods=["POST"]),
            Route("/models/{name:path}", self.one),
            Route("/models/{name:path}", self.remove, methods=["DELETE"]),
        ]

    async def all(self, request: Request) -> Response:
        """`GET /models`."""
        return json_response(await self._runner.models())

    async def one(self, request: Request) -> Response:
        """`GET /models/{name}?remote=BOOL`: of the store, or as it is published."""
        name: str = request.path_params["name"]
        if _flag(request, "remote"):
            found = await self._runner.look(name)
            return json_response(Model(found.id, found.created, found.config))
        return json_response(await self._runner.model(name))

    async def manifest(self, request: Request) -> Response:
        """`GET /models/{name}/manifest`: the OCI manifest; not in Docker's server."""
        return json_response(await self._runner.manifest(request.path_params["name"]))

    async def remove(self, request: Request) -> Response:
        """`DELETE /models/{name}?force=BOOL`."""
        name = request.path_params["name"]
        return json_response(await self._runner.remove(name, force=_flag(request, "force")))

    async def load(self, request: Request) -> Response:
        """`POST /models/load`: a tar, as `export` writes it, becomes a model without a name."""
        async with aclosing(request.stream()) as chunks:
            model = await self._runner.load_archive(chunks)
        line = TransferProgress("success", "Model loaded successfully", layer=LayerProgress(model))
        return Response(_line(line), media_type="application/json")

    async def export(self, request: Request) -> Response:
        """`GET /models/{name}/export`: the model as a tar."""
        name: str = request.path_params["name"]
        file = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
        # An archive that breaks off has no manifest, which is its last member, and no reader
        # takes it for a whole one.
        return StreamedResponse(
            self._runner.export(name),
            lambda error: b"",
            self._closing,
            media_type="application/x-tar",
            headers={"Content-Disposition": f'attachment; filename="{file}.tar"'},
        )

    async def repackage(self, request: Request) -> Response:
        """`POST /models/{name}/repackage`: the same files as another model."""
        body = decode(await read_body(request), RepackageBody)
        if not body.target.strip():
            raise InvalidRequestError("target is required", param="target")
        source: str = request.path_params["name"]
        target = await self._runner.repackage(source, body.target, context_size=body.context_size)
        message = f'Model repackaged successfully as "{body.target}"'
        return json_response({"message": message, "source": source, "target": target}, 201)

    async def purge(self, request: Request) -> Response:
        """`DELETE /models/purge?force=BOOL`: all models."""
        await self._runner.purge(force=_flag(request, "force"))
        return Response()

    async def tag(self, request: Request) -> Response:
        """`POST /models/{name}/tag?repo=REPOSITORY&tag=TAG`."""
        repository, tag = (request.query_params.get(key, "") for key in ("repo", "tag"))
        if not repository or not tag:
            raise InvalidRequestError("missing repo or tag query parameter")
        target = await self._runner.tag(request.path_params["name"], f"{repository}:{tag}")
        message = f'Model tagged successfully with "{repository}:{tag}"'
        return json_response({"message": message, "target": target}, 201)

    async def create(self, request: Request) -> Response:
        """`POST /models/create`: pull; the answer is a stream of progress lines."""
        body = decode(await read_body(request), CreateBody)
        if not body.reference.strip():
            raise InvalidRequestError("from: the model's name is required", param="from")
        lines = self._runner.pull(body.reference, token=body.token or "")
        return self._transfer(request, lines, "pull")

    async def push(self, request: Request) -> Response:
        """`POST /models/{name}/push`: the answer is a stream of progress lines."""
        raw = await read_body(request)
        body = decode(raw, PushBody) if raw else PushBody()
        lines = self._runner.push(request.path_params["name"], token=body.token or "")
        return self._transfer(request, lines, "push")

    async def unknown_action(self, request: Request) -> Response:
        """`POST /models/{name}/<anything else>`."""
        raise RouteError(404, f'unknown action "{request.path_params["action"]}"')

    def _transfer(
        self,
        request: Request,
        progress: AsyncGenerator[TransferProgress, None],
        mode: Literal["pull", "push"],
    ) -> Response:
        plain = request.headers.get("accept") != "application/json"
        write = _escaped_line if plain else _line

        def failure(error: DmrError) -> bytes:
            return write(ErrorLine(error.message, error.code, error.hint or "", mode))

        return StreamedResponse(
            _lines(progress, write),
            failure,
            self._closing,
            media_type="text/plain" if plain else "application/json",
            headers={"Cache-Control": "no-cache"},
        )


async def _lines(
    progress: AsyncGenerator[TransferProgress, None], write: Callable[[Any], bytes]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(progress):
        async for step in progress:
            yield write(step)


def _line(step: Any) -> bytes:
    return json.encode(step) + b"\n"


def _escaped_line(step: Any) -> bytes:
    """The line as Go's `html.EscapeString` writes it: what Docker's clients without JSON read."""
    text = html.escape(json.encode(step).decode(), quote=False)
    return text.replace('"', "&#34;").replace("'", "&#39;").encode() + b"\n"


def _flag(request: Request, name: str) -> bool:
    """A query parameter as Go's `strconv.ParseBool` reads it; one without a value is true."""
    value = request.query_params.get(name)
    return value is not None and value in ("", "1", "t", "T", "true", "TRUE", "True")
