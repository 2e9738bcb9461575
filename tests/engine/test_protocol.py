"""Messages come over a pipe as they were sent."""

from __future__ import annotations

import io

import pytest

from dmr_tui.engine.protocol import (
    Cancel,
    Failed,
    FromWorker,
    Generate,
    Load,
    Loaded,
    LoadFailed,
    LoadProgress,
    Step,
    ToWorker,
    decode_from_worker,
    decode_to_worker,
    encode_frame,
    read_frame,
)
from dmr_tui.engine.request import (
    ChatRequest,
    CompletionRequest,
    Delta,
    Finished,
    ImagePart,
    ImageURL,
    Limits,
    Message,
    Sampling,
    Started,
    TextPart,
    Usage,
)
from dmr_tui.engine.stats import Stats
from dmr_tui.errors import InvalidRequestError

CHAT = ChatRequest(
    [Message("user", [TextPart("hé"), ImagePart(ImageURL("data:,"))]), Message("assistant")],
    Sampling(temperature=0.5, seed=7),
    Limits(5, ["a", "b"]),
    {"enable_thinking": False},
)
TO_WORKER: list[ToWorker] = [
    Load("/m.gguf", None, -1, None, 0, 2, -1),
    Generate(1, CHAT),
    Generate(2**40, CompletionRequest([1, 2])),
    Generate(3, CompletionRequest("text")),
    Cancel(1),
]
FROM_WORKER: list[FromWorker] = [
    LoadProgress(0.5),
    Loaded("llama ?B Q8_0", 4096, 8192, 2, 0),
    LoadFailed("because"),
    Stats(busy=2, kv_used=300, generation_speed=12.5, first_token_p50=0.3),
    Step([(1, Started(3)), (2, Delta("é", 2)), (1, Finished("stop", Usage(3, 1, 0, 0.5, 0.25)))]),
    Failed(1, "invalid_request", "no", param="prompt"),
]


@pytest.mark.parametrize("message", TO_WORKER)
def test_what_a_worker_is_told(message: ToWorker) -> None:
    body = read_frame(io.BytesIO(encode_frame(message)).read)
    assert body is not None
    assert decode_to_worker(body) == message


@pytest.mark.parametrize("message", FROM_WORKER)
def test_what_a_worker_says(message: FromWorker) -> None:
    body = read_frame(io.BytesIO(encode_frame(message)).read)
    assert body is not None
    assert decode_from_worker(body) == message


def test_frames_follow_each_other_and_a_torn_one_is_the_end() -> None:
    whole = encode_frame(Cancel(1)) + encode_frame(Cancel(2))
    for end in range(len(whole) + 1):
        stream = io.BytesIO(whole[:end])
        seen = []
        while (body := read_frame(stream.read)) is not None:
            seen.append(decode_to_worker(body))
        assert seen == [Cancel(1), Cancel(2)][: 2 * end // len(whole)]


@pytest.mark.parametrize("message", ["\udcff", "x"])
def test_what_cannot_be_sent_is_the_askers_mistake(message: str) -> None:
    options = {"big": 2**64} if message == "x" else {}
    request = ChatRequest([Message("user", message)], template_options=options)
    with pytest.raises(InvalidRequestError, match="in the request"):
        encode_frame(Generate(1, request))
