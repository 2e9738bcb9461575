"""HTTP to a runner: one request each, failures as `DmrError`s, bodies as whole lines.

Connections are not kept: servers behind these routes (llama-server, Docker's proxy) close idle ones
without a word, and on loopback a new one costs nothing.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from dmr_tui import __version__
from dmr_tui.errors import InvalidRequestError, UnavailableError
from dmr_tui.runner.failures import failure

SECONDS = 60.0
"""How long a request that does no long work may stay without an answer."""

CONNECT_SECONDS = 5.0

_JSON = {"Content-Type": "application/json"}


class Connection:
    """Where a runner is, and how to ask it."""

    def __init__(
        self,
        base_url: str,
        *,
        verify: bool | Path = True,
        api_key: str = "",
        client: str = "",
    ) -> None:
        """Prepare to talk to `base_url` (`http://`, `https://` or `unix:///path`).

        Args:
            base_url: a path in it is put before every route.
            verify: whether to check the certificate, or the file of the authority that signed it.
            api_key: brought with every request; empty: nothing.
            client: which part of this program asks; `run` becomes the User-Agent `dmr/1.0 (run)`.
        """
        self.url = base_url.rstrip("/")
        split = urlsplit(self.url)
        unix = split.path if split.scheme == "unix" else None
        self.local = unix is not None or split.hostname in ("localhost", "127.0.0.1", "::1")
        # llama-server closes a connection after a stream without saying so, and who reuses it gets
        # an empty answer now and then.
        limits = httpx.Limits(max_keepalive_connections=0)
        checked: ssl.SSLContext | bool = False  # reading the authorities takes 30 ms
        if split.scheme == "https":
            checked = verify if isinstance(verify, bool) else _trusting(verify)
        part = f" ({client})" if client else ""
        key = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(
            base_url="http://localhost" if unix else self.url,
            transport=httpx.AsyncHTTPTransport(uds=unix, limits=limits) if unix else None,
            verify=checked,
            trust_env=not self.local,  # a proxy cannot reach this machine's own loopback
            limits=limits,
            headers={
                "User-Agent": f"dmr/{__version__}{part}",
                "Accept": "application/json",
                **key,
            },
        )

    async def close(self) -> None:
        """Release the sockets."""
        await self._client.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        timeout: float | None = SECONDS,
    ) -> bytes:
        """The body of a successful answer."""
        async with self.stream(
            method, path, body=body, params=params, headers=headers, timeout=timeout
        ) as response:
            with self._failures():
                return await response.aread()

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: AsyncIterable[bytes] | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[httpx.Response, None]:
        """A successful answer whose body is still to be read.

        Args:
            method: of the request.
            path: below the base URL.
            body: becomes JSON.
            content: what is sent as it is, instead of a `body`.
            params: of the query.
            headers: more of them.
            timeout: seconds without a byte.

        Raises:
            DmrError: nobody answers, or the answer is a failure.
        """
        request = self._client.build_request(
            method,
            path,
            content=content if body is None else msgspec.json.encode(body),
            params=params,
            headers=headers if body is None else {**_JSON, **(headers or {})},
            timeout=httpx.Timeout(
                timeout, connect=min(timeout or CONNECT_SECONDS, CONNECT_SECONDS)
            ),
        )
        with self._failures():
            response = await self._client.send(request, stream=True)
        try:
            if response.is_error:
                with self._failures():
                    text = (await response.aread()).decode("utf-8", "replace")
                raise failure(response.status_code, path, text)
            yield response
        finally:
            await response.aclose()

    async def chunks(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """The body's bytes as they come."""
        with self._failures():
            async for chunk in response.aiter_bytes():
                yield chunk

    async def lines(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """The body's lines, without their ends.

        Only a line feed ends a line: httpx's own splitter would break JSON text at U+2028.
        """
        rest = b""
        with self._failures():
            async for chunk in response.aiter_bytes():
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield line.rstrip(b"\r")
        if rest:
            yield rest

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise UnavailableError(f"no runner answers at {self.url}", _way_out()) from error
        except httpx.TimeoutException as error:
            raise UnavailableError(f"the runner at {self.url} does not answer in time") from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise UnavailableError(
                f"the connection to the runner at {self.url} broke off: {error}"
            ) from error


def _way_out() -> str:
    """What helps when nobody answers: a runner that was named may be on another machine."""
    if os.environ.get("MODEL_RUNNER_HOST"):
        return "MODEL_RUNNER_HOST names it: start it there, or unset that to use this machine"
    return "start one: dmr serve"


def _trusting(authority: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(authority))
    except OSError as error:
        raise InvalidRequestError(f"cannot read the certificate {authority}: {error}") from error
