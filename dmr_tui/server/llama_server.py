"""The small routes of llama-server: tokens, templates, facts, health.

They take the same bodies as llama-server's; `model` says which one, and may be left out while a
single model is in memory.
"""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import Struct, to_builtins
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dmr_tui.engine.questions import (
    DetokenizeQuestion,
    PropsQuestion,
    TemplateQuestion,
    TokenizeQuestion,
)
from dmr_tui.errors import InvalidRequestError
from dmr_tui.runner.base import Runner
from dmr_tui.server.body import decode, json_response, read_body, stored_name
from dmr_tui.server.exchange import attend
from dmr_tui.server.openai_answer import FINGERPRINT
from dmr_tui.server.openai_request import ChatBody, to_chat
from dmr_tui.server.prefixes import HEALTH_PATHS, LLAMA_SERVER_PREFIXES

_NO_LIMITS = {"max_tokens": -1, "n_predict": -1, "stream": False}


class TokenizeBody(Struct, frozen=True):
    """The body of `POST /tokenize`."""

    content: str | list[str | int] = ""
    model: str | None = None
    add_special: bool = False
    parse_special: bool = True
    with_pieces: bool = False


class DetokenizeBody(Struct, frozen=True):
    """The body of `POST /detokenize`."""

    tokens: list[int] = []
    model: str | None = None


class LlamaServer:
    """The handlers; all state is the runner's."""

    def __init__(self, runner: Runner, closing: asyncio.Event) -> None:
        """Answer from `runner` until `closing` is set."""
        self._runner = runner
        self._closing = closing

    def routes(self) -> list[Route]:
        """Every path, as llama-server has them and below the engine's name."""
        routes = [
            route
            for prefix in LLAMA_SERVER_PREFIXES
            for route in (
                Route(f"{prefix}/tokenize", self.tokenize, methods=["POST"]),
                Route(f"{prefix}/detokenize", self.detokenize, methods=["POST"]),
                Route(f"{prefix}/apply-template", self.apply_template, methods=["POST"]),
                Route(f"{prefix}/props", self.props),
            )
        ]
        return routes + [Route(path, self.health) for path in HEALTH_PATHS]

    async def tokenize(self, request: Request) -> Response:
        """`POST /tokenize`."""
        body = decode(await read_body(request), TokenizeBody)
        question = TokenizeQuestion(body.content, body.add_special, body.parse_special)
        work = self._runner.ask(await self._model(body.model), question)
        reply = await attend(work, request.receive, self._closing)
        if not body.with_pieces:
            return json_response({"tokens": reply.tokens})
        pairs = zip(reply.tokens, reply.pieces, strict=True)
        return json_response(
            {"tokens": [{"id": token, "piece": _piece(piece)} for token, piece in pairs]}
        )

    async def detokenize(self, request: Request) -> Response:
        """`POST /detokenize`."""
        body = decode(await read_body(request), DetokenizeBody)
        question = DetokenizeQuestion(body.tokens)
        work = self._runner.ask(await self._model(body.model), question)
        reply = await attend(work, request.receive, self._closing)
        return json_response({"content": reply.text})

    async def apply_template(self, request: Request) -> Response:
        """`POST /apply-template`: what a chat request would be as a text."""
        body = decode(await read_body(request), ChatBody)
        question = TemplateQuestion(to_chat(body))
        work = self._runner.ask(await self._model(body.model), question)
        reply = await attend(work, request.receive, self._closing)
        return json_response({"prompt": reply.text})

    async def props(self, request: Request) -> Response:
        """`GET /props`."""
        model = await self._model(request.query_params.get("model"))
        work = self._runner.ask(model, PropsQuestion())
        reply = await attend(work, request.receive, self._closing)
        stored = (await self._runner.profile(model)).sampling
        sampling = {**to_builtins(reply.sampling), **to_builtins(stored)}
        return json_response(
            {
                "default_generation_settings": {
                    "params": {**sampling, **_NO_LIMITS},
                    "n_ctx": reply.context_size,
                },
                "total_slots": reply.sequences,
                "model_alias": model,
                "model_path": model,
                "model_description": reply.description,
                "mode": reply.mode,
                "modalities": {"vision": False, "audio": False},
                "chat_template": reply.chat_template,
                "bos_token": reply.bos,
                "eos_token": reply.eos,
                "build_info": FINGERPRINT,
                "is_sleeping": False,
            }
        )

    async def health(self, request: Request) -> Response:
        """`GET /health`."""
        return json_response({"status": "ok"})

    async def _model(self, asked: str | None) -> str:
        if asked:
            return stored_name(asked)
        loaded = [model for model in await self._runner.running() if model.state == "ready"]
        if len(loaded) != 1:
            raise InvalidRequestError(
                f"model is required while {len(loaded)} models are in memory", param="model"
            )
        return loaded[0].name


def _piece(piece: bytes) -> Any:
    """A token's text, or its bytes as numbers where they are no whole characters."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return list(piece)
