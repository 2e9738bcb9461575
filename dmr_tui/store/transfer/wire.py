"""HTTP for transfers: one client with time limits, retries, and a cancel that is heard at once.

Redirects and authentication are not followed here: `registry` decides where a secret may go.
The synchronous client costs half the processor time of the asynchronous one per byte, so
transfers run in threads.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import urllib.request
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPResponse, responses
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx
import msgspec
from msgspec import Struct

from dmr_tui import __version__
from dmr_tui.errors import RegistryError
from dmr_tui.store.transfer.connect import Patient
from dmr_tui.store.transfer.direct import Broken, Direct
from dmr_tui.store.transfer.grip import Grip, break_off, limit_queue
from dmr_tui.store.transfer.retry import Persistence, TransientError, UnreachableError

Body = bytes | Callable[[], Iterator[bytes]] | None
"""What a request carries; a callable is called anew for each attempt."""

TEMPORARY = frozenset({429, 500, 502, 503, 504})
"""Statuses that the same request may not get again."""

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding JSON of strangers may raise."""

_HEADERS = {"User-Agent": f"dmr/{__version__}", "Accept-Encoding": "identity"}
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
# Seconds; a registry answers the end of an upload only when its own storage has taken the blob.
_UPLOAD_TIMEOUT = httpx.Timeout(30.0, connect=10.0, read=600.0)
_HEARING = 0.1  # seconds until a cancel reaches a connection that is silent
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_CERTIFICATE = "for a company's own certificate set SSL_CERT_FILE"
_NETWORK = "check the network, and the registry's name"
_SMALL = 64 << 10  # bytes that are read and thrown away rather than losing the connection


class _Problem(Struct):
    code: str = ""
    message: str = ""


class _Problems(Struct):
    """A registry's error body (OCI distribution spec, "Error codes")."""

    errors: list[_Problem] = []


@dataclass(frozen=True)
class Part:
    """An answer with bytes of a blob.

    Attributes:
        host: who sent it.
        status: 200 or 206.
        told: the header `Content-Range`.
        length: bytes that come; None when it does not say.
        chunks: the bytes; raises `TransientError` when they break off.
    """

    host: str
    status: int
    told: str
    length: int | None
    chunks: Iterator[bytes]


class Wire:
    """A session of requests that ends with its `with` block, or when it is cancelled."""

    def __init__(self, persistence: Persistence) -> None:
        self.persistence = persistence
        self._answered: set[bytes] = set()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._guard = threading.Lock()
        self._closed = threading.Event()
        trusted = httpx.create_ssl_context()
        trusted.load_default_certs()  # those of the system too: a company's own authority
        self._direct = Direct(trusted, self._watch)
        self._client = httpx.Client(
            headers=_HEADERS,
            timeout=_TIMEOUT,
            verify=trusted,
            mounts=self._mounts(Patient(trusted, persistence.check)),
        )

    def __enter__(self) -> Wire:
        threading.Thread(target=self._hear, name="transfer-cancel", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        self._client.close()
        self._direct.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        retry: bool = True,
    ) -> httpx.Response:
        """Send a request and return the answer's head; the caller reads and closes the rest.

        With `retry`, what is transient is tried again, but for a host that has not answered
        once: its name is wrong, or there is no network.

        Raises:
            TransientError: there was no answer, or one of a `TEMPORARY` status.
            RegistryError: the address cannot be used.
            StoppedError: the transfer was cancelled.
        """
        attempts = self.persistence.begin()
        while True:
            self.persistence.check()
            try:
                return self._once(method, url, headers, body)
            except TransientError as error:
                if not retry or httpx.URL(url).netloc not in self._answered:
                    raise
                attempts.failed(error)

    def chunks(self, response: httpx.Response) -> Iterator[bytes]:
        """The answer's body as it comes, undecoded.

        Raises:
            TransientError: it broke off.
            StoppedError: the transfer was cancelled.
        """
        try:
            for chunk in response.iter_raw():
                self.persistence.check()
                yield chunk
        except httpx.TransportError as error:
            self.persistence.check()
            raise TransientError(f"{host_of(response)}: {_reason(error)}") from error

    @contextmanager
    def part(self, url: str, headers: Mapping[str, str], grip: Grip) -> Iterator[Part | None]:
        """A part of a blob, where it is known to be; None: `send` must ask for it.

        Args:
            url: where it is, without any redirect.
            headers: what else to send, e.g. the range.
            grip: holds the connection meanwhile.
        """
        self.persistence.check()
        with self._direct.get(url, {**_HEADERS, **headers}, grip) as response:
            if response is None:
                yield None
            else:
                told = response.getheader("Content-Range", "")
                host = urlsplit(url).netloc
                chunks = self._direct_chunks(response, host)
                yield Part(host, response.status, told, response.length, chunks)

    def as_part(self, response: httpx.Response, grip: Grip) -> Part:
        """The same of an answer to `send`."""
        grip.take(response.extensions["network_stream"].get_extra_info("socket"))
        told = response.headers.get("Content-Range", "")
        length = response.headers.get("Content-Length", "")
        return Part(
            host_of(response),
            response.status_code,
            told,
            int(length) if length.isdecimal() else None,
            self.chunks(response),
        )

    def _direct_chunks(self, response: HTTPResponse, host: str) -> Iterator[bytes]:
        try:
            for chunk in self._direct.chunks(response):
                self.persistence.check()
                yield chunk
        except Broken as error:
            self.persistence.check()
            raise TransientError(f"{host}: {error}") from error

    def read(self, response: httpx.Response, limit: int) -> bytes:
        """The whole body of an answer that must be small.

        Raises:
            RegistryError: it has more than `limit` bytes.
        """
        data = bytearray()
        for chunk in self.chunks(response):
            data += chunk
            if len(data) > limit:
                raise RegistryError(
                    f"{host_of(response)} sent more than {limit} bytes where few were due"
                )
        return bytes(data)

    def problem(self, response: httpx.Response) -> str:
        """What an error's answer says about itself, in one line; closes it."""
        status = response.status_code
        line = f"{host_of(response)} answered {status} {responses.get(status, '')}".rstrip()
        try:
            problems = msgspec.json.decode(self.read(response, _SMALL), type=_Problems)
        except (RegistryError, *MALFORMED):
            return line  # an error page of some proxy tells nothing
        finally:
            response.close()
        said = "; ".join(f"{p.code} {p.message}".strip() for p in problems.errors)
        clean = "".join(c if c.isprintable() else " " for c in said)[:300]
        return f"{line}: {clean}" if clean else line

    def discard(self, response: httpx.Response) -> None:
        """Close an answer, keeping its connection when the rest of the body is small."""
        with suppress(RegistryError):  # only the connection is lost
            self.read(response, _SMALL)
        response.close()

    def hang_up(self) -> None:
        """End all connections: what is read from them raises `TransientError`."""
        with self._guard:
            connections = list(self._sockets)
        for connection in connections:
            break_off(connection)

    def _once(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: Body
    ) -> httpx.Response:
        try:
            request = self._client.build_request(
                method,
                url,
                headers=dict(headers or {}),
                content=body() if callable(body) else body,
                timeout=_UPLOAD_TIMEOUT if callable(body) else _TIMEOUT,
                extensions={"trace": self._trace},
            )
        except httpx.InvalidURL as error:
            raise RegistryError(f"{url!r} is no address: {error}") from error
        try:
            response = self._client.send(request, stream=True)
        except httpx.TransportError as error:
            self.persistence.check()
            reason = f"{_host(request.url)}: {_reason(error)}"
            if request.url.netloc in self._answered:
                raise TransientError(reason) from error
            bad = _is_untrusted(error)
            hint = _CERTIFICATE if bad else _NETWORK
            raise UnreachableError(f"cannot reach {reason}", hint, untrusted=bad) from error
        if response.status_code == 400 and request.url.netloc not in self._answered:
            response = self._recognized(response)
        self._answered.add(request.url.netloc)
        if response.status_code in TEMPORARY:
            after = response.headers.get("Retry-After", "") or _reset(response)
            raise TransientError(
                self.problem(response), retry_after=after, status=response.status_code
            )
        return response

    def _recognized(self, response: httpx.Response) -> httpx.Response:
        """A server's first answer, unless it says that it speaks TLS and was asked in plain."""
        data = self.read(response, _SMALL)
        response.close()
        if response.url.scheme == "http" and b"HTTPS" in data:
            raise UnreachableError(f"cannot reach {host_of(response)}: it speaks HTTPS", _NETWORK)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            content=data,
            request=response.request,
            extensions=response.extensions,
        )

    @staticmethod
    def _mounts(patient: Patient) -> dict[str, httpx.BaseTransport | None]:
        """How to reach what: this machine never through a proxy, all else as the environment says.

        Not as the client's one transport: httpx then heeds no proxy at all.
        """
        mounts: dict[str, httpx.BaseTransport | None] = {f"all://{h}": patient for h in _LOOPBACK}
        if "all" not in urllib.request.getproxies():
            mounts["all://"] = patient
        return mounts

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Keep hold of each new connection's socket, so that a cancel can reach it."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._watch(info["return_value"].get_extra_info("socket"))

    def _watch(self, connection: socket.socket) -> None:
        limit_queue(connection)
        with self._guard:
            self._sockets.add(connection)

    def _hear(self) -> None:
        """Wait for a cancel, then end all connections: a blocked read wakes only by that."""
        while not self._closed.is_set():
            if not self.persistence.cancelled.wait(_HEARING):
                continue
            self.hang_up()
            self._closed.wait(_HEARING)  # one that was just being made is ended in the next round


def split_url(url: str, base: str = "") -> SplitResult:
    """The parts of an address that a stranger may have sent.

    Args:
        url: the address, or one relative to `base`.
        base: where it was found.

    Raises:
        RegistryError: it is none, or not one of the web.
    """
    try:
        parts = urlsplit(urljoin(base, url))
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass  # a port that is no number, brackets that do not close
    raise RegistryError(f"{url!r} is no address of the web")


def host_of(response: httpx.Response) -> str:
    """Who sent an answer, with the port if it is an unusual one."""
    return _host(response.url)


def _host(url: httpx.URL) -> str:
    return url.netloc.decode("ascii")


def _reset(response: httpx.Response) -> str:
    """Seconds until a limit ends, as the draft of `RateLimit` headers tells them."""
    found = re.search(r"(?:^|;)\s*t=(\d+)", response.headers.get("RateLimit", ""))
    return found[1] if found else ""


def _reason(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpx.TimeoutException):
        return "not one byte came for too long"
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def _is_untrusted(error: httpx.TransportError) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
