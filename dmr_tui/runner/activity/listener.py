"""The part of a `Runner` that hears over HTTP of requests, events and logs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from dmr_tui.errors import DmrError, ModelNotFoundError, UnavailableError
from dmr_tui.runner.activity.log_lines import parse_line
from dmr_tui.runner.activity.records import Activity, Bodies, Failure, LogLine, RequestRecord
from dmr_tui.runner.connection import Connection

T = TypeVar("T")

_MOST_BODIES = 100
_SSE = {"Accept": "text/event-stream"}


class _DockerRecord(Struct, frozen=True):
    """One request as Docker's server tells of it."""

    id: str = ""
    model: str = ""
    method: str = ""
    url: str = ""
    request: str = ""
    response: str = ""
    error: Any = None
    timestamp: Any = None
    status_code: int = 0
    user_agent: str = ""


class _Envelope(Struct, frozen=True):
    records: list[_DockerRecord] = []


class Listener:
    """A runner whose journal is at the other end of a connection."""

    journal = None
    """The other end writes down what it is asked."""

    def __init__(self, connection: Connection) -> None:
        """Ask over `connection`."""
        self._connection = connection
        self._docker_bodies: OrderedDict[str, Bodies] = OrderedDict()

    async def activity(self) -> AsyncGenerator[Activity, None]:
        """See `Runner.activity`; Docker's server tells of finished requests only.

        Raises:
            UnavailableError: the connection is lost.
        """
        try:
            async with aclosing(self._events("/engines/activity", {})) as events:
                async for _, data in events:
                    yield _decode(data, Activity)
        except ModelNotFoundError:
            # No such path: it is Docker's.
            async with aclosing(self._docker_activity()) as changes:
                async for change in changes:
                    yield change
        raise UnavailableError("the runner has closed the connection")

    async def requests_json(self, model: str = "") -> bytes:
        """What `GET /engines/requests` answers, as it is.

        Raises:
            DmrError: among others there are no requests to this model.
        """
        params = {"model": model} if model else None
        return await self._connection.ask("GET", "/engines/requests", params=params)

    async def requests_stream(
        self, model: str = "", *, existing: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """The payloads of the stream `GET /engines/requests`, until the server closes it."""
        params = {"model": model} if model else {}
        params |= {"include_existing": "true"} if existing else {}
        async with aclosing(self._events("/engines/requests", params)) as events:
            async for name, data in events:
                if name in ("existing_request", "new_request"):
                    yield data

    async def bodies(self, request: str) -> Bodies | None:
        """See `Runner.bodies`."""
        if request in self._docker_bodies:
            return self._docker_bodies[request]
        try:
            return _decode(
                await self._connection.ask("GET", f"/engines/requests/{request}"), Bodies
            )
        except ModelNotFoundError:
            return None

    async def keep_bodies(self, keep: bool) -> None:
        """See `Runner.keep_bodies`; Docker's server does not let itself be told.

        Raises:
            UnavailableError: the server cannot do that.
        """
        try:
            await self._connection.ask(
                "POST", "/engines/requests/_configure", body={"bodies": keep}
            )
        except ModelNotFoundError:
            raise UnavailableError("this runner decides itself what it keeps") from None

    async def clear_requests(self) -> None:
        """See `Runner.clear_requests`; raises as `keep_bodies` does."""
        try:
            await self._connection.ask("DELETE", "/engines/requests")
        except DmrError as error:
            if error.http_status not in (400, 404):
                raise
            raise UnavailableError("this runner does not forget its requests") from None

    async def logs(
        self, *, follow: bool = False, engines: bool = True
    ) -> AsyncGenerator[list[LogLine], None]:
        """See `Runner.logs`."""
        params = {"follow": str(follow).lower(), "no-engines": str(not engines).lower()}
        before, rest = 0.0, b""
        async with (
            self._connection.stream("GET", "/logs", params=params) as response,
            aclosing(self._connection.chunks(response)) as chunks,
        ):
            async for chunk in chunks:
                *whole, rest = (rest + chunk).split(b"\n")
                lines = []
                for raw in whole:
                    lines.append(parse_line(raw.decode("utf-8", "replace").rstrip("\r"), before))
                    before = lines[-1].time
                if lines:
                    yield lines
        if rest:
            yield [parse_line(rest.decode("utf-8", "replace"), before)]

    async def _events(
        self, path: str, params: dict[str, str]
    ) -> AsyncGenerator[tuple[str, bytes], None]:
        """Name and data of server-sent events."""
        async with (
            self._connection.stream("GET", path, params=params, headers=_SSE) as response,
            aclosing(self._connection.lines(response)) as lines,
            aclosing(_events(lines)) as events,
        ):
            async for event in events:
                yield event

    async def _docker_activity(self) -> AsyncGenerator[Activity, None]:
        existing: list[RequestRecord] = []
        connected = False
        params = {"include_existing": "true"}
        async with aclosing(self._events("/engines/requests", params)) as events:
            async for name, data in events:
                if name == "connected":
                    connected = True
                    yield Activity(requests=existing)
                elif name in ("existing_request", "new_request"):
                    records = self._docker_records(data)
                    if connected:
                        yield Activity(requests=records)
                    else:
                        existing += records

    def _docker_records(self, data: bytes) -> list[RequestRecord]:
        envelopes = _decode(data, list[_Envelope])
        return [self._record(each) for envelope in envelopes for each in envelope.records]

    def _record(self, found: _DockerRecord) -> RequestRecord:
        error = None if found.error is None else _text(found.error)
        self._docker_bodies[found.id] = Bodies(found.request, found.response or error or "")
        while len(self._docker_bodies) > _MOST_BODIES:
            self._docker_bodies.popitem(last=False)
        return RequestRecord(
            id=found.id,
            time=_unix(found.timestamp),
            client=found.user_agent,
            method=found.method,
            path=found.url,
            protocol=found.url.partition("/v1/")[2] or found.url,
            model=found.model,
            status=found.status_code,
            error=Failure(error) if error else None,
            bodies=True,
        )


async def _events(lines: AsyncIterator[bytes]) -> AsyncGenerator[tuple[str, bytes], None]:
    name, data = "", b""
    async for line in lines:
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.strip().decode("utf-8", "replace")
        elif field == b"data":
            data += value.strip()
        elif not line and data:
            if name == "error":
                raise UnavailableError(f"the runner ended the stream: {_said(data)}")
            yield name, data
            name, data = "", b""


def _said(data: bytes) -> str:
    try:
        found = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return data.decode("utf-8", "replace")
    return str(found.get("message", found)) if isinstance(found, dict) else str(found)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _unix(stamp: Any) -> float:
    """Unix time of a stamp: RFC 3339, or a number of seconds."""
    if isinstance(stamp, int | float):
        return float(stamp)
    try:
        return msgspec.convert(stamp, datetime).timestamp()
    except msgspec.ValidationError:
        return 0.0


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise UnavailableError(f"what the runner tells makes no sense: {error}") from error
