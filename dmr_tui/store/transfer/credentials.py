"""Which name and password a person has for a registry: environment, then Docker's own config.

The config is what `docker login` writes: `config.json` in `DOCKER_CONFIG`, else in `~/.docker`,
with `credHelpers`, `credsStore` and `auths`
(https://docs.docker.com/reference/cli/docker/login/#credential-stores). Nothing is looked up
before a registry asks for it, and nothing that fails here stops an anonymous pull: the failure is
told with the refusal, if the registry does refuse.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from dmr_tui.store.reference import DOCKER_HUB

HUB_KEY = "https://index.docker.io/v1/"
"""What Docker calls Docker Hub in its config."""

T = TypeVar("T")

_HUB_HOSTS = {DOCKER_HUB, "index.docker.io", "registry-1.docker.io"}
_FROM_ENVIRONMENT = (
    ("DOCKER_USERNAME", "DOCKER_PASSWORD"),
    ("DOCKER_HUB_USER", "DOCKER_HUB_PASSWORD"),
)
_TOKEN_USER = "<token>"
_HELPER_NAME = re.compile(r"[A-Za-z0-9._-]+")
_HELPER_TIME = 30  # seconds; some ask the person


@dataclass(frozen=True)
class Credentials:
    """What to show a registry; all empty: nothing is known.

    Attributes:
        username: the account.
        password: its password or access token.
        identity_token: an OAuth 2 refresh token, in place of a password.
        trouble: why nothing was found although something should be there.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    trouble: str = ""

    def __bool__(self) -> bool:
        return bool(self.identity_token or (self.username and self.password))

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


class _Auth(Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    identity_token: str = msgspec.field(default="", name="identitytoken")


class _Config(Struct):
    auths: dict[str, _Auth] = {}
    helpers: dict[str, str] = msgspec.field(default_factory=dict, name="credHelpers")
    store: str = msgspec.field(default="", name="credsStore")


class _HelperAnswer(Struct):
    username: str = msgspec.field(default="", name="Username")
    secret: str = msgspec.field(default="", name="Secret")


def find_credentials(
    registry: str,
    *,
    default_registry: str = DOCKER_HUB,
    environ: Mapping[str, str] = os.environ,
) -> Credentials:
    """Look up what a person has for one registry.

    Args:
        registry: its host, with the port if it has one.
        default_registry: the one that the environment's name and password belong to.
        environ: the environment.
    """
    if host_of_key(registry) == host_of_key(default_registry):
        for username, password in _FROM_ENVIRONMENT:
            if environ.get(username) and environ.get(password):
                return Credentials(environ[username], environ[password])
    file = config_file(environ)
    try:
        config = msgspec.json.decode(file.read_bytes(), type=_Config)
    except FileNotFoundError:
        return Credentials()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        return Credentials(trouble=f"{file} cannot be read: {error}")
    helper = _entry(config.helpers, registry) or config.store
    stored = _ask(helper, registry) if helper else Credentials()
    # Docker keeps old entries in the file when a helper is set up later.
    filed = _from_file(_entry(config.auths, registry), file)
    return stored if stored or (stored.trouble and not filed) else filed


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where Docker keeps its config."""
    folder = environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


def host_of_key(key: str) -> str:
    """The host that a key of the config means: Docker has written addresses and plain hosts."""
    host = re.sub(r"^https?://", "", key.strip().lower()).partition("/")[0]
    return DOCKER_HUB if host in _HUB_HOSTS else host


def _entry(entries: Mapping[str, T], registry: str) -> T | None:
    """The entry of a registry; the exact key before one that means the same host."""
    if registry in entries:
        return entries[registry]
    wanted = host_of_key(registry)
    return next((value for key, value in entries.items() if host_of_key(key) == wanted), None)


def _from_file(entry: _Auth | None, file: Path) -> Credentials:
    if entry is None:
        return Credentials()
    username, password = entry.username, entry.password
    if entry.auth:
        try:
            pair = base64.b64decode(entry.auth, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return Credentials(trouble=f"{file} holds a damaged auth entry")
        username, _, password = pair.partition(":")
    return _known(username, password.rstrip("\0"), entry.identity_token)


def _known(username: str, secret: str, identity_token: str = "") -> Credentials:
    if username == _TOKEN_USER:
        return Credentials(identity_token=identity_token or secret)
    return Credentials(username, secret, identity_token)


class HelperError(Exception):
    """A credential helper failed; says why in a line."""


def run_helper(helper: str, verb: str, data: bytes) -> bytes | None:
    """Have a credential helper do something.

    Args:
        helper: its name, without `docker-credential-`.
        verb: `get`, `store` or `erase`.
        data: what it reads.

    Returns:
        What it says; None when it knows nothing of that registry.

    Raises:
        HelperError: it is not there, or fails.
    """
    if _HELPER_NAME.fullmatch(helper) is None:
        raise HelperError(f"{helper!r} is no name of a credential helper")
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, verb], input=data, capture_output=True, timeout=_HELPER_TIME
        )
    except FileNotFoundError:
        raise HelperError(f"the credential helper {program} is not installed") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HelperError(f"the credential helper {program} failed: {error}") from error
    if done.returncode == 0:
        return done.stdout
    said = (done.stdout or done.stderr).decode(errors="replace").strip()
    if "not found" in said.lower():
        return None
    raise HelperError(f"the credential helper {program} failed: {said[:200]}")


def key_of(registry: str) -> str:
    """What Docker calls a registry in its config and to its helpers."""
    return HUB_KEY if host_of_key(registry) == DOCKER_HUB else registry


def _ask(helper: str, registry: str) -> Credentials:
    """Ask a credential helper (https://github.com/docker/docker-credential-helpers)."""
    try:
        said = run_helper(helper, "get", key_of(registry).encode())
        if said is None:
            return Credentials()
        answer = msgspec.json.decode(said, type=_HelperAnswer)
    except HelperError as error:
        return Credentials(trouble=str(error))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Credentials(trouble=f"the credential helper docker-credential-{helper} gave no JSON")
    return _known(answer.username, answer.secret)
