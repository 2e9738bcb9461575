"""The HTTP endpoint: one application, listening inside the loop that already runs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import secrets
import socket as sockets
from collections.abc import Generator
from pathlib import Path
from typing import Any

import uvicorn

from dmr_tui.errors import DmrError, InvalidRequestError, UnavailableError
from dmr_tui.paths import Paths
from dmr_tui.runner import contexts
from dmr_tui.runner.base import Runner
from dmr_tui.server.app import create_app
from dmr_tui.settings import Settings

GRACE = 1.0
"""Seconds that open requests have to end by themselves when the endpoint stops."""

LAST_WORDS = 2.0
"""Seconds that they then have to take their error."""

# Otherwise Python writes uvicorn's warnings to stderr, over a full-screen program.
logging.getLogger("uvicorn").addHandler(logging.NullHandler())


class Endpoint:
    """A `Runner` that other programs reach over HTTP, from `start` to `stop`.

    While it runs, this user's other commands find it by the file `Paths.endpoint`. It starts and
    stops no models: the runner stays the caller's.
    """

    def __init__(
        self,
        runner: Runner,
        settings: Settings,
        *,
        host: str | None = None,
        port: int | None = None,
        socket: Path | None = None,
        api_key: str | None = None,
        paths: Paths | None = None,
    ) -> None:
        """Prepare an endpoint; nothing listens yet.

        Args:
            runner: where the models are.
            settings: the address and the key where `host`, `port` and `api_key` say nothing, and
                the allowed origins.
            host: address or name to listen on.
            port: TCP port; 0 takes a free one.
            socket: path of a Unix socket to listen on instead of TCP.
            api_key: what clients must bring; empty: nothing.
            paths: where the endpoint announces itself; the user's own by default.
        """
        self._host = settings.host if host is None else host
        self._port = settings.port if port is None else port
        self._socket = socket
        self._api_key = settings.api_key if api_key is None else api_key
        self._paths = paths or Paths.default()
        self._instance = secrets.token_hex(8)
        self._closing = asyncio.Event()
        app = create_app(
            runner,
            settings,
            host=self._host if socket is None else "",
            api_key=self._api_key,
            instance=self._instance,
            closing=self._closing,
        )
        self._server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=60,
            )
        )
        self._serving: asyncio.Task[None] | None = None
        self.url = ""
        """Base URL for clients, `http://…` or `unix://…`; empty while nothing listens."""

    async def start(self) -> None:
        """Listen, and say so in `Paths.endpoint`.

        Raises:
            InvalidRequestError: the host is no address and no name.
            UnavailableError: the port or the socket is taken, or the address is not this machine's.
            StoreError: the announcement cannot be written.
        """
        listener = self._listen_unix() if self._socket else self._listen_tcp()
        self._serving = asyncio.create_task(self._server.serve([listener]), name="endpoint")
        while not self._server.started:
            if self._serving.done():
                await self._serving
            await asyncio.sleep(0)
        self.url = self._address(listener)
        try:
            await asyncio.to_thread(
                contexts.announce, self._paths, self.url, self._instance, self._api_key
            )
        except DmrError:
            await self.stop(grace=0)
            raise

    async def stop(self, grace: float = GRACE) -> None:
        """Stop listening and end the open requests: by themselves, else with an error.

        Args:
            grace: seconds that they have to end by themselves.
        """
        if self._serving is None:
            return
        await asyncio.to_thread(contexts.withdraw, self._paths, self._instance)
        self._server.should_exit = True
        await asyncio.wait({self._serving}, timeout=grace)
        self._closing.set()
        await asyncio.wait({self._serving}, timeout=LAST_WORDS)
        self._server.abort()
        await self._serving
        self._serving = None
        self.url = ""
        if self._socket:
            self._socket.unlink(missing_ok=True)

    async def wait(self) -> None:
        """Until the endpoint has stopped."""
        if self._serving is not None:
            await asyncio.wait({self._serving})

    def _listen_tcp(self) -> sockets.socket:
        try:
            found = sockets.getaddrinfo(
                self._host or None, self._port, type=sockets.SOCK_STREAM, flags=sockets.AI_PASSIVE
            )
        except (sockets.gaierror, UnicodeError) as error:
            raise InvalidRequestError(f"cannot listen on {self._host!r}: {error}") from error
        # IPv4 first: most clients take 127.0.0.1 for localhost.
        family, kind, protocol, _, address = min(found, key=lambda each: each[0] != sockets.AF_INET)
        listener = sockets.socket(family, kind, protocol)
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        return _bound(listener, address, f"port {self._port} of {self._host}")

    def _listen_unix(self) -> sockets.socket:
        assert self._socket is not None
        path = str(self._socket)
        listener = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
            if self._socket.is_socket() and probe.connect_ex(path) == errno.ECONNREFUSED:
                self._socket.unlink()  # left behind by a process that was killed
        return _bound(listener, path, f"socket {path}")

    def _address(self, listener: sockets.socket) -> str:
        if self._socket:
            return f"unix://{self._socket.absolute()}"
        port = listener.getsockname()[1]
        host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bound(listener: sockets.socket, address: Any, name: str) -> sockets.socket:
    try:
        if listener.family == sockets.AF_UNIX:
            Path(address).parent.mkdir(parents=True, exist_ok=True)
        listener.bind(address)
        if listener.family == sockets.AF_UNIX:
            os.chmod(address, 0o600)  # before anybody can connect
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UnavailableError(
                f"{name} is in use",
                "`dmr status` tells whether a runner answers there; --port N takes another port",
            ) from error
        raise UnavailableError(f"cannot listen on {name}: {error.strerror or error}") from error
    return listener


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: who owns the process decides when it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    def abort(self) -> None:
        """Cut the connections of clients that do not even take an error."""
        self.force_exit = True
        for connection in list(self.server_state.connections):
            connection.transport.abort()
