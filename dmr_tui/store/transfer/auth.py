"""Answers to a registry's challenges: Basic, and Bearer tokens from a token server.

Follows https://distribution.github.io/distribution/spec/auth/token/ and …/auth/oauth/. Only
challenges of the registry itself come here, never those of a host it redirects to.
"""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from dmr_tui.errors import RegistryError, UnauthorizedError
from dmr_tui.store.transfer.credentials import Credentials
from dmr_tui.store.transfer.origins import is_loopback, is_private, lives_inside
from dmr_tui.store.transfer.wire import MALFORMED, Wire, split_url

_CLIENT_ID = "dmr"
_LARGEST_ANSWER = 1 << 20  # bytes
_NO_POST = {404, 405}
_LIFETIME = 60.0  # seconds, where the token server does not say: the specification's own default


@dataclass(frozen=True)
class Challenge:
    """One challenge of a `WWW-Authenticate` header (RFC 9110, 11.6.1); names in lower case."""

    scheme: str
    parameters: dict[str, str]


class _Grant(Struct):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | None = None


@dataclass(frozen=True)
class _Request:
    """What a token is asked with, and found again by."""

    realm: str
    service: str
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class _Token:
    header: str
    expires: float
    """On the monotonic clock."""


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Read the `WWW-Authenticate` headers of an answer; malformed parts are left out."""
    challenges: list[Challenge] = []
    for part in urllib.request.parse_http_list(", ".join(headers)):
        before, equals, value = part.partition("=")
        words = before.split()
        if len(words) == 2 or (len(words) == 1 and not equals):
            challenges.append(Challenge(words[0].lower(), {}))
        if equals and words and challenges:
            challenges[-1].parameters[words[-1].lower()] = value.strip().strip('"')
    return challenges


class Authorizer:
    """The `Authorization` header for one repository of one registry; for many threads."""

    def __init__(
        self, wire: Wire, base: str, scope: str, registry: str, find: Callable[[], Credentials]
    ) -> None:
        """Nothing is asked or looked up yet.

        Args:
            wire: how to reach a token server.
            base: address of the registry, e.g. `https://registry-1.docker.io`.
            scope: all that will be done, e.g. `repository:ai/smollm2:pull,push`; a challenge
                names only what the one refused request needs.
            registry: its name in references and logins, e.g. `docker.io`.
            find: looks up the person's credentials; called at the first challenge.
        """
        self._wire = wire
        self._base = urlsplit(base)
        self._scope = scope
        self._registry = registry
        self._find = find
        self._credentials: Credentials | None = None
        self._basic = ""
        self._request: _Request | None = None
        self._tokens: dict[_Request, _Token] = {}
        self._lock = threading.Lock()

    @property
    def credentials(self) -> Credentials:
        """What the person has for this registry."""
        if self._credentials is None:
            self._credentials = self._find()
        return self._credentials

    def header(self) -> str:
        """What to send with a request; empty before the first challenge."""
        with self._lock:
            return self._token(self._request, stale="") if self._request else self._basic

    def answer(self, challenges: Iterable[Challenge], sent: str) -> bool:
        """Prepare another header after a refusal; False: there is nothing else to try.

        Args:
            challenges: of the answer with status 401.
            sent: the header that was refused, or an empty text.

        Raises:
            UnauthorizedError: the token server refuses these credentials.
            RegistryError: it fails, or is one that no credentials may be sent to.
        """
        offered = {challenge.scheme: challenge.parameters for challenge in challenges}
        with self._lock:
            if bearer := offered.get("bearer"):
                scopes = _merge([*self._scope.split(), *bearer.get("scope", "").split()])
                realm = self._trusted(bearer.get("realm", ""))
                self._request = _Request(realm, bearer.get("service", ""), scopes)
                return self._token(self._request, stale=sent) != sent
            if "basic" in offered and self.credentials.password:
                self._basic = self.credentials.basic
                return self._basic != sent
        return False

    def refusal(self, what: str = "") -> UnauthorizedError:
        """The error of a registry that does not let this person in.

        Args:
            what: what was asked for, if that is known, e.g. `ai/smollm2`.
        """
        target = f" for {what}" if what else ""
        login = f"dmr login {self._registry}"
        if credentials := self.credentials:
            whose = f"the login of {credentials.username}" if credentials.username else "the login"
            return UnauthorizedError(
                f"{self._registry} refused {whose}{target}", f"log in again with {login}"
            )
        trouble = f" ({self.credentials.trouble})" if self.credentials.trouble else ""
        return UnauthorizedError(
            f"{self._registry} wants a login{target}{trouble}",
            f"check the model's name, or log in with {login}",
        )

    def _trusted(self, realm: str) -> str:
        """Let a realm pass that credentials may be sent to: over TLS, or where they already are."""
        url = split_url(realm)
        host, registry = url.hostname or "", self._base.hostname or ""
        near = host == registry or (is_loopback(host) and is_loopback(registry))
        inward = is_private(host) and not (near or lives_inside(registry))
        if (url.scheme == "https" and not inward) or (self._base.scheme == "http" and near):
            return realm
        raise RegistryError(
            f"{self._base.netloc} wants the login at {realm!r}: refused, that is not safe",
            "a token server must be https and no private address, or on the registry's own host",
        )

    def _token(self, request: _Request, stale: str) -> str:
        """A fresh token's header: the one at hand, unless it is old or just was refused."""
        known = self._tokens.get(request)
        if known is None or known.header == stale or known.expires <= time.monotonic():
            known = self._tokens[request] = self._fetch(request)
        return known.header

    def _fetch(self, request: _Request) -> _Token:
        started = time.monotonic()
        grant = self._oauth(request) or self._exchange(request)
        token = grant.token or grant.access_token or ""
        if not (token.isascii() and token.isprintable() and token):
            raise RegistryError(f"{request.realm} gave no token")
        lifetime = _LIFETIME if grant.expires_in is None else grant.expires_in
        return _Token(f"Bearer {token}", started + 0.9 * lifetime)

    def _exchange(self, request: _Request) -> _Grant:
        """GET the realm, with Basic credentials or anonymously."""
        query = [("scope", scope) for scope in request.scopes]
        if request.service:
            query.append(("service", request.service))
        headers = {}
        if self.credentials.password:
            query.append(("account", self.credentials.username))
            headers["Authorization"] = self.credentials.basic
        joint = "&" if urlsplit(request.realm).query else "?"
        grant = self._ask("GET", f"{request.realm}{joint}{urlencode(query)}", headers, None)
        assert grant is not None
        return grant

    def _oauth(self, request: _Request) -> _Grant | None:
        """POST the person's identity token, if there is one and the server knows that way."""
        if not self.credentials.identity_token:
            return None
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self.credentials.identity_token,
            "service": request.service,
            "scope": " ".join(request.scopes),
            "client_id": _CLIENT_ID,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", request.realm, headers, urlencode(form).encode())

    def _ask(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> _Grant | None:
        host = urlsplit(url).netloc
        response = self._wire.send(method, url, headers=headers, body=body)
        try:
            if response.status_code == 200:
                answer = self._wire.read(response, _LARGEST_ANSWER)
                return msgspec.json.decode(answer, type=_Grant, strict=False)
        except MALFORMED as error:
            raise RegistryError(f"the token server {host} sent no token: {error}") from error
        finally:
            response.close()
        if method == "POST" and response.status_code in _NO_POST and self.credentials.password:
            return None
        if response.status_code in (400, 401, 403):
            raise self.refusal()
        raise RegistryError(f"the token server {host} answered {response.status_code}")


def _merge(scopes: Iterable[str]) -> tuple[str, ...]:
    """Join the actions of scopes for one resource: `…:pull` and `…:pull,push` into the latter."""
    merged: dict[str, dict[str, None]] = {}
    for scope in scopes:
        resource, _, actions = scope.rpartition(":")
        merged.setdefault(resource, {}).update(dict.fromkeys(actions.split(",")))
    return tuple(f"{resource}:{','.join(actions)}" for resource, actions in merged.items())
