"""Questions to a model as HTTP requests, and the replies."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct

from dmr_tui.engine.questions import (
    A,
    AnyReply,
    DetokenizeQuestion,
    EmbedQuestion,
    Props,
    PropsQuestion,
    Question,
    RankQuestion,
    Scores,
    TemplateQuestion,
    Text,
    TokenizeQuestion,
    Tokens,
    Vectors,
)
from dmr_tui.engine.request import Sampling
from dmr_tui.errors import UnavailableError
from dmr_tui.runner.answers import to_body

T = TypeVar("T")
Ask = Callable[..., Awaitable[bytes]]


class _Usage(Struct, frozen=True):
    prompt_tokens: int = 0


class _Vector(Struct, frozen=True):
    embedding: str


class _Vectors(Struct, frozen=True):
    data: list[_Vector]
    usage: _Usage = _Usage()


class _Score(Struct, frozen=True):
    index: int
    relevance_score: float


class _Scores(Struct, frozen=True):
    results: list[_Score]
    usage: _Usage = _Usage()


class _Token(Struct, frozen=True):
    id: int
    piece: str | list[int]


class _Tokens(Struct, frozen=True):
    tokens: list[_Token]


class _Content(Struct, frozen=True):
    content: str


class _Prompt(Struct, frozen=True):
    prompt: str


class _Settings(Struct, frozen=True):
    n_ctx: int = 0
    params: Sampling = Sampling()


class _Props(Struct, frozen=True):
    default_generation_settings: _Settings = _Settings()
    total_slots: int = 1
    model_description: str = ""
    mode: str = "completion"
    chat_template: str = ""
    chat_template_tool_use: str = ""
    bos_token: str = ""
    eos_token: str = ""


async def inquire(ask: Ask, model: str, question: Question[A]) -> A:
    """Ask the runner behind `ask` (see `Connection.ask`).

    Raises:
        DmrError: it refuses, or answers with something else.
    """
    return cast(A, await _inquire(ask, model, question))


async def _inquire(ask: Ask, model: str, question: Question[A]) -> AnyReply:
    async def post(path: str, kind: type[T], **fields: Any) -> T:
        body = {"model": model, **fields}
        return _decode(await ask("POST", path, body=body, timeout=None), kind)

    match question:
        case EmbedQuestion(inputs, dimensions):
            wish = {} if dimensions is None else {"dimensions": dimensions}
            found = await post(
                "/engines/v1/embeddings", _Vectors, input=inputs, encoding_format="base64", **wish
            )
            vectors = [base64.b64decode(each.embedding) for each in found.data]
            return Vectors(vectors, found.usage.prompt_tokens)
        case RankQuestion(query, documents):
            # llama-server takes one query at a time.
            groups = (
                [(query, documents)]
                if isinstance(query, str)
                else [(one, [two]) for one, two in zip(query, documents, strict=True)]
            )
            scores, tokens = list[float](), 0
            for one, some in groups:
                ranked = await post("/engines/rerank", _Scores, query=one, documents=some)
                by_index = sorted(ranked.results, key=lambda result: result.index)
                scores += [result.relevance_score for result in by_index]
                tokens += ranked.usage.prompt_tokens
            return Scores(scores, tokens)
        case TokenizeQuestion(text, add_special, parse_special):
            flags = {"add_special": add_special, "parse_special": parse_special}
            cut = await post("/engines/tokenize", _Tokens, content=text, with_pieces=True, **flags)
            return Tokens([each.id for each in cut.tokens], [_bytes(each) for each in cut.tokens])
        case DetokenizeQuestion(tokens):
            return Text((await post("/engines/detokenize", _Content, tokens=tokens)).content)
        case TemplateQuestion(request):
            _, body = to_body(model, request, None)
            return Text((await post("/engines/apply-template", _Prompt, **body)).prompt)
        case PropsQuestion():
            raw = await ask("GET", "/engines/props", params={"model": model}, timeout=None)
            return _props(_decode(raw, _Props))
    raise TypeError(f"no such question: {question!r}")


def _props(found: _Props) -> Props:
    return Props(
        description=found.model_description,
        context_size=found.default_generation_settings.n_ctx,
        sequences=found.total_slots,
        mode=found.mode,
        chat_template=found.chat_template,
        bos=found.bos_token,
        eos=found.eos_token,
        sampling=found.default_generation_settings.params,
        tool_template=found.chat_template_tool_use,
    )


def _bytes(token: _Token) -> bytes:
    return token.piece.encode() if isinstance(token.piece, str) else bytes(token.piece)


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise UnavailableError(f"the runner's answer makes no sense: {error}") from error
