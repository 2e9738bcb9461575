"""Embedding and reranking models: real ones, with random weights."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import fsum, sqrt
from pathlib import Path
from struct import unpack
from typing import Any

import pytest
from gguf import PoolingType

from dmr_tui.engine.context import POOLED_SEQUENCES
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.llamacpp.embedding import filled
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.questions import (
    EmbedQuestion,
    PropsQuestion,
    Question,
    RankQuestion,
    TemplateQuestion,
    TokenizeQuestion,
)
from dmr_tui.errors import ContextLengthError, InvalidRequestError
from tests.engine.asking import ANY, ask, chat
from tests.support.gguf_maker import write_tiny_bert

Bert = Callable[[PoolingType | None], ModelFiles]
WIDTH = 64
A, B, C = "the first text", "another one, which is longer than that", "string"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Bert:
    """Makes a model with a kind of pooling."""
    folder = tmp_path_factory.mktemp("bert")

    def make(pooling: PoolingType | None) -> ModelFiles:
        name = "unsaid" if pooling is None else pooling.name
        file = folder / f"{name}.gguf"
        if not file.exists():
            write_tiny_bert(file, pooling=pooling)
        return ModelFiles(f"sha256:{name}", name, file)

    return make


@pytest.fixture
def embed(bert: Bert) -> ModelFiles:
    return bert(PoolingType.MEAN)


def floats(vector: bytes) -> list[float]:
    return list(unpack(f"<{len(vector) // 4}f", vector))


async def vectors(
    manager: EngineManager, files: ModelFiles, *inputs: str | list[int]
) -> list[list[float]]:
    reply = await manager.ask(files, EmbedQuestion(list(inputs)), ANY)
    return [floats(vector) for vector in reply.vectors]


async def test_texts_become_unit_vectors(manager: EngineManager, embed: ModelFiles) -> None:
    reply = await manager.ask(embed, EmbedQuestion([A, B]), ANY)
    first, second = map(floats, reply.vectors)
    assert len(first) == len(second) == WIDTH
    assert first != second
    for vector in (first, second):
        assert sqrt(fsum(x * x for x in vector)) == pytest.approx(1.0, abs=1e-5)
    tokens = [await manager.ask(embed, TokenizeQuestion(text, True), ANY) for text in (A, B)]
    assert reply.prompt_tokens == sum(len(each.tokens) for each in tokens)
    (model,) = manager.running()
    assert (model.mode, model.context_size) == ("embedding", 512)


async def test_a_batch_gives_what_each_text_gives_alone(
    manager: EngineManager, embed: ModelFiles
) -> None:
    texts = [f"text {'word ' * (number % 37)}" for number in range(2 * POOLED_SEQUENCES + 5)]
    together = await vectors(manager, embed, *texts)
    assert len(together) == len(texts)
    for number in (0, 17, 36, POOLED_SEQUENCES, len(texts) - 1):
        (alone,) = await vectors(manager, embed, texts[number])
        assert together[number] == pytest.approx(alone, abs=1e-3)


async def test_requests_at_the_same_time_get_their_own(
    manager: EngineManager, embed: ModelFiles
) -> None:
    alone = {text: (await vectors(manager, embed, text))[0] for text in (A, B, C)}
    asked = [A, B, C] * 7
    for text, (vector,) in zip(
        asked, await asyncio.gather(*(vectors(manager, embed, text) for text in asked)), strict=True
    ):
        assert vector == pytest.approx(alone[text], abs=1e-3)


async def test_tokens_are_taken_as_they_are(manager: EngineManager, embed: ModelFiles) -> None:
    tokens = (await manager.ask(embed, TokenizeQuestion(A, True), ANY)).tokens
    assert tokens[0] == 2
    assert tokens[-1] == 3
    by_text, by_tokens = await vectors(manager, embed, A, tokens)
    assert by_text == pytest.approx(by_tokens, abs=1e-5)
    with pytest.raises(InvalidRequestError, match="token 99999 is not one"):
        await vectors(manager, embed, [1, 99999])


async def test_fewer_dimensions_have_length_one_too(
    manager: EngineManager, embed: ModelFiles
) -> None:
    (whole,) = await vectors(manager, embed, A)
    reply = await manager.ask(embed, EmbedQuestion([A], dimensions=8), ANY)
    short = floats(reply.vectors[0])
    length = sqrt(fsum(x * x for x in whole[:8]))
    assert short == pytest.approx([x / length for x in whole[:8]], abs=1e-5)
    for wrong in (0, WIDTH + 1):
        with pytest.raises(InvalidRequestError, match="between 1 and 64") as caught:
            await manager.ask(embed, EmbedQuestion([A], dimensions=wrong), ANY)
        assert caught.value.param == "dimensions"


async def test_each_pooling_is_its_own(manager: EngineManager, bert: Bert) -> None:
    found = {
        kind: (await vectors(manager, bert(kind), A))[0]
        for kind in (PoolingType.MEAN, PoolingType.CLS, PoolingType.LAST, None)
    }
    assert found[None] == found[PoolingType.MEAN]
    distinct = {tuple(vector) for vector in found.values()}
    assert len(distinct) == 3


async def test_what_is_too_long_is_refused_with_numbers(
    manager: EngineManager, embed: ModelFiles
) -> None:
    (fits,) = await vectors(manager, embed, [7] * 512)
    assert len(fits) == WIDTH
    with pytest.raises(ContextLengthError, match="text 1 has 513 tokens, the context holds 512"):
        await vectors(manager, embed, [7], [7] * 513)


async def test_no_larger_context_than_the_model_was_trained_with(
    manager: EngineManager, embed: ModelFiles
) -> None:
    await manager.load(embed, Profile(context_size=4096))
    (model,) = manager.running()
    assert model.context_size == 512


async def test_nothing_asked_nothing_given(manager: EngineManager, embed: ModelFiles) -> None:
    assert (await manager.ask(embed, EmbedQuestion([]), ANY)).vectors == []
    with pytest.raises(InvalidRequestError, match="must not be empty"):
        await vectors(manager, embed, A, [])


async def test_an_embedding_model_does_not_chat(manager: EngineManager, embed: ModelFiles) -> None:
    with pytest.raises(InvalidRequestError, match="is for embedding: it cannot write") as caught:
        await ask(manager, embed, chat("Hello"))
    assert "/v1/embeddings" in (caught.value.hint or "")
    with pytest.raises(InvalidRequestError, match="is for embedding, not for reranking"):
        await manager.ask(embed, RankQuestion(A, [B]), ANY)
    with pytest.raises(InvalidRequestError, match="no chat template"):
        await manager.ask(embed, TemplateQuestion(chat("Hello")), ANY)
    assert await vectors(manager, embed, A)


async def test_a_chat_model_gives_no_vectors(manager: EngineManager, tiny: ModelFiles) -> None:
    with pytest.raises(InvalidRequestError, match="is for completion, not for embedding"):
        await vectors(manager, tiny, A)
    with pytest.raises(InvalidRequestError, match="is for completion, not for reranking"):
        await manager.ask(tiny, RankQuestion(A, [B]), ANY)


async def test_documents_are_scored_against_a_query(manager: EngineManager, bert: Bert) -> None:
    ranker = bert(PoolingType.RANK)
    reply = await manager.ask(ranker, RankQuestion(A, [A, B, C]), ANY)
    assert len(set(reply.scores)) == 3
    (alone,) = (await manager.ask(ranker, RankQuestion(A, [B]), ANY)).scores
    assert reply.scores[1] == pytest.approx(alone, abs=1e-3)
    (other,) = (await manager.ask(ranker, RankQuestion(C, [B]), ANY)).scores
    assert other != pytest.approx(alone, abs=1e-3)
    assert reply.prompt_tokens > 0
    assert (await manager.ask(ranker, PropsQuestion(), ANY)).mode == "reranking"
    with pytest.raises(InvalidRequestError, match="is for reranking: it cannot write") as caught:
        await ask(manager, ranker, chat("Hello"))
    assert "/rerank" in (caught.value.hint or "")


async def test_each_document_may_have_its_own_query(manager: EngineManager, bert: Bert) -> None:
    ranker = bert(PoolingType.RANK)
    reply = await manager.ask(ranker, RankQuestion([A, C], [B, A]), ANY)
    alone = [
        await manager.ask(ranker, RankQuestion(query, [document]), ANY)
        for query, document in ((A, B), (C, A))
    ]
    assert reply.scores == pytest.approx([each.scores[0] for each in alone], abs=1e-3)
    assert reply.prompt_tokens == sum(each.prompt_tokens for each in alone)


async def test_of_much_too_long_a_text_only_the_beginning_is_looked_at(
    manager: EngineManager, embed: ModelFiles, bert: Bert
) -> None:
    long = "word " * 100_000
    asked: list[tuple[ModelFiles, Question[Any], str]] = [
        (embed, EmbedQuestion([A, long]), "input"),
        (bert(PoolingType.RANK), RankQuestion(A, [B, long]), "documents"),
        (bert(PoolingType.RANK), RankQuestion(long, [B]), "query"),
        (bert(PoolingType.RANK), RankQuestion([A, long], [B, B]), "query"),
    ]
    for files, question, param in asked:
        with pytest.raises(ContextLengthError, match=r"has at least \d+ tokens") as caught:
            await manager.ask(files, question, ANY)
        assert caught.value.param == param


def test_a_query_may_speak_of_a_models_form() -> None:
    form = "<q>{query}</q><d>{document}</d>{other}"
    text = filled(form, query="what is {document}?", document="a {query} \\1")
    assert text == "<q>what is {document}?</q><d>a {query} \\1</d>{other}"


async def test_a_question_that_nobody_waits_for_is_dropped(
    manager: EngineManager, embed: ModelFiles
) -> None:
    await manager.load(embed, ANY)
    long = asyncio.create_task(
        manager.ask(embed, EmbedQuestion([f"word {number}" for number in range(20000)]), ANY)
    )
    while not manager.in_use(embed.id):
        await asyncio.sleep(0)
    long.cancel()
    assert await vectors(manager, embed, A)
    assert not manager.in_use(embed.id)


def test_the_maker_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_tiny_bert(tmp_path / "a.gguf").read_bytes()
    assert write_tiny_bert(tmp_path / "b.gguf").read_bytes() == first
