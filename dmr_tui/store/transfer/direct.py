"""The many bytes of blobs, at half the processor time that httpx takes for them.

A body read by `http.client` goes from the socket to the caller in one copy. Only requests whose
answer is a plain part of a blob are made here: whatever needs a proxy, a login or a second thought
is left to `wire`, which is asked when there is no answer from here.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from dmr_tui.store.transfer.grip import Grip

_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 120 << 10  # bytes read at once; larger ones would be mapped and unmapped each time
_PLAIN = {200, 206}

_Key = tuple[str, str]


class Broken(Exception):
    """The connection ended before its answer did; says why."""


class Direct:
    """Kept-alive connections to content servers; for many threads."""

    def __init__(self, trusted: ssl.SSLContext, watch: Callable[[socket.socket], None]) -> None:
        """Nothing is connected yet.

        Args:
            trusted: whose certificates are believed.
            watch: is given each new connection's socket, to end it when the transfer is cancelled.
        """
        self._trusted = trusted
        self._watch = watch
        self._idle: dict[_Key, list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """End all connections that are idle."""
        with self._lock:
            for connections in self._idle.values():
                for connection in connections:
                    connection.close()
            self._idle.clear()

    @contextmanager
    def get(
        self, url: str, headers: Mapping[str, str], grip: Grip
    ) -> Iterator[http.client.HTTPResponse | None]:
        """Ask for a part of a blob.

        Args:
            url: where it is.
            headers: of the request.
            grip: holds the connection as long as the block lasts.

        Yields:
            The answer's head, for `chunks`; None when it is anything but a plain 200 or 206, or
            the server is behind a proxy: ask by other means.
        """
        parts = urlsplit(url)
        if urllib.request.getproxies() and _needs_proxy(parts.scheme, parts.hostname or ""):
            yield None
            return
        key = (parts.scheme, parts.netloc)
        connection, response = self._ask(key, url, headers, grip)
        plain = response is not None and response.status in _PLAIN and response.length is not None
        try:
            yield response if plain else None
        finally:
            grip.let_go()
            if response is not None and plain and response.isclosed() and connection.sock:
                with self._lock:
                    self._idle.setdefault(key, []).append(connection)
            else:
                connection.close()

    def chunks(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        """The bytes of an answer as they come.

        Raises:
            Broken: they ended too early.
        """
        left = response.length or 0
        while left:
            try:
                chunk = response.read1(min(_CHUNK, left))
            except (OSError, http.client.HTTPException) as error:
                timed_out = isinstance(error, TimeoutError)
                reason = "not one byte came for too long" if timed_out else str(error)
                raise Broken(reason) from error
            if not chunk:
                raise Broken(f"the connection ended {left} bytes too early")
            left -= len(chunk)
            yield chunk

    def _ask(
        self, key: _Key, url: str, headers: Mapping[str, str], grip: Grip
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse | None]:
        """Send the request, anew if an idle connection has ended meanwhile."""
        parts = urlsplit(url)
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        while True:
            with self._lock:
                idle = self._idle.get(key)
                kept = idle.pop() if idle else None
            connection = kept or self._connection(key)
            try:
                if kept is None:
                    connection.connect()
                    self._watch(connection.sock)
                grip.take(connection.sock)
                connection.request("GET", target, headers=dict(headers))
                return connection, connection.getresponse()
            except (OSError, http.client.HTTPException):
                grip.let_go()
                connection.close()
                if kept is None:
                    return connection, None

    def _connection(self, key: _Key) -> http.client.HTTPConnection:
        scheme, host = key
        if scheme == "https":
            return http.client.HTTPSConnection(host, timeout=_TIMEOUT, context=self._trusted)
        return http.client.HTTPConnection(host, timeout=_TIMEOUT)


def _needs_proxy(scheme: str, host: str) -> bool:
    proxies = urllib.request.getproxies()
    named = scheme in proxies or "all" in proxies
    return named and not urllib.request.proxy_bypass(host)
