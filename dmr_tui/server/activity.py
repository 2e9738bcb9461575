"""What happens in the runner, over HTTP: requests, events and logs.

`/engines/requests` and `/logs` are Docker Model Runner's; `/engines/activity` tells more, to this
program's own screens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dmr_tui.errors import DmrError, InvalidRequestError
from dmr_tui.runner.activity.log_lines import line_text
from dmr_tui.runner.activity.records import Activity, Bodies, LogLine, RequestRecord
from dmr_tui.runner.base import Runner
from dmr_tui.runner.configuration import to_configuration
from dmr_tui.server import sse
from dmr_tui.server.body import decode, json_response, read_body
from dmr_tui.server.errors import RouteError, error_object
from dmr_tui.server.exchange import StreamedResponse

MOST_RECORDS = 100
"""Requests of one model that `GET /engines/requests` shows, the newest."""

_PIECE = 500
"""Requests in one message of a stream."""

_TIMEOUT = 408
"""What Docker Model Runner says of a request without an answer."""

_TRUE, _FALSE = (
    {"1", "t", "T", "true", "TRUE", "True", ""},
    {"0", "f", "F", "false", "FALSE", "False"},
)


class DockerRecord(Struct, frozen=True, omit_defaults=True):
    """One request as Docker Model Runner's recorder tells of it, and below it what is ours."""

    id: str
    model: str
    method: str
    url: str
    request: str
    timestamp: str
    status_code: int
    response: str = ""
    error: str = ""
    user_agent: str = ""
    origin: str = ""
    dmr: RequestRecord | None = None


class BodiesBody(Struct, frozen=True):
    """The body of `POST /engines/requests/_configure`."""

    bodies: bool


class Activities:
    """The handlers; all state is the runner's."""

    def __init__(self, runner: Runner, closing: asyncio.Event) -> None:
        """Answer from `runner` until `closing` is set."""
        self._runner = runner
        self._closing = closing

    def routes(self) -> list[Route]:
        """Every path."""
        return [
            Route("/engines/activity", self.activity),
            Route("/engines/requests", self.requests),
            Route("/engines/requests", self.clear, methods=["DELETE"]),
            Route("/engines/requests/_configure", self.configure, methods=["POST"]),
            Route("/engines/requests/{id}", self.bodies),
            Route("/logs", self.logs),
        ]

    async def activity(self, request: Request) -> Response:
        """`GET /engines/activity`: all that is kept, then every change, as server-sent events."""
        return self._stream(self._changes())

    async def _changes(self) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._runner.activity()) as changes:
            async for change in changes:
                for piece in _pieces(change):
                    yield sse.event(piece)

    async def requests(self, request: Request) -> Response:
        """`GET /engines/requests?model=NAME&include_existing=BOOL`, as JSON or as a stream."""
        model = request.query_params.get("model", "")
        if "text/event-stream" in request.headers.get("accept", ""):
            existing = _flag(request, "include_existing")
            return self._stream(self._docker_events(model, existing=existing))
        async with aclosing(self._runner.activity()) as changes:
            records = (await anext(changes)).requests
        records = await self._about(records, model)
        if model and not records:
            raise RouteError(404, f"no records found for model '{model}'")
        return json_response(await self._envelopes([each for each in records if not each.running]))

    async def _docker_events(self, model: str, *, existing: bool) -> AsyncGenerator[bytes, None]:
        first = True
        async with aclosing(self._runner.activity()) as changes:
            async for change in changes:
                shown = [each for each in change.requests if not each.running]
                shown = await self._about(shown, model)
                if not first or existing:
                    name = "existing_request" if first else "new_request"
                    for record in shown:
                        yield sse.event(await self._envelopes([record]), name)
                if first:
                    yield sse.event({"status": "connected"}, "connected")
                first = False

    async def _envelopes(self, records: Sequence[RequestRecord]) -> list[dict[str, Any]]:
        """Records by their models, as Docker Model Runner groups them."""
        groups: dict[str, list[RequestRecord]] = {}
        for record in records:
            groups.setdefault(record.model_id or record.model, []).append(record)
        shown = []
        for model, group in groups.items():
            newest = [await self._docker_record(record) for record in group[-MOST_RECORDS:]]
            config = await self._config(model)
            shown.append(
                {"count": len(newest), "model": model, "config": config, "records": newest}
            )
        return shown

    async def _docker_record(self, record: RequestRecord) -> DockerRecord:
        bodies = await self._runner.bodies(record.id) if record.bodies else None
        texts = bodies or Bodies()
        failed = record.status >= 400
        error = texts.response
        if failed and not error and record.error is not None:
            error = msgspec.json.encode({"error": record.error}).decode()
        moment = datetime.fromtimestamp(record.time, UTC)
        return DockerRecord(
            id=record.id,
            model=record.model,
            method=record.method or "POST",
            url=record.path or "/engines/v1/chat/completions",
            request=texts.request,
            timestamp=moment.isoformat().replace("+00:00", "Z"),
            status_code=record.status or _TIMEOUT,
            response="" if failed else texts.response,
            error=error if failed else "",
            user_agent=record.client,
            dmr=record,
        )

    async def _config(self, model: str) -> dict[str, Any]:
        try:
            profile = await self._runner.profile(model)
        except DmrError:
            # It may be gone since.
            return {}
        found: dict[str, Any] = msgspec.to_builtins(to_configuration(profile))
        return found

    async def _about(self, records: list[RequestRecord], model: str) -> list[RequestRecord]:
        """Those that ask the model that a name stands for now; all where the name is empty."""
        if not model or not records:
            return records
        try:
            wanted = (await self._runner.model(model)).id
        except DmrError:
            # It may be gone, or be pulled later.
            wanted = None
        return [each for each in records if model == each.model or each.model_id == wanted]

    async def clear(self, request: Request) -> Response:
        """`DELETE /engines/requests`: forget those that have ended."""
        await self._runner.clear_requests()
        return Response()

    async def configure(self, request: Request) -> Response:
        """`POST /engines/requests/_configure`: keep texts, or do not."""
        body = decode(await read_body(request), BodiesBody)
        await self._runner.keep_bodies(body.bodies)
        return Response(status_code=202)

    async def bodies(self, request: Request) -> Response:
        """`GET /engines/requests/{id}`: the texts of a request."""
        found = await self._runner.bodies(request.path_params["id"])
        if found is None:
            raise RouteError(404, "the texts of this request are not kept")
        return json_response(found)

    async def logs(self, request: Request) -> Response:
        """`GET /logs?follow=BOOL&no-engines=BOOL`: lines of text."""
        follow = _flag(request, "follow")
        engines = not _flag(request, "no-engines")
        return StreamedResponse(
            self._lines(follow=follow, engines=engines),
            lambda error: b"",
            self._closing,
            media_type="text/plain; charset=utf-8",
            headers=sse.HEADERS,
        )

    async def _lines(self, *, follow: bool, engines: bool) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._runner.logs(follow=follow, engines=engines)) as batches:
            async for batch in batches:
                yield b"".join(map(_line, batch))

    def _stream(self, events: AsyncGenerator[bytes, None]) -> Response:
        return StreamedResponse(
            events,
            lambda error: sse.event(error_object(error)["error"], "error"),
            self._closing,
            media_type=sse.MEDIA_TYPE,
            headers=sse.HEADERS,
        )


def _line(line: LogLine) -> bytes:
    return f"{line_text(line)}\n".encode()


def _pieces(change: Activity) -> list[Activity]:
    """A change in messages that are not too long."""
    requests = iter(change.requests)
    pieces = [msgspec.structs.replace(change, requests=list(islice(requests, _PIECE)))]
    while more := list(islice(requests, _PIECE)):
        pieces.append(Activity(requests=more, bodies=change.bodies))
    return pieces


def _flag(request: Request, name: str) -> bool:
    """A query parameter as Go's `strconv.ParseBool` reads it.

    Raises:
        InvalidRequestError: it is something else.
    """
    value = request.query_params.get(name)
    if value is None or value in _FALSE:
        return False
    if value in _TRUE:
        return True
    raise InvalidRequestError(f"invalid {name} parameter: {value!r}", "true or false", param=name)
