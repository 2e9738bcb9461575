"""Fixtures: a real registry (Debian's `docker-registry`) on a free loopback port.

Three kinds, each started once and only when a test asks for it: `registry` lets anybody do
anything, `basic_registry` wants a password, `token_registry` sends callers to a token server.
`tools/system-packages.sh` installs the program.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.token_server import TokenServer

USERNAME, PASSWORD = "alice", "secret"
# bcrypt, cost 4 so that each request is cheap: what `htpasswd -nbB -C 4 alice secret` prints.
_HTPASSWD = "alice:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"

_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")


@dataclass(frozen=True)
class LiveRegistry:
    """A registry that answers."""

    address: str
    """Host and port, as a reference begins."""
    storage: Path
    """Where it keeps its blobs."""
    username: str = ""
    password: str = ""
    tokens: TokenServer | None = None

    def docker_config(self, password: str | None = None) -> str:
        """A Docker `config.json` that logs in here."""
        import base64

        pair = f"{self.username}:{self.password if password is None else password}"
        auth = base64.b64encode(pair.encode()).decode()
        return json.dumps({"auths": {self.address: {"auth": auth}}})


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRegistry]:
    """A registry that asks for nothing."""
    folder = tmp_path_factory.mktemp("registry")
    with _running(folder, auth=None) as address:
        yield LiveRegistry(address, folder)


@pytest.fixture(scope="session")
def basic_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRegistry]:
    """A registry with HTTP Basic authentication for everything."""
    folder = tmp_path_factory.mktemp("basic-registry")
    passwords = folder / "htpasswd"
    passwords.write_text(_HTPASSWD)
    auth = {"htpasswd": {"realm": "tests", "path": str(passwords)}}
    with _running(folder, auth) as address:
        yield LiveRegistry(address, folder, USERNAME, PASSWORD)


@pytest.fixture(scope="session")
def token_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRegistry]:
    """A registry with Bearer tokens: anybody may pull, who logs in may push."""
    from tests.support.token_server import ISSUER, SERVICE, serve_tokens

    folder = tmp_path_factory.mktemp("token-registry")
    with serve_tokens(USERNAME, PASSWORD) as tokens:
        certificate = folder / "certificate.pem"
        certificate.write_bytes(tokens.certificate)
        auth = {
            "token": {
                "realm": tokens.url,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(certificate),
            }
        }
        with _running(folder, auth) as address:
            yield LiveRegistry(address, folder, USERNAME, PASSWORD, tokens)


@contextmanager
def _running(folder: Path, auth: dict[str, Any] | None) -> Iterator[str]:
    """Run a registry on a port that the kernel chooses; yields its address."""
    program = shutil.which("docker-registry")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("docker-registry is not installed: run tools/system-packages.sh")
        pytest.skip("docker-registry is not installed: run tools/system-packages.sh")
    settings: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "storage")},
            "delete": {"enabled": True},
        },
        "http": {"addr": "127.0.0.1:0"},
    }
    if auth is not None:
        settings["auth"] = auth
    file = folder / "config.yml"
    file.write_text(json.dumps(settings))  # JSON is YAML
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    process = subprocess.Popen(
        [program, "serve", str(file)], stderr=subprocess.PIPE, text=True, env=environ
    )
    assert process.stderr is not None
    with process.stderr as log:
        drain = Thread(target=log.read)
        try:
            address = _address(log)
            drain.start()  # a full pipe would stop the registry
            yield address
        finally:
            process.terminate()
            process.wait(10)
            if drain.is_alive():
                drain.join()


def _address(log: IO[str]) -> str:
    """Read the log up to the line that names the port."""
    seen = []
    for line in log:
        seen.append(line)
        if found := _LISTENING.search(line):
            return found[1]
    raise RuntimeError("docker-registry did not start:\n" + "".join(seen))
