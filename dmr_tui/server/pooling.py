"""Embeddings in OpenAI's shape, reranking in Jina's and in TEI's, scores in vLLM's."""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from collections.abc import Sequence
from struct import unpack
from typing import Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dmr_tui.engine.questions import EmbedQuestion, RankQuestion
from dmr_tui.errors import InvalidRequestError
from dmr_tui.runner.base import Runner
from dmr_tui.server.body import decode, json_response, named_model, read_body
from dmr_tui.server.exchange import attend
from dmr_tui.server.prefixes import MODEL_PREFIX, PREFIXES

MOST_INPUTS = 2048
"""Texts of one request, or documents; OpenAI's limit."""

_RANKING_PREFIXES = ("", "/engines", *PREFIXES, MODEL_PREFIX)


class EmbeddingsBody(Struct, frozen=True):
    """The body of `POST …/embeddings`."""

    input: str | list[str | int | list[int]]
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: str | None = None


class DocumentBody(Struct, frozen=True):
    """A document as an object."""

    text: str


class RerankBody(Struct, frozen=True):
    """The body of `POST /rerank`."""

    query: str
    documents: list[str | DocumentBody] | None = None
    texts: list[str] | None = None
    """Text Embeddings Inference's word for documents; it is then answered in TEI's shape."""
    model: str | None = None
    top_n: int | None = None
    return_documents: bool | None = None
    return_text: bool | None = None
    """TEI's word for that."""


class ScoreBody(Struct, frozen=True):
    """The body of `POST /score`."""

    text_1: str | list[str]
    text_2: str | list[str]
    model: str | None = None


class Pooling:
    """The handlers; all state is the runner's."""

    def __init__(self, runner: Runner, closing: asyncio.Event) -> None:
        """Answer from `runner` until `closing` is set."""
        self._runner = runner
        self._closing = closing

    def routes(self) -> list[Route]:
        """Every path, in the order in which they must be tried."""
        routes = [
            Route(f"{prefix}/embeddings", self.embeddings, methods=["POST"])
            for prefix in (*PREFIXES, MODEL_PREFIX)
        ]
        for prefix in _RANKING_PREFIXES:
            routes.append(Route(f"{prefix}/rerank", self.rerank, methods=["POST"]))
            routes.append(Route(f"{prefix}/reranking", self.rerank, methods=["POST"]))
            routes.append(Route(f"{prefix}/score", self.score, methods=["POST"]))
        return routes

    async def embeddings(self, request: Request) -> Response:
        """`POST …/embeddings`."""
        body = decode(await read_body(request), EmbeddingsBody)
        model = named_model(request, body.model)
        work = self._runner.ask(model, EmbedQuestion(_inputs(body.input), body.dimensions))
        reply = await attend(work, request.receive, self._closing)
        shown = _base64 if body.encoding_format == "base64" else _floats
        data = [
            {"object": "embedding", "index": index, "embedding": shown(vector)}
            for index, vector in enumerate(reply.vectors)
        ]
        usage = _usage(reply.prompt_tokens)
        return json_response({"object": "list", "data": data, "model": model, "usage": usage})

    async def rerank(self, request: Request) -> Response:
        """`POST /rerank`: the documents, the best first."""
        body = decode(await read_body(request), RerankBody)
        model = named_model(request, body.model)
        given = body.texts if body.documents is None else body.documents
        if not given:
            raise InvalidRequestError("documents: at least one is required", param="documents")
        _check_number(given, "documents" if body.texts is None else "texts")
        if body.top_n is not None and body.top_n < 1:
            raise InvalidRequestError("top_n: must be 1 or more", param="top_n")
        documents = [each if isinstance(each, str) else each.text for each in given]
        work = self._runner.ask(model, RankQuestion(body.query, documents))
        reply = await attend(work, request.receive, self._closing)
        ranked = sorted(enumerate(reply.scores), key=lambda found: found[1], reverse=True)
        best = ranked[: body.top_n]
        if body.documents is None:
            return json_response(
                [
                    {"index": index, "score": score}
                    | ({"text": documents[index]} if body.return_text else {})
                    for index, score in best
                ]
            )
        results = [
            {"index": index, "relevance_score": score}
            | ({"document": {"text": documents[index]}} if body.return_documents else {})
            for index, score in best
        ]
        return json_response(
            {
                "model": model,
                "object": "list",
                "usage": _usage(reply.prompt_tokens),
                "results": results,
            }
        )

    async def score(self, request: Request) -> Response:
        """`POST /score`: a number for each pair of texts."""
        body = decode(await read_body(request), ScoreBody)
        model = named_model(request, body.model)
        work = self._runner.ask(model, _pairs(body))
        reply = await attend(work, request.receive, self._closing)
        data = [
            {"index": index, "object": "score", "score": score}
            for index, score in enumerate(reply.scores)
        ]
        return json_response(
            {
                "id": f"score-{uuid.uuid4().hex}",
                "object": "list",
                "created": int(time.time()),
                "model": model,
                "data": data,
                "usage": _usage(reply.prompt_tokens),
            }
        )


def _pairs(body: ScoreBody) -> RankQuestion:
    """One query with all documents, or each of several with the document in its place."""
    queries = [body.text_1] if isinstance(body.text_1, str) else body.text_1
    documents = [body.text_2] if isinstance(body.text_2, str) else body.text_2
    _check_number(documents, "text_2")
    if len(queries) == 1 and documents:
        return RankQuestion(queries[0], documents)
    if not queries or len(queries) != len(documents):
        raise InvalidRequestError(
            f"text_2: {len(documents)} texts do not pair with {len(queries)}", param="text_2"
        )
    return RankQuestion(queries, documents)


def _check_number(texts: Sequence[object], param: str) -> None:
    if len(texts) > MOST_INPUTS:
        raise InvalidRequestError(f"{param}: at most {MOST_INPUTS} texts are allowed", param=param)


def _inputs(given: str | list[str | int | list[int]]) -> list[str | list[int]]:
    """One text, one list of tokens, or a list of either."""
    if isinstance(given, str):
        return [given]
    tokens = [each for each in given if isinstance(each, int)]
    if tokens and len(tokens) == len(given):
        return [tokens]
    inputs = [each for each in given if not isinstance(each, int)]
    if not inputs or len(inputs) != len(given):
        raise InvalidRequestError(
            "input: a text, a list of token ids, or a list of these is required", param="input"
        )
    _check_number(inputs, "input")
    return inputs


def _floats(vector: bytes) -> list[float]:
    return list(unpack(f"<{len(vector) // 4}f", vector))


def _base64(vector: bytes) -> str:
    return base64.b64encode(vector).decode()


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": tokens, "total_tokens": tokens}
