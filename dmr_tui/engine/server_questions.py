"""Questions to llama-server, of which it does not know all parts."""

from __future__ import annotations

from typing import Any, Protocol, cast

from msgspec.structs import replace

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.protocol import Load
from dmr_tui.engine.questions import (
    A,
    EmbedQuestion,
    Props,
    Question,
    RankQuestion,
    TemplateQuestion,
    Vectors,
)
from dmr_tui.engine.server_requests import told
from dmr_tui.engine.vectors import check_dimensions, unit
from dmr_tui.errors import InvalidRequestError


class Ask(Protocol):
    """Asks llama-server."""

    async def __call__(self, model: str, question: Question[A]) -> A:
        """The reply to a question."""
        ...


async def reply_to(
    question: Question[A], ask: Ask, files: ModelFiles, load: Load, props: Props
) -> A:
    """The reply to a question.

    Args:
        question: what is asked.
        ask: asks llama-server.
        files: the model.
        load: how it has been loaded.
        props: what it says of itself.

    Raises:
        DmrError: the question makes no sense, or not for this model.
    """
    asked: Question[Any] = question
    match asked:
        case EmbedQuestion(_, dimensions):
            _check_mode("embedding", load)
            # It knows whole vectors only.
            found = await ask(files.name, replace(asked, dimensions=None))
            return cast(A, found if dimensions is None else _cut(found, dimensions))
        case RankQuestion():
            _check_mode("reranking", load)
        case TemplateQuestion(request):
            asked = TemplateQuestion(told(request, props))
    return cast(A, await ask(files.name, asked))


def _check_mode(wanted: str, load: Load) -> None:
    if wanted != load.mode:
        raise InvalidRequestError(
            f"this model is for {load.mode}, not for {wanted}",
            f"pull one that was made for {wanted}",
            param="model",
        )


def _cut(found: Vectors, dimensions: int) -> Vectors:
    for vector in found.vectors:
        check_dimensions(dimensions, len(vector) // 4)
    return replace(found, vectors=[unit(vector, dimensions) for vector in found.vectors])
