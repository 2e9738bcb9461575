"""One `Runner` as an HTTP application."""

from __future__ import annotations

import asyncio
import re

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dmr_tui import __version__
from dmr_tui.errors import DmrError
from dmr_tui.runner.base import Runner
from dmr_tui.server import errors
from dmr_tui.server.activity import Activities
from dmr_tui.server.body import json_response
from dmr_tui.server.engines import Engines
from dmr_tui.server.llama_server import LlamaServer
from dmr_tui.server.metrics import Metrics
from dmr_tui.server.models import Models
from dmr_tui.server.openai import OpenAI
from dmr_tui.server.pooling import Pooling
from dmr_tui.server.recording import Recording
from dmr_tui.server.security import Guard
from dmr_tui.settings import Settings


def create_app(
    runner: Runner,
    settings: Settings,
    *,
    host: str | None = None,
    api_key: str | None = None,
    instance: str = "",
    closing: asyncio.Event | None = None,
) -> Starlette:
    """The application that answers from `runner`.

    Args:
        runner: where the models are; stays the caller's to close.
        settings: allowed origins, and the address when `host` says nothing.
        host: the address that the listener is bound to; empty for a Unix socket.
        api_key: what clients must bring; empty: nothing; by default as in the settings.
        instance: what `GET /version` tells, so that a client knows whom it has found.
        closing: once set, every open request ends with an error.
    """
    closing = closing or asyncio.Event()

    async def root(request: Request) -> Response:
        return PlainTextResponse("Docker Model Runner is running")

    async def version(request: Request) -> Response:
        return json_response({"version": __version__, "instance": instance})

    routes = [
        Route("/", root),
        Route("/version", version),
        *Models(runner, closing).routes(),
        *Engines(runner, closing).routes(),
        *Activities(runner, closing).routes(),
        *OpenAI(runner, closing).routes(),
        *Pooling(runner, closing).routes(),
        *LlamaServer(runner, closing).routes(),
        *Metrics(runner).routes(),
    ]
    listener = settings.host if host is None else host
    key = settings.api_key if api_key is None else api_key
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Recording, runner=runner),
            Middleware(Guard, host=listener, origins=settings.origins, api_key=key),
            Middleware(CleanPath),
            Middleware(Crashes),
        ],
        exception_handlers={
            DmrError: errors.on_dmr_error,
            HTTPException: errors.on_http_exception,
            ClientDisconnect: errors.on_disconnect,
            Exception: errors.on_crash,
        },
    )
    app.router.redirect_slashes = False
    return app


class CleanPath:
    """ASGI middleware: reads `//` as `/` and takes no notice of a slash at the end."""

    def __init__(self, app: ASGIApp) -> None:
        """Clean the paths that `app` sees."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on (ASGI)."""
        if scope["type"] == "http":
            path = re.sub("/{2,}", "/", scope["path"])
            scope = {**scope, "path": path.rstrip("/") or "/"}
        await self._app(scope, receive, send)


class Crashes:
    """ASGI middleware: answers for a defect of this program.

    Starlette's own handler stands outside of all middleware: web pages could not read its answer,
    and the record of the request would have no reason.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Answer where `app` fails."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on (ASGI)."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if scope["type"] == "http" and not begun:
                answer = await errors.on_crash(Request(scope), error)
                await answer(scope, receive, send)
            raise  # so that the server logs it
