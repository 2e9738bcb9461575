"""What a model can be asked besides an answer that streams: each question has one reply.

Like requests and events they are plain data that crosses the pipe to a worker as MessagePack.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, TypeVar

from msgspec import Struct

from dmr_tui.engine.request import ChatRequest, Sampling

A = TypeVar("A")


class Question(Struct, Generic[A], frozen=True):
    """Something that is answered by one `A`."""


class Vectors(Struct, frozen=True, tag="vectors"):
    """One vector for each text, in the order of the texts."""

    vectors: list[bytes]
    """Little-endian 32-bit floats."""
    prompt_tokens: int


class EmbedQuestion(Question[Vectors], frozen=True, tag="embed"):
    """Turn texts, or lists of token ids, into vectors of length one."""

    inputs: list[str | list[int]]
    dimensions: int | None = None
    """Keep only so many of the first numbers, for models that were trained for that."""


class Scores(Struct, frozen=True, tag="scores"):
    """How well each document answers the query, in the order of the documents."""

    scores: list[float]
    prompt_tokens: int


class RankQuestion(Question[Scores], frozen=True, tag="rank"):
    """Compare documents with a query."""

    query: str | list[str]
    """One for all documents, or one for each."""
    documents: list[str]


class Tokens(Struct, frozen=True, tag="tokens"):
    """The tokens of a text."""

    tokens: list[int]
    pieces: list[bytes]
    """What each token stands for; not always whole characters."""


class TokenizeQuestion(Question[Tokens], frozen=True, tag="tokenize"):
    """Cut a text into tokens."""

    text: str | list[str | int]
    """Or several in a row, among which there may be tokens."""
    add_special: bool = False
    """With the tokens that the model wants at the beginning and the end of a text."""
    parse_special: bool = True
    """Read `<|im_end|>` and its like as the token, not as letters."""


class Text(Struct, frozen=True, tag="text"):
    """A piece of text."""

    text: str


class DetokenizeQuestion(Question[Text], frozen=True, tag="detokenize"):
    """Put tokens together to a text."""

    tokens: list[int]


class TemplateQuestion(Question[Text], frozen=True, tag="template"):
    """Write a conversation as the model's chat template does."""

    request: ChatRequest


class Props(Struct, frozen=True, tag="props"):
    """What a loaded model says of itself."""

    description: str
    context_size: int
    sequences: int
    """Requests that are computed at a time."""
    mode: str
    chat_template: str
    bos: str
    eos: str
    sampling: Sampling = Sampling()
    """How tokens are drawn when nobody says how."""
    tool_template: str = ""
    """What llama-server writes conversations with tools with, if the model has one for that."""


class PropsQuestion(Question[Props], frozen=True, tag="props"):
    """Ask for a loaded model's facts."""


class Released(Struct, frozen=True, tag="released"):
    """Memory that was given back."""

    size: int
    """Bytes."""


class ReleaseQuestion(Question[Released], frozen=True, tag="release"):
    """Give back the memory that only saves time: somebody needs it."""


AnyQuestion: TypeAlias = (
    EmbedQuestion
    | RankQuestion
    | TokenizeQuestion
    | DetokenizeQuestion
    | TemplateQuestion
    | PropsQuestion
    | ReleaseQuestion
)
AnyReply: TypeAlias = Vectors | Scores | Tokens | Text | Props | Released
