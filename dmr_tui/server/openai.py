"""OpenAI's API: chat, completions and models, over one `Runner`.

Every route exists under `/engines/v1`, `/engines/llama.cpp/v1`, `/v1`, and under
`/engines/{model}/v1`, where the path names the model and the body need not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dmr_tui.engine.questions import DetokenizeQuestion
from dmr_tui.engine.request import (
    Delta,
    Finished,
    GenerateRequest,
    Loading,
    PromptLogprobs,
    ReasoningDelta,
    Started,
    ToolCallDelta,
    Usage,
)
from dmr_tui.errors import EngineError, InvalidRequestError
from dmr_tui.runner.base import Model, Runner
from dmr_tui.server import sse
from dmr_tui.server.body import decode, json_response, read_body, stored_name
from dmr_tui.server.choices import Ask, merge, multiply
from dmr_tui.server.errors import error_object
from dmr_tui.server.exchange import StreamedResponse, attend
from dmr_tui.server.openai_answer import ChatShape, Collected, CompletionShape, Shape
from dmr_tui.server.openai_functions import uses_functions
from dmr_tui.server.openai_request import (
    ChatBody,
    CompletionBody,
    GenerationBody,
    choices,
    to_chat,
    to_completions,
)
from dmr_tui.server.openai_usage import total
from dmr_tui.server.prefixes import MODEL_PREFIX, PREFIXES


class OpenAI:
    """The handlers; all state is the runner's."""

    def __init__(self, runner: Runner, closing: asyncio.Event) -> None:
        """Answer from `runner` until `closing` is set."""
        self._runner = runner
        self._closing = closing

    def routes(self) -> list[Route]:
        """Every path, in the order in which they must be tried."""
        return [
            route
            for prefix in (*PREFIXES, MODEL_PREFIX)
            for route in (
                Route(f"{prefix}/chat/completions", self.chat, methods=["POST"]),
                Route(f"{prefix}/completions", self.completions, methods=["POST"]),
                Route(f"{prefix}/models", self.models),
                Route(f"{prefix}/models/{{name:path}}", self.model),
            )
        ]

    async def chat(self, request: Request) -> Response:
        """`POST …/chat/completions`."""
        body = decode(await read_body(request), ChatBody)
        model = _asked_model(request, body)
        if _preload_only(request):
            return await self._preload(request, model, body)
        requests = multiply([to_chat(body)], choices(body))
        shape = ChatShape(model, choices(body), functions=uses_functions(body))
        return await self._answer(request, model, body, shape, requests)

    async def completions(self, request: Request) -> Response:
        """`POST …/completions`."""
        body = decode(await read_body(request), CompletionBody)
        model = _asked_model(request, body)
        if _preload_only(request):
            return await self._preload(request, model, body)
        requests = multiply(to_completions(body), choices(body))
        echo = []
        if body.echo:
            work = self._texts(model, [each.prompt for each in requests])
            echo = await attend(work, request.receive, self._closing)
        shape = CompletionShape(model, echo, choices(body))
        return await self._answer(request, model, body, shape, requests)

    async def _texts(self, model: str, prompts: Sequence[str | list[int]]) -> list[str]:
        """What prompts say; tokens are put together by the model that they are for."""
        return [
            prompt
            if isinstance(prompt, str)
            else (await self._runner.ask(model, DetokenizeQuestion(prompt))).text
            for prompt in prompts
        ]

    async def models(self, request: Request) -> Response:
        """`GET …/models`: all, or the one that the path names."""
        named = request.path_params.get("model")
        models = [await self._runner.model(named)] if named else await self._runner.models()
        return json_response({"object": "list", "data": [describe(model) for model in models]})

    async def model(self, request: Request) -> Response:
        """`GET …/models/{name}`."""
        return json_response(describe(await self._runner.model(request.path_params["name"])))

    async def _preload(self, request: Request, model: str, body: GenerationBody) -> Response:
        work = self._runner.load(model, profile=body.dmr_profile)
        await attend(work, request.receive, self._closing)
        return Response()

    async def _answer(
        self,
        request: Request,
        model: str,
        body: GenerationBody,
        shape: Shape,
        requests: Sequence[GenerateRequest],
    ) -> Response:
        asks = [
            partial(self._runner.generate, model, each, profile=body.dmr_profile)
            for each in requests
        ]
        if not body.stream:
            work = collect(asks)
            return json_response(shape.whole(await attend(work, request.receive, self._closing)))
        return StreamedResponse(
            stream(asks, shape, include_usage=body.include_usage),
            lambda error: sse.event(error_object(error)),
            self._closing,
            media_type=sse.MEDIA_TYPE,
            headers=sse.HEADERS,
        )


async def collect(asks: Sequence[Ask]) -> list[Collected]:
    """Wait for whole answers."""
    whole = [Collected() for _ in asks]
    finished = 0
    async with aclosing(merge(asks)) as events:
        async for index, event in events:
            if isinstance(event, Delta | ReasoningDelta | ToolCallDelta):
                whole[index].add(event)
            elif isinstance(event, PromptLogprobs):
                whole[index].prompt = event
            elif isinstance(event, Finished):
                whole[index].reason, whole[index].usage = event.reason, event.usage
                finished += 1
    if finished < len(whole):
        raise _cut_off()
    return whole


async def stream(
    asks: Sequence[Ask], shape: Shape, *, include_usage: bool
) -> AsyncGenerator[bytes, None]:
    """Write answers as server-sent events while they come.

    Nothing is yielded before an answer has started.
    """
    finals: dict[int, Usage] = {}
    async with aclosing(merge(asks)) as events:
        async for index, event in events:
            match event:
                case Started():
                    opening = shape.opening(index)
                    if opening is not None:
                        yield sse.event(opening)
                case PromptLogprobs():
                    told = shape.prompt(index, event)
                    if told is not None:
                        yield sse.event(told)
                case Delta() | ReasoningDelta() | ToolCallDelta():
                    yield sse.event(shape.piece(index, event))
                case Finished(reason, usage):
                    finals[index] = usage
                    shown = None if include_usage else usage
                    yield sse.event(shape.closing(index, reason, shown))
                case Loading():
                    pass
    if len(finals) < len(asks):
        raise _cut_off()
    if include_usage:
        ordered = [finals[index] for index in range(len(asks))]
        yield sse.event(shape.usage(total(ordered, shape.choices)))
    yield sse.DONE


def describe(model: Model) -> dict[str, Any]:
    """OpenAI's model object, with Docker Model Runner's `dmr` facts; empty ones are left out."""
    config = model.config
    facts = {
        "context_window": config.context_size or config.trained_context,
        "architecture": config.architecture,
        "parameters": config.parameters,
        "quantization": config.quantization,
        "size": config.size,
    }
    return {
        "id": model.tags[0] if model.tags else model.id,
        "object": "model",
        "created": model.created,
        "owned_by": "docker",
        "dmr": {key: value for key, value in facts.items() if value},
    }


def _asked_model(request: Request, body: GenerationBody) -> str:
    model = request.path_params.get("model") or body.model
    if not model:
        raise InvalidRequestError("model is required", param="model")
    return stored_name(str(model))


def _preload_only(request: Request) -> bool:
    return request.headers.get("x-preload-only", "").lower() == "true"


def _cut_off() -> EngineError:
    return EngineError("the answer ended before it was finished")
