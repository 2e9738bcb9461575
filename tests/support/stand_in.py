"""A small registry on a real loopback socket that can be told to misbehave.

It serves what a test puts into it, keeps what is pushed, and remembers every request. A fault is a
function that is given the request instead of the normal answer, once.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, TypeVar
from urllib.parse import unquote

GGUF = "application/vnd.docker.ai.gguf.v3"
LICENSE = "application/vnd.docker.ai.license"
CONFIG = "application/vnd.docker.ai.model.config.v0.1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"

_UPLOAD = "/v2/ai/tiny/blobs/uploads/"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def descriptor(media_type: str, data: bytes, **changes: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(data), "digest": digest_of(data), **changes}


@dataclass
class Request:
    """One request, and the means to answer it."""

    method: str
    path: str
    headers: dict[str, str]
    handler: BaseHTTPRequestHandler
    body: bytes = b""
    sent: int = 0
    """Bytes of the answer's body."""

    @property
    def start(self) -> int:
        """Where the range begins that was asked for."""
        found = re.fullmatch(r"bytes=(\d+)-\d*", self.headers.get("range", ""))
        return int(found[1]) if found else 0

    @property
    def stop(self) -> int | None:
        """Where it ends; None: with the blob."""
        found = re.fullmatch(r"bytes=\d+-(\d+)", self.headers.get("range", ""))
        return int(found[1]) + 1 if found else None

    def part(self, data: bytes) -> bytes:
        """What of a blob was asked for."""
        return data[self.start : self.stop]

    def begin(self, data: bytes) -> bytes:
        """Send the head of an answer with what was asked for of a blob; returns that part."""
        part = self.part(data)
        if "range" in self.headers:
            span = f"bytes {self.start}-{self.start + len(part) - 1}/{len(data)}"
            self.head(206, len(part), Content_Range=span)
        else:
            self.head(200, len(part))
        return part

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer; header names are written with underscores."""
        self.head(status, len(body), **headers)
        if self.method != "HEAD":
            self.write(body)

    def head(self, status: int, length: int, **headers: str) -> None:
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.send_header("Content-Length", str(length))
        self.handler.end_headers()

    def write(self, data: bytes) -> None:
        self.handler.wfile.write(data)
        self.handler.wfile.flush()
        self.sent += len(data)

    def hang_up(self) -> None:
        self.handler.close_connection = True


Fault = Callable[[Request], None]


@dataclass
class StandIn:
    """What the server holds, does wrong, and has seen."""

    host: str = ""
    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    elsewhere: dict[str, bytes] = field(default_factory=dict)
    """Blobs of other repositories, to be mounted."""
    upload: bytes = b""
    """What has arrived of the one upload."""
    seen: list[Request] = field(default_factory=list)
    faults: list[tuple[re.Pattern[str], Fault]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The reference of the one model."""
        return f"{self.host}/ai/tiny:latest"

    def model(self, *layers: bytes, tag: str = "latest", **changes: Any) -> dict[str, Any]:
        """Put a model in; the first layer is the weights. Returns its manifest."""
        config = json.dumps(
            {
                "config": {"format": "gguf", "size": f"{len(layers[0])}B"},
                "descriptor": {"created": "2025-01-02T03:04:05Z"},
                "rootfs": {"type": "rootfs", "diff_ids": [digest_of(each) for each in layers]},
            }
        ).encode()
        kinds = [GGUF] + [LICENSE] * (len(layers) - 1)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config),
            "layers": [descriptor(kind, each) for kind, each in zip(kinds, layers, strict=True)],
            **changes,
        }
        self.blobs |= {digest_of(each): each for each in (config, *layers)}
        self.manifests[tag] = json.dumps(manifest).encode()
        return manifest

    def fault(self, path: str, *faults: Fault) -> None:
        """Answer the next requests whose `METHOD path` matches wrongly, one after another."""
        self.faults += [(re.compile(path), fault) for fault in faults]

    def asked(self, path: str) -> list[Request]:
        """The requests so far whose `METHOD path` matches."""
        return [r for r in self.seen if re.search(path, f"{r.method} {r.path}")]

    def serve(self, request: Request) -> None:
        self.seen.append(request)
        line = f"{request.method} {request.path}"
        for entry in self.faults:
            if entry[0].search(line):
                self.faults.remove(entry)
                entry[1](request)
                return
        self.obey(request)

    def obey(self, request: Request) -> None:
        """The answer of a registry in good health."""
        kind, _, name = request.path.rpartition("/")
        if request.method in ("POST", "PUT", "PATCH"):
            self._keep(request)
        elif request.method == "GET" and request.path.startswith(_UPLOAD):
            arrived = max(len(self.upload) - 1, 0)
            request.answer(204, Range=f"0-{arrived}", Location=request.path)
        elif kind.endswith("/manifests") and name in self.manifests:
            data = self.manifests[name]
            request.answer(200, data, Content_Type=MANIFEST, Docker_Content_Digest=digest_of(data))
        elif kind.endswith("/blobs") and name in self.blobs:
            part = request.begin(self.blobs[name])
            if request.method != "HEAD":
                request.write(part)
        else:
            code = "MANIFEST_UNKNOWN" if "manifests" in kind else "BLOB_UNKNOWN"
            error = {"errors": [{"code": code, "message": "unknown"}]}
            request.answer(404, json.dumps(error).encode())

    def _keep(self, request: Request) -> None:
        found = re.search(r"[?]mount=([^&]+)&from=([^&]+)", request.path)
        if request.method == "POST" and found and unquote(found[1]) in self.elsewhere:
            self.blobs[unquote(found[1])] = self.elsewhere[unquote(found[1])]
            request.answer(201)
        elif request.method == "POST":
            self.upload = b""
            request.answer(202, Location=f"{_UPLOAD}1?_state=a%2Fb%3D")
        elif request.method == "PATCH":
            start = int(request.headers["content-range"].partition("-")[0])
            assert start == len(self.upload)
            self.upload += request.body
            request.answer(202, Location=request.path, Range=f"0-{len(self.upload) - 1}")
        elif request.path.startswith(_UPLOAD):
            assert "_state=a%2Fb%3D&" in request.path
            whole = self.upload + request.body
            assert digest_of(whole) == unquote(request.path.rpartition("digest=")[2])
            self.blobs[digest_of(whole)] = whole
            request.answer(201)
        else:
            self.manifests[request.path.rpartition("/")[2]] = request.body
            request.answer(201, Docker_Content_Digest=digest_of(request.body))


Kind = TypeVar("Kind", bound=StandIn)


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Run a registry's stand-in for as long as the block lasts."""
    with serving(StandIn()) as server:
        yield server


@contextmanager
def serving(server: Kind, tls: ssl.SSLContext | None = None) -> Iterator[Kind]:
    """Run a stand-in of any kind for as long as the block lasts, over TLS if need be."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                self.close_connection = True

        def _serve(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            server.serve(Request(self.command, self.path, headers, self, body))

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _serve

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    http = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        http.socket = tls.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    server.host = f"127.0.0.1:{http.server_address[1]}"
    thread = Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def status(code: int, **headers: str) -> Fault:
    """Refuse with a status."""
    return lambda request: request.answer(code, b"{}", **headers)


def cut(server: StandIn, after: int) -> Fault:
    """Break the connection after so many bytes of the body."""

    def fault(request: Request) -> None:
        part = request.begin(server.blobs[request.path.rpartition("/")[2]])
        request.write(part[:after])
        request.hang_up()

    return fault


def pause(server: StandIn, after: int, go_on: Event) -> Fault:
    """Send so many bytes of the body, and the rest when told."""

    def fault(request: Request) -> None:
        part = request.begin(server.blobs[request.path.rpartition("/")[2]])
        request.write(part[:after])
        go_on.wait(30)
        request.write(part[after:])

    return fault


def redirect(url: str) -> Fault:
    """Send elsewhere."""
    return lambda request: request.answer(307, Location=url)
