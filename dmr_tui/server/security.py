"""Which web pages may talk to the endpoint, and under which names it is reached.

Any page that a person visits can send requests to this machine. Two checks keep foreign ones out:
the `Origin` header that browsers add, and on a loopback listener the `Host` header, which betrays a
page whose own domain name was pointed at 127.0.0.1 (DNS rebinding). A third one asks for a key,
where the person who runs the endpoint has set one.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dmr_tui.errors import UnauthorizedError
from dmr_tui.server.errors import OriginError, render
from dmr_tui.server.prefixes import HEALTH_PATHS

_LOCAL_ORIGINS = tuple(
    f"{scheme}://{host}:*"
    for scheme in ("http", "https")
    for host in ("localhost", "127.0.0.1", "[::1]", "0.0.0.0")
)
_LOCAL_NAMES = {"localhost", "host.docker.internal", "model-runner.docker.internal"}
_PROBED = {"", *HEALTH_PATHS}
"""Paths that tell no more than that somebody answers: those who watch over it have no key."""

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[^:]*)(?::\d+)?")


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to a listener on `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware: refuses foreign origins, foreign names, missing keys; answers preflights."""

    def __init__(self, app: ASGIApp, *, host: str, origins: str, api_key: str = "") -> None:
        """Guard `app`.

        Args:
            app: what to guard.
            host: the address that the listener is bound to; empty for a Unix socket.
            origins: comma-separated origins to allow besides this machine's own; a port may be
                `*`, and the single word `*` allows every origin.
            api_key: what every request but a probe's must bring, as OpenAI's clients
                (`Authorization: Bearer`) or as Anthropic's (`X-API-Key`); empty: nothing.
        """
        self._app = app
        self._api_key = api_key.encode()
        self._host = host
        named = [origin.strip().rstrip("/").lower() for origin in origins.split(",")]
        self._allowed = _compile([*_LOCAL_ORIGINS, *filter(None, named)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers)
        if refusal is not None:
            await render(HTTPConnection(scope), refusal)(scope, receive, send)
            return
        origin = headers.get("origin")
        if origin is not None:
            if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
                # Browsers ask without the key whether they may send it.
                await _preflight(headers)(scope, receive, send)
                return
            send = _marking(send, origin)
        if not self._lets_in(headers) and not _is_probe(scope):
            missing = UnauthorizedError(
                "this endpoint asks for an API key, and this is not it",
                "send it as Authorization: Bearer KEY; for dmr: DMR_API_KEY=KEY",
            )
            challenge = {"WWW-Authenticate": "Bearer"}
            await render(HTTPConnection(scope), missing, challenge)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _lets_in(self, headers: Headers) -> bool:
        if not self._api_key:
            return True
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        key = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        return hmac.compare_digest(key.encode(), self._api_key)

    def _refusal(self, headers: Headers) -> OriginError | None:
        host, origin = headers.get("host"), headers.get("origin")
        if host is not None and not self._knows(host):
            return OriginError(
                f"this endpoint does not answer to the name {host!r}",
                "use localhost, or choose the name with --host",
            )
        if origin is not None and not self._allowed.fullmatch(origin.lower()):
            return OriginError("Origin not allowed", f"allow it: DMR_ORIGINS={origin}")
        return None

    def _knows(self, header: str) -> bool:
        if not is_loopback(self._host):
            return True
        found = _HOST.fullmatch(header)
        name = found["name"].lower() if found else ""
        return name in _LOCAL_NAMES or name == self._host.lower() or is_loopback(name)


def _is_probe(scope: Scope) -> bool:
    return scope["method"] in ("GET", "HEAD") and scope["path"].rstrip("/") in _PROBED


def _compile(origins: Iterable[str]) -> re.Pattern[str]:
    patterns = []
    for origin in origins:
        if origin == "*":
            patterns.append(".*")
        elif origin.endswith(":*"):
            patterns.append(re.escape(origin.removesuffix(":*")) + r"(:\d+)?")
        else:
            patterns.append(re.escape(origin))
    return re.compile("|".join(patterns))


def _preflight(headers: Headers) -> Response:
    answer = {
        "Access-Control-Allow-Origin": headers["origin"],
        "Access-Control-Allow-Methods": "GET, POST, DELETE",
        # Named one by one: `*` would not cover `Authorization`, which OpenAI's clients send.
        "Access-Control-Allow-Headers": headers.get("access-control-request-headers", "*"),
        "Access-Control-Max-Age": "600",
        "Vary": "Origin",
    }
    if headers.get("access-control-request-private-network") == "true":
        answer["Access-Control-Allow-Private-Network"] = "true"
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=answer)


def _marking(send: Send, origin: str) -> Send:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Access-Control-Allow-Origin"] = origin
            headers.add_vary_header("Origin")
        await send(message)

    return marked
