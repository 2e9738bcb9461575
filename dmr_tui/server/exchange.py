"""One request being answered: it ends early when its client leaves or the endpoint stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dmr_tui.errors import DmrError, UnavailableError
from dmr_tui.runner.activity.exchange import note

T = TypeVar("T")


async def attend(work: Coroutine[Any, Any, T], receive: Receive, closing: asyncio.Event) -> T:
    """Do `work` as long as somebody waits for it.

    Args:
        work: cancelled, and awaited until it has cleaned up, when the wait is over.
        receive: the ASGI channel of a request whose body has been read.
        closing: set when the endpoint stops.

    Raises:
        ClientDisconnect: the client left first.
        UnavailableError: the endpoint stopped first.
    """
    task = asyncio.create_task(work)
    left = asyncio.create_task(_disconnected(receive))
    stopped = asyncio.create_task(closing.wait())
    try:
        await asyncio.wait({task, left, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if left.done():
            raise ClientDisconnect
        raise UnavailableError("the runner is shutting down", "start it again: dmr serve")
    finally:
        for each in (task, left, stopped):
            each.cancel()
        await asyncio.gather(task, left, stopped, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class StreamedResponse(Response):
    """A body that comes in chunks, whose status waits for the first of them.

    A `DmrError` before the first chunk is raised, so that it becomes a real HTTP error; a later one
    becomes the body's last chunk. The generator is closed in every case before the call returns.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        failure: Callable[[DmrError], bytes],
        closing: asyncio.Event,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Take the chunks, how to write a failure as one, and the endpoint's closing event."""
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.body = b""
        self._chunks = chunks
        self._failure = failure
        self._closing = closing
        self._begun = False
        self.init_headers(headers)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the chunks (ASGI)."""
        try:
            await attend(self._pump(send), receive, self._closing)
        except ClientDisconnect:
            return
        except DmrError as error:
            if not self._begun:
                raise
            note(error)
            await send(_part(self._failure(error)))
        await self._begin(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, send: Send) -> None:
        async with aclosing(self._chunks) as chunks:
            async for chunk in chunks:
                await self._begin(send)
                await send(_part(chunk))

    async def _begin(self, send: Send) -> None:
        if not self._begun:
            start = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **start})
            self._begun = True


def _part(chunk: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": chunk, "more_body": True}
