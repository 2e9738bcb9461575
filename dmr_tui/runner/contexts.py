"""Which runner? The one that a person names, the one that already runs, or one of our own.

A running endpoint announces itself in the file `Paths.endpoint`, so that every other command of the
same user talks to it instead of loading the same model a second time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dmr_tui.errors import DmrError, InvalidRequestError
from dmr_tui.paths import Paths
from dmr_tui.private import write_private
from dmr_tui.settings import Settings

if TYPE_CHECKING:
    from dmr_tui.runner.base import Runner

PROBE_SECONDS = 2.0
"""How long an announced endpoint has to say who it is."""


class Announcement(msgspec.Struct, frozen=True):
    """What the file says: where the endpoint is, and how to tell that it is still that one."""

    url: str
    pid: int
    models: str
    """Root of its store."""
    instance: str
    """Random; `GET /version` must answer with the same."""
    api_key: str = ""
    """What it asks of its clients; the file is this user's alone."""


async def open_runner(
    settings: Settings, paths: Paths, *, embedded: bool = False, client: str = ""
) -> Runner:
    """The runner that this user's commands talk to.

    In this order: the one that `MODEL_RUNNER_HOST` names; an endpoint of this user that answers and
    serves the same store; a `LocalRunner` in this process.

    Args:
        settings: for a runner of our own.
        paths: where the store and the announcement are.
        embedded: take a runner of our own in any case.
        client: which part of this program asks, for the list of requests: `run`, `tui`.

    Raises:
        InvalidRequestError: `MODEL_RUNNER_HOST` is no URL that can be used.
    """
    if not embedded:
        named = runner_url(os.environ)
        if named:
            from dmr_tui.runner.remote import RemoteRunner

            return RemoteRunner(
                named,
                verify=_verify(os.environ),
                api_key=settings.api_key,
                client=client,
                settings=settings,
            )
        running = await _running(paths, settings, client)
        if running is not None:
            return running
    from dmr_tui.runner.local import LocalRunner

    return LocalRunner.open(paths, settings, client=f"dmr {client}".strip())


def runner_url(environ: Mapping[str, str]) -> str:
    """The URL in `MODEL_RUNNER_HOST`, with a scheme; empty when there is none.

    Raises:
        InvalidRequestError: the scheme is not http, https or unix.
    """
    named = environ.get("MODEL_RUNNER_HOST", "").strip().strip("\"'")
    if not named:
        return ""
    if "://" not in named:
        secure = environ.get("MODEL_RUNNER_TLS") == "true"
        named = f"{'https' if secure else 'http'}://{named}"
    scheme, _, rest = named.partition("://")
    if scheme not in ("http", "https", "unix") or not rest.strip("/"):
        raise InvalidRequestError(
            f"MODEL_RUNNER_HOST: {named!r} is no URL of a runner",
            "for example http://localhost:12434",
        )
    return named.rstrip("/")


def _verify(environ: Mapping[str, str]) -> bool | Path:
    """Whether to check a server's certificate, or the file of the authority to check it with."""
    if environ.get("MODEL_RUNNER_TLS_SKIP_VERIFY") == "true":
        return False
    authority = environ.get("MODEL_RUNNER_TLS_CA_CERT")
    return Path(authority) if authority else True


def announce(paths: Paths, url: str, instance: str, api_key: str = "") -> None:
    """Tell this user's other commands that an endpoint of this process answers at `url`.

    Raises:
        StoreError: the file cannot be written.
    """
    said = Announcement(url, os.getpid(), _root(paths), instance, api_key)
    write_private(paths.endpoint, msgspec.json.encode(said))


def withdraw(paths: Paths, instance: str) -> None:
    """Take the announcement back, unless another endpoint has replaced it meanwhile."""
    said = _read(paths)
    if said is not None and said.instance == instance:
        paths.endpoint.unlink(missing_ok=True)


async def _running(paths: Paths, settings: Settings, client: str) -> Runner | None:
    said = _read(paths)
    if said is None or said.models != _root(paths) or not _alive(said.pid):
        return None
    from dmr_tui.runner.remote import RemoteRunner

    runner = RemoteRunner(said.url, api_key=said.api_key, client=client, settings=settings)
    try:
        found = await runner.version(timeout=PROBE_SECONDS)
    except DmrError:
        found = None
    if found is not None and found.instance == said.instance:
        return runner
    await runner.close()
    return None


def _read(paths: Paths) -> Announcement | None:
    """What the file says; None when it cannot be read, or was not written by this program."""
    try:
        return msgspec.json.decode(paths.endpoint.read_bytes(), type=Announcement)
    except (OSError, msgspec.MsgspecError):
        return None


def _root(paths: Paths) -> str:
    return str(paths.models.resolve())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
