"""What a worker process and its parent say to each other.

Frames on the worker's standard input and output: four bytes of length, big endian, then one
message as MessagePack. The first frame to a worker is `Load`; closing its standard input ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec
from msgspec import Struct

from dmr_tui.engine.questions import AnyQuestion, AnyReply
from dmr_tui.engine.request import Event, GenerateRequest
from dmr_tui.engine.stats import Stats
from dmr_tui.errors import InvalidRequestError

LENGTH_BYTES = 4


class Load(Struct, frozen=True, tag="load"):
    """Load a model; everything here costs a new worker to change."""

    gguf: str
    chat_template: str | None
    """Path of a Jinja file that replaces the model's own template."""
    profile_context: int | None
    package_context: int | None
    settings_context: int
    """See `choose_context_size`."""
    threads: int
    gpu_layers: int
    """Layers to put on GPUs; negative: all."""
    most_context: int | None = None
    """Tokens that there is memory for; None when that was not looked into."""
    adapters: list[str] = []
    """Paths of LoRA adapters."""
    mode: str = "completion"
    """What the model's header says it is for; see `Loaded.mode`."""
    context_shift: bool = False
    """Shift a context that is full; the built-in engine is told so with each request instead."""


class Generate(Struct, frozen=True, tag="generate"):
    """Answer a request; `id` is chosen by the parent and never used twice."""

    id: int
    request: GenerateRequest


class Query(Struct, frozen=True, tag="query"):
    """Answer a question; `id` is chosen as for `Generate`."""

    id: int
    question: AnyQuestion


class Cancel(Struct, frozen=True, tag="cancel"):
    """Nobody listens to this request any more."""

    id: int


ToWorker: TypeAlias = Load | Generate | Query | Cancel


class LoadProgress(Struct, frozen=True, tag="load_progress"):
    """How much of the weights has been read."""

    fraction: float


class Loaded(Struct, frozen=True, tag="loaded"):
    """The model is in memory and has decoded a token."""

    description: str
    """In llama.cpp's words: architecture, size, quantization."""
    context_size: int
    trained_context: int
    layers: int
    gpu_layers: int
    mode: str = "completion"
    """What the model is for: `completion`, `embedding` or `reranking`."""
    slots: int = 0
    """Requests at a time; 0: not known."""


class LoadFailed(Struct, frozen=True, tag="load_failed"):
    """The model cannot be used; the worker ends."""

    reason: str


class Step(Struct, frozen=True, tag="step"):
    """Everything that one pass of the batch gave, for all requests."""

    events: list[tuple[int, Event]]


class Reply(Struct, frozen=True, tag="reply"):
    """The answer to a question."""

    id: int
    answer: AnyReply


class Failed(Struct, frozen=True, tag="failed"):
    """One request failed; the others go on."""

    id: int
    code: str
    """The stable code of a `DmrError`."""
    message: str
    hint: str | None = None
    param: str | None = None


FromWorker: TypeAlias = LoadProgress | Loaded | LoadFailed | Step | Reply | Failed | Stats

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def encode_frame(message: ToWorker | FromWorker) -> bytes:
    """One message with its length in front.

    Raises:
        InvalidRequestError: there is a value in it that MessagePack cannot write.
    """
    try:
        body = _encoder.encode(message)
    except OverflowError as error:
        raise InvalidRequestError("a number in the request has more than 64 bits") from error
    except UnicodeEncodeError as error:
        raise InvalidRequestError("a text in the request is not valid Unicode") from error
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def decode_to_worker(body: bytes) -> ToWorker:
    """The message in a frame that came from the parent."""
    return _to_worker.decode(body)


def decode_from_worker(body: bytes) -> FromWorker:
    """The message in a frame that came from a worker."""
    return _from_worker.decode(body)


def read_frame(read: Callable[[int], bytes]) -> bytes | None:
    """The body of the next frame of a blocking stream, or None at its end.

    Args:
        read: gives exactly as many bytes as asked, or fewer at the end of the stream.
    """
    header = read(LENGTH_BYTES)
    if len(header) < LENGTH_BYTES:
        return None
    length = int.from_bytes(header, "big")
    body = read(length)
    return body if len(body) == length else None
