"""A token server of the distribution spec, on loopback.

It signs what a registry with `auth: token` believes: RS256 JWTs whose `x5c` header carries the
certificate that the registry was given. Anonymous callers may pull; who logs in may push too.
See https://distribution.github.io/distribution/spec/auth/token/ and …/auth/oauth/.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ISSUER = "dmr-tests"
SERVICE = "dmr-test-registry"
REFRESH_TOKEN = "refresh-me"


@dataclass
class TokenServer:
    """What the server knows and has seen."""

    username: str
    password: str
    lifetime: int = 300
    """Seconds that a token is good for, as the answer says."""
    url: str = ""
    granted: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """Who was given a token (empty: anonymous), and for which scopes."""

    def __post_init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ISSUER)])
        now = datetime.now(UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def certificate(self) -> bytes:
        """PEM of what the registry must trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def knows(self, authorization: str) -> bool:
        """Whether a Basic header is the right one."""
        pair = f"{self.username}:{self.password}".encode()
        return authorization == "Basic " + base64.b64encode(pair).decode()

    def token(self, user: str, service: str, scopes: list[str]) -> str:
        """Sign a token for these scopes, less what an anonymous caller may not."""
        self.granted.append((user, tuple(scopes)))
        now = int(time.time())
        certificate = self._certificate.public_bytes(serialization.Encoding.DER)
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(certificate).decode()]}
        body = {
            "iss": ISSUER,
            "sub": user,
            "aud": service,
            "iat": now,
            "nbf": now - 10,
            "exp": now + self.lifetime,
            "jti": uuid.uuid4().hex,
            "access": [_access(scope, user) for scope in scopes],
        }
        signed = f"{_segment(json.dumps(head).encode())}.{_segment(json.dumps(body).encode())}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_segment(signature)}"


def _access(scope: str, user: str) -> dict[str, object]:
    kind, rest = scope.split(":", 1)
    name, actions = rest.rsplit(":", 1)
    allowed = [action for action in actions.split(",") if action == "pull" or user]
    return {"type": kind, "name": name, "actions": allowed}


def _segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextmanager
def serve_tokens(username: str, password: str) -> Iterator[TokenServer]:
    """Run a token server in a thread for as long as the block lasts."""
    server = TokenServer(username, password)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Hand out a token for Basic credentials, or to anybody."""
            authorization = self.headers.get("Authorization", "")
            if authorization and not server.knows(authorization):
                self._reply(401, {"errors": [{"code": "UNAUTHORIZED"}]})
                return
            query = parse_qs(urlsplit(self.path).query)
            self._grant(server.username if authorization else "", query)

        def do_POST(self) -> None:
            """Hand out a token for a refresh token (OAuth 2)."""
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = parse_qs(body)
            right = form.get("grant_type") == ["refresh_token"]
            if not right or form.get("refresh_token") != [REFRESH_TOKEN]:
                self._reply(401, {"error": "invalid_grant"})
                return
            self._grant(server.username, form)

        def _grant(self, user: str, query: dict[str, list[str]]) -> None:
            scopes = [scope for value in query.get("scope", []) for scope in value.split()]
            token = server.token(user, query["service"][0], scopes)
            self._reply(200, {"access_token": token, "expires_in": server.lifetime})

        def _reply(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}/token"
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
