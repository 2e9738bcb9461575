"""Writes down the requests that come over HTTP: who asked what, and how it ended.

Whatever protocol a route speaks, this is outside of it: the status and the kind of the answer are
seen on their way to the client, the rest is told by the runner.
"""

from __future__ import annotations

from msgspec import Struct
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dmr_tui.errors import InvalidRequestError
from dmr_tui.runner.activity.exchange import Exchange, current
from dmr_tui.runner.activity.records import CLIENT_LEFT, LONGEST_TEXT, shortened
from dmr_tui.runner.base import Runner
from dmr_tui.server.body import decode

PROTOCOLS = {
    "/chat/completions": "chat",
    "/completions": "completions",
    "/embeddings": "embeddings",
    "/rerank": "rerank",
    "/reranking": "rerank",
    "/score": "score",
    "/responses": "responses",
    "/messages": "messages",
    "/count_tokens": "count tokens",
    "/api/chat": "ollama chat",
    "/api/generate": "ollama generate",
    "/api/embed": "ollama embed",
    "/tokenize": "tokenize",
    "/detokenize": "detokenize",
    "/apply-template": "template",
}
"""Ends of the paths that ask something of a model, and what that is called."""

_REFUSED = frozenset({403, 404, 405})
"""Answers that are recorded on every path: a client that does not get in looks for the reason."""

_STREAMS = ("text/event-stream", "application/x-ndjson")
_LONGEST_CLIENT = 200


class Recording:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, *, runner: Runner) -> None:
        """Record what `app` answers in the journal of `runner`, if that has one."""
        self._app = app
        self._runner = runner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on (ASGI)."""
        journal = self._runner.journal
        if scope["type"] != "http" or journal is None:
            await self._app(scope, receive, send)
            return
        protocol = _protocol(scope)
        exchange = journal.prepare(
            client=Headers(scope=scope).get("user-agent", "")[:_LONGEST_CLIENT],
            protocol=protocol,
            method=scope["method"],
            path=shortened(scope["path"], LONGEST_TEXT),
        )
        if protocol:
            journal.open(exchange)
        watch = _Watch(exchange, receive, send)
        token = current.set(exchange)
        try:
            await self._app(scope, watch.receive, watch.send)
        finally:
            current.reset(token)
            if protocol or watch.refused:
                watch.sum_up()
                journal.close(exchange, watch.status)


def _protocol(scope: Scope) -> str:
    """What a request asks for; empty when it asks nothing of a model."""
    if scope["method"] != "POST":
        return ""
    path = scope["path"].rstrip("/")
    return next((name for end, name in PROTOCOLS.items() if path.endswith(end)), "")


class _Asked(Struct, frozen=True):
    """What every protocol calls the same."""

    model: str = ""
    stream: bool = False


class _Watch:
    """Looks at what is received and sent for one request."""

    def __init__(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        self._exchange = exchange
        self._receive = receive
        self._send = send
        self._asked: list[bytes] = []
        self._answer: list[bytes] = []
        self._begun = 0
        self._complete = False
        self._left = False

    @property
    def _keeps(self) -> bool:
        return self._exchange.keeps and bool(self._exchange.protocol)

    @property
    def status(self) -> int:
        """How it ended."""
        if self._left and not self._complete:
            return CLIENT_LEFT
        if self._exchange.error is not None and self._begun == 200:
            # The answer was broken off after it had begun.
            return self._exchange.error_status
        return self._begun or 500

    @property
    def refused(self) -> bool:
        """Whether there is no such path, or it is not for this client."""
        error = self._exchange.error
        unknown = error is not None and error.code != "model_not_found"
        return self._begun in _REFUSED and unknown

    async def receive(self) -> Message:
        """Receive (ASGI)."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._left = True
        elif self._exchange.protocol:
            # Also where texts are not kept: what is refused early has told its model to nobody.
            self._asked.append(message.get("body", b""))
            if self._keeps and not message.get("more_body", False):
                # So that it can be read while it is answered.
                self._exchange.request = b"".join(self._asked)
        return message

    async def send(self, message: Message) -> None:
        """Send (ASGI)."""
        if message["type"] == "http.response.start":
            self._begun = message["status"]
            kind = Headers(raw=message["headers"]).get("content-type", "")
            self._exchange.stream = kind.startswith(_STREAMS)
        elif message["type"] == "http.response.body":
            if self._keeps and not self._exchange.stream:
                self._answer.append(message.get("body", b""))
            await self._send(message)
            self._complete = self._complete or not message.get("more_body", False)
            return
        await self._send(message)

    def sum_up(self) -> None:
        """Complete the exchange before it is closed."""
        body = b"".join(self._asked)
        if not self._exchange.model:
            # It has not got as far as the runner.
            try:
                self._exchange.names(decode(body, _Asked).model)
            except InvalidRequestError:
                self._exchange.names("")
        if self._keeps:
            self._exchange.response = b"".join(self._answer)
