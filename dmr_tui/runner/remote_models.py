"""The part of a `Runner` that keeps models, over HTTP: the store is at the other end."""

from __future__ import annotations

import html
import os
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from dmr_tui.errors import (
    DmrError,
    InvalidRequestError,
    ModelNotFoundError,
    RegistryError,
    UnavailableError,
    to_error,
)
from dmr_tui.runner.activity.listener import Listener
from dmr_tui.runner.base import DiskUsage, Importable, Model, Removed
from dmr_tui.runner.connection import SECONDS, Connection
from dmr_tui.runner.searching import Searcher
from dmr_tui.settings import Settings
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.transfer.hub.name import is_of_hub
from dmr_tui.store.transfer.progress import LayerProgress, TransferProgress

T = TypeVar("T")


class _DiskUsageBody(Struct, frozen=True):
    models_disk_usage: int = 0
    default_backend_disk_usage: int = 0
    partial_disk_usage: int = 0
    unused_disk_usage: int = 0
    quarantined_disk_usage: int = 0


class _Tagged(Struct, frozen=True):
    target: str = ""


class _ProgressLine(Struct, frozen=True):
    """One line of a transfer's stream."""

    type: str = "progress"
    message: str = ""
    total: int = 0
    layer: LayerProgress | None = None
    mode: str = "pull"
    code: str = ""
    hint: str = ""


class RemoteModels(Listener, Searcher):
    """A runner whose models are at the other end of a connection."""

    def __init__(
        self,
        base_url: str,
        *,
        verify: bool | Path = True,
        api_key: str = "",
        client: str = "",
        settings: Settings | None = None,
    ) -> None:
        """Talk to a runner; nothing is sent yet.

        Args:
            base_url: as in `Connection`, like those that are not told of here.
            verify: see there.
            api_key: see there.
            client: see there.
            settings: of this user, for what is asked of registries from here.
        """
        super().__init__(Connection(base_url, verify=verify, api_key=api_key, client=client))
        self._settings = settings or Settings()

    @property
    def url(self) -> str:
        """Base URL of the runner."""
        return self._connection.url

    async def models(self) -> list[Model]:
        """See `Runner.models`."""
        found = await self._get("/models", list[Model])
        return sorted(found, key=lambda model: (model.tags[:1], model.id))

    async def model(self, name: str) -> Model:
        """See `Runner.model`."""
        return await self._get(f"/models/{_quoted(name)}", Model)

    async def manifest(self, name: str) -> dict[str, Any]:
        """See `Runner.manifest`; Docker's server does not show manifests."""
        try:
            return await self._get(f"/models/{_quoted(name)}/manifest", dict[str, Any])
        except ModelNotFoundError:
            await self.model(name)
            raise UnavailableError(f"the runner at {self.url} does not show manifests") from None

    async def files(self) -> dict[str, dict[str, int]]:
        """See `Runner.files`: not told."""
        return {}

    async def tag(self, source: str, target: str) -> str:
        """See `Runner.tag`."""
        wanted = parse_reference(target)
        params = {"repo": f"{wanted.registry}/{wanted.repository}", "tag": wanted.tag or "latest"}
        path = f"/models/{_quoted(source)}/tag"
        answer = await self._connection.ask("POST", path, params=params)
        return self._decode(answer, _Tagged).target or str(wanted)

    async def remove(self, name: str, *, force: bool = False) -> list[Removed]:
        """See `Runner.remove`."""
        params = {"force": "true" if force else "false"}
        path = f"/models/{_quoted(name)}"
        return self._decode(
            await self._connection.ask("DELETE", path, params=params), list[Removed]
        )

    async def purge(self, *, force: bool = False) -> None:
        """See `Runner.purge`."""
        params = {"force": "true" if force else "false"}
        await self._connection.ask("DELETE", "/models/purge", params=params, timeout=None)

    async def pull(self, name: str, *, token: str = "") -> AsyncGenerator[TransferProgress, None]:
        """See `Runner.pull`."""
        body = {"from": name, **_token_field(name, token)}
        async with aclosing(self._transfer("/models/create", body, "pull")) as lines:
            async for line in lines:
                yield line

    async def importable(self) -> list[Importable]:
        """See `Runner.importable`: nothing."""
        return []

    async def adopt(self, name: str) -> AsyncGenerator[TransferProgress, None]:
        """See `Runner.adopt`: not over HTTP."""
        raise InvalidRequestError(
            "models of other programs are taken in where the store is", f"there: dmr import {name}"
        )
        yield

    async def push(self, name: str, *, token: str = "") -> AsyncGenerator[TransferProgress, None]:
        """See `Runner.push`."""
        path, body = f"/models/{_quoted(name)}/push", _token_field(name, token)
        async with aclosing(self._transfer(path, body, "push")) as lines:
            async for line in lines:
                yield line

    async def export(self, name: str) -> AsyncGenerator[bytes, None]:
        """See `Runner.export`."""
        path = f"/models/{_quoted(name)}/export"
        async with (
            self._connection.stream("GET", path) as response,
            aclosing(self._connection.chunks(response)) as chunks,
        ):
            async for chunk in chunks:
                yield chunk

    async def load_archive(self, chunks: AsyncIterable[bytes]) -> str:
        """See `Runner.load_archive`."""
        async with (
            self._connection.stream("POST", "/models/load", content=chunks) as response,
            aclosing(self._connection.lines(response)) as lines,
        ):
            async for raw in lines:
                line = _progress_line(raw)
                if line is not None and line.type == "error":
                    raise _transfer_failure(line)
                if line is not None and line.type == "success":
                    return line.layer.id if line.layer else ""
        raise RegistryError("the load ended before it was finished", "try it again")

    async def repackage(self, source: str, target: str, *, context_size: int | None = None) -> str:
        """See `Runner.repackage`."""
        body: dict[str, Any] = {"target": target}
        if context_size is not None:
            body["context_size"] = context_size
        path = f"/models/{_quoted(source)}/repackage"
        answer = await self._connection.ask("POST", path, body=body, timeout=None)
        return self._decode(answer, _Tagged).target or str(parse_reference(target))

    async def disk_usage(self) -> DiskUsage:
        """See `Runner.disk_usage`."""
        found = await self._get("/engines/df", _DiskUsageBody)
        return DiskUsage(
            found.models_disk_usage,
            found.default_backend_disk_usage,
            found.partial_disk_usage,
            found.unused_disk_usage,
            found.quarantined_disk_usage,
        )

    async def _get(self, path: str, kind: type[T], *, timeout: float = SECONDS) -> T:
        return self._decode(await self._connection.ask("GET", path, timeout=timeout), kind)

    def _decode(self, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise UnavailableError(
                f"what answers at {self.url} is no Docker Model Runner: {error}"
            ) from error

    async def _transfer(
        self, path: str, body: dict[str, str], mode: str
    ) -> AsyncGenerator[TransferProgress, None]:
        finished = False
        async with (
            self._connection.stream("POST", path, body=body) as response,
            aclosing(self._connection.lines(response)) as lines,
        ):
            async for raw in lines:
                line = _progress_line(raw)
                if line is None:
                    continue
                if line.type == "error":
                    raise _transfer_failure(line)
                finished = finished or line.type == "success"
                yield _to_progress(line)
        if not finished:
            raise RegistryError(f"the {mode} ended before it was finished", "try it again")


def _token_field(name: str, token: str) -> dict[str, str]:
    """The token that goes along: what was given, else this person's own where it is of use."""
    if not token and is_of_hub(name):
        token = os.environ.get("HF_TOKEN", "").strip()
    return {"bearer-token": token} if token else {}


def _progress_line(raw: bytes) -> _ProgressLine | None:
    """A line as JSON, HTML-escaped or not; None for the words that Docker's server adds."""
    for text in (raw, html.unescape(raw.decode("utf-8", "replace")).encode()):
        try:
            return msgspec.json.decode(text, type=_ProgressLine)
        except msgspec.MsgspecError:
            continue
    return None


def _transfer_failure(line: _ProgressLine) -> DmrError:
    error = to_error(line.code, line.message, line.hint or None)
    return error if type(error) is not DmrError else RegistryError(line.message)


def _to_progress(line: _ProgressLine) -> TransferProgress:
    kind: Any = line.type if line.type in ("progress", "success", "warning") else "progress"
    mode: Any = "push" if line.mode == "push" else "pull"
    return TransferProgress(kind, line.message, line.total, line.layer or LayerProgress(), mode)


def _quoted(name: str) -> str:
    return quote(name, safe="/:@")
