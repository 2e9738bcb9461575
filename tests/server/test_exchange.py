"""The life of one request, without a network: what is closed, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from dmr_tui.errors import DmrError, EngineError, UnavailableError
from dmr_tui.server.exchange import StreamedResponse, attend


class Channel:
    """An ASGI channel: a client that leaves when it is told to, and may not read."""

    def __init__(self, *, reads: int = 99) -> None:
        """A client that reads so many messages, and the rest when `reading` is set."""
        self.reads = reads
        self.left = asyncio.Event()
        self.reading = asyncio.Event()
        self.full = asyncio.Event()
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if len(self.sent) >= self.reads:
            self.full.set()
            await self.reading.wait()
        self.sent.append(message)


class Source:
    """Chunks whose end is noticed."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.closed = False
        self.chunks = self._produce(failure)

    async def _produce(self, failure: Exception | None) -> AsyncGenerator[bytes, None]:
        try:
            yield b"one"
            if failure:
                raise failure
            yield b"two"
        finally:
            await asyncio.sleep(0)  # cleaning up takes time
            self.closed = True


def respond(source: Source, closing: asyncio.Event) -> StreamedResponse:
    return StreamedResponse(
        source.chunks, lambda error: error.message.encode(), closing, media_type="text/plain"
    )


def bodies(channel: Channel) -> list[tuple[bytes, bool]]:
    return [(sent["body"], sent["more_body"]) for sent in channel.sent[1:]]


async def test_chunks_are_sent_as_they_are() -> None:
    channel, source = Channel(), Source()
    response = respond(source, asyncio.Event())
    await response({"type": "http"}, channel.receive, channel.send)
    assert channel.sent[0]["status"] == 200
    assert b"content-length" not in dict(channel.sent[0]["headers"])
    assert bodies(channel) == [(b"one", True), (b"two", True), (b"", False)]
    assert source.closed


@pytest.mark.parametrize("reads", [0, 1, 2])
@pytest.mark.parametrize("leaves", [True, False])
async def test_a_stream_whose_client_does_not_read_is_closed_before_the_call_returns(
    leaves: bool, reads: int
) -> None:
    channel, source, closing = Channel(reads=reads), Source(), asyncio.Event()
    response = respond(source, closing)
    call = response({"type": "http"}, channel.receive, channel.send)
    answering = asyncio.ensure_future(call)
    await channel.full.wait()
    (channel.left if leaves else closing).set()
    while not source.closed:
        assert not answering.done()
        await asyncio.sleep(0)
    channel.reading.set()
    await asyncio.wait({answering})
    # A client that has left is told nothing more; one that waits is told why.
    if leaves:
        assert answering.exception() is None
        assert len(channel.sent) == reads
    elif reads == 0:
        assert isinstance(answering.exception(), UnavailableError)
    else:
        *_, why, end = bodies(channel)
        assert why[0].startswith(b"the runner is shutting down")
        assert end == (b"", False)


async def test_a_failure_is_raised_before_the_first_chunk_and_written_after_it() -> None:
    channel, source = Channel(), Source(EngineError("it died"))
    await respond(source, asyncio.Event())({"type": "http"}, channel.receive, channel.send)
    assert bodies(channel) == [(b"one", True), (b"it died", True), (b"", False)]

    async def fail() -> AsyncGenerator[bytes, None]:
        raise EngineError("at once")
        yield b""

    response = StreamedResponse(fail(), lambda error: b"", asyncio.Event(), media_type="text/plain")
    channel = Channel()
    with pytest.raises(EngineError, match="at once"):
        await response({"type": "http"}, channel.receive, channel.send)
    assert channel.sent == []


async def forever(cleaned: asyncio.Event) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        cleaned.set()


async def test_work_ends_with_the_wait_for_it() -> None:
    for kind in (ClientDisconnect, UnavailableError):
        channel, closing, cleaned = Channel(), asyncio.Event(), asyncio.Event()
        (channel.left if kind is ClientDisconnect else closing).set()
        with pytest.raises(kind):
            await attend(forever(cleaned), channel.receive, closing)
        assert cleaned.is_set()
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelling_the_wait_cancels_the_work() -> None:
    channel, cleaned = Channel(), asyncio.Event()
    waiting = asyncio.create_task(attend(forever(cleaned), channel.receive, asyncio.Event()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cleaned.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_result_or_a_failure_counts_more_than_a_client_that_leaves() -> None:
    channel, closing = Channel(), asyncio.Event()
    channel.left.set()
    closing.set()

    async def succeed() -> int:
        return 7

    async def fail() -> int:
        raise DmrError("no")

    assert await attend(succeed(), channel.receive, closing) == 7
    with pytest.raises(DmrError, match="no"):
        await attend(fail(), channel.receive, closing)
