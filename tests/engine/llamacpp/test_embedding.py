"""What the main thread of an embedding model's worker does, seen from inside."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest
from gguf import PoolingType

from dmr_tui.engine.context import QUEUE
from dmr_tui.engine.llamacpp.embedding import EmbeddingService
from dmr_tui.engine.llamacpp.opening import open_service
from dmr_tui.engine.protocol import Failed, Load, Query, Reply
from dmr_tui.engine.questions import EmbedQuestion
from tests.engine.llamacpp.test_service import Pipe
from tests.support.gguf_maker import write_tiny_bert


@pytest.fixture
def service(tmp_path: Path) -> tuple[EmbeddingService, Pipe]:
    pipe = Pipe()
    file = write_tiny_bert(tmp_path / "bert.gguf", pooling=PoolingType.MEAN)
    load = Load(str(file), None, None, None, 64, 1, 0, mode="embedding")
    opened = open_service(load, pipe)
    assert isinstance(opened, EmbeddingService)
    pipe.sent.clear()
    return opened, pipe


def test_a_vector_without_numbers_fails_its_own_request(
    service: tuple[EmbeddingService, Pipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding, pipe = service
    compute = embedding._context.compute

    def spoiled(texts: list[list[int]]) -> list[bytes]:
        first, *rest = compute(texts)
        return [struct.pack(f"<{len(first) // 4}f", *[math.nan] * (len(first) // 4)), *rest]

    monkeypatch.setattr(embedding._context, "compute", spoiled)
    for number in (1, 2):
        pipe.inbox.put(Query(number, EmbedQuestion(["hello"])))
    embedding.turn()
    spoilt, good, *_ = pipe.sent
    assert spoilt == Failed(1, "engine_error", "the computation gave what is no number")
    assert isinstance(good, Reply)
    assert good.id == 2


def test_a_full_queue_refuses(service: tuple[EmbeddingService, Pipe]) -> None:
    embedding, pipe = service
    for number in range(QUEUE + 2):
        pipe.inbox.put(Query(number, EmbedQuestion(["hello"])))
    embedding.turn()
    refused = [message for message in pipe.sent if isinstance(message, Failed)]
    assert [(each.id, each.code) for each in refused] == [
        (QUEUE, "too_many_requests"),
        (QUEUE + 1, "too_many_requests"),
    ]
