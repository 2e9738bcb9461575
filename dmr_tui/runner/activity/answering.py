"""How a runner of this process writes down what it is asked to generate."""

from __future__ import annotations

import asyncio
from types import TracebackType

import msgspec

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import ChatRequest, GenerateRequest
from dmr_tui.errors import BusyError, DmrError
from dmr_tui.runner.activity.exchange import Answer, Exchange, current
from dmr_tui.runner.activity.journal import Journal
from dmr_tui.runner.activity.records import CLIENT_LEFT
from dmr_tui.runner.answers import to_body


class Answering:
    """A context in which one answer is generated.

    It belongs to the request over HTTP that this task answers, or is a request of its own.
    """

    def __init__(
        self,
        journal: Journal,
        client: str,
        model: str,
        request: GenerateRequest,
        profile: Profile | None,
    ) -> None:
        """Prepare to write down a request of `client`."""
        self._journal = journal
        self._client = client
        self._model = model
        self._request = request
        self._profile = profile
        self._own: Exchange | None = None
        self._exchange: Exchange | None = None
        self._answer: Answer | None = None

    def __enter__(self) -> Answer:
        """Begin."""
        self._exchange = current.get()
        if self._exchange is None:
            self._exchange = self._own = self._open()
        self._answer = self._exchange.asks(self._model)
        return self._answer

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Note how it ended."""
        assert self._exchange is not None
        assert self._answer is not None
        if isinstance(error, DmrError):
            self._exchange.fails(error)
        if isinstance(error, BusyError):
            self._exchange.drops(self._answer)
        if self._own is not None:
            self._journal.close(self._own, _status(error))

    def _open(self) -> Exchange:
        chat = isinstance(self._request, ChatRequest)
        protocol = "chat" if chat else "completions"
        exchange = self._journal.prepare(client=self._client, protocol=protocol, stream=True)
        if exchange.keeps:
            _, body = to_body(self._model, self._request, self._profile)
            exchange.request = msgspec.json.encode(body)
        self._journal.open(exchange)
        return exchange


def _status(error: BaseException | None) -> int:
    if error is None:
        return 200
    if isinstance(error, DmrError):
        return error.http_status
    left = isinstance(error, GeneratorExit | asyncio.CancelledError)
    return CLIENT_LEFT if left else 500
