"""What is asked of a model, and what it answers: the engine's own language.

Every public protocol (OpenAI, DMR, the REPL, the screens) translates to these requests and from
these events. They are plain data that crosses the pipe to a worker as MessagePack.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls"]


class TextPart(Struct, frozen=True, tag_field="type", tag="text"):
    """A piece of text in a message's content."""

    text: str


class ImageURL(Struct, frozen=True):
    """Where an image is: a `data:` URL."""

    url: str


class ImagePart(Struct, frozen=True, tag_field="type", tag="image_url"):
    """An image in a message's content."""

    image_url: ImageURL


ContentPart: TypeAlias = TextPart | ImagePart


class FunctionCall(Struct, frozen=True):
    """The name of a tool and its arguments as JSON text."""

    name: str
    arguments: str = ""


class ToolCall(Struct, frozen=True, omit_defaults=True):
    """One call of a tool that the model asked for."""

    id: str
    function: FunctionCall
    type: str = "function"


class Message(Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation, in OpenAI's shape."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


TEMPERATURE, TOP_K, TOP_P, MIN_P = 0.8, 40, 0.95, 0.05
"""How a token is drawn where neither a request nor the model's profile says."""


class Sampling(Struct, frozen=True, omit_defaults=True):
    """How the next token is drawn; None leaves the choice to the model's profile.

    The defaults behind None are llama-server's: see `TEMPERATURE` and those beside it, and no
    penalties. `seed` None or negative draws a fresh one.
    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[int, float] | None = None
    """What to add to the logits of tokens."""
    top_n_sigma: float | None = None
    """Drop tokens so many standard deviations below the likeliest; 0 or less: none."""
    xtc_probability: float | None = None
    """How often the likeliest tokens are dropped, so that others have a chance."""
    xtc_threshold: float | None = None
    dry_multiplier: float | None = None
    """How much the repetition of sequences is held back; 0: not at all."""
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_penalty_last_n: int | None = None
    dry_sequence_breakers: list[str] | None = None
    mirostat: int | None = None
    """1 or 2: hold the text's surprise at `mirostat_tau` instead of cutting; 0: do not."""
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None


class Limits(Struct, frozen=True, omit_defaults=True):
    """When an answer ends, besides the model's own end token."""

    max_tokens: int | None = None
    """Most tokens to generate; 0: the prompt is read, and that is all; None: until the context is
    full."""
    stop: list[str] = []
    """Texts that end the answer; they are not part of it."""
    context_shift: bool | None = None
    """Forget the older half of the text when the context is full, and go on; None: the profile's
    choice, else no: the answer ends there."""


class Function(Struct, frozen=True, omit_defaults=True):
    """What a tool is called, what it is for, and the JSON Schema of its arguments."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct, frozen=True):
    """Something that the model may ask to be called, in OpenAI's shape."""

    function: Function
    type: str = "function"


class NamedTool(Struct, frozen=True):
    """The one tool that has to be called."""

    name: str


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | NamedTool


class JSONAnswer(Struct, frozen=True, omit_defaults=True, tag="json"):
    """The answer is to be JSON."""

    schema: dict[str, Any] | bool | None = None
    """What it has to satisfy; None: to be an object."""


class GrammarAnswer(Struct, frozen=True, tag="grammar"):
    """The answer is to be what a grammar accepts."""

    grammar: str
    """In llama.cpp's GBNF; the first rule to apply is `root`."""


AnswerFormat: TypeAlias = JSONAnswer | GrammarAnswer


class Reasoning(Struct, frozen=True, omit_defaults=True):
    """Whether and how much a model thinks before it answers; None leaves it to the model."""

    enabled: bool | None = None
    effort: str | None = None
    """A word that the model's template knows, such as `low` or `high`; `none`: not at all."""
    budget: int | None = None
    """Most tokens of thoughts; then they are made to end. -1: any number, whatever is stored."""


class ChatRequest(Struct, frozen=True, omit_defaults=True, tag="chat"):
    """Answer a conversation. The worker applies the model's chat template."""

    messages: list[Message]
    sampling: Sampling = Sampling()
    limits: Limits = Limits()
    template_options: dict[str, Any] = {}
    """Extra variables for the chat template (`enable_thinking` and its like)."""
    tools: list[Tool] = []
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    """There may be several calls in one answer."""
    format: AnswerFormat | None = None
    """The form of the answer, where it is not a tool call."""
    logprobs: int | None = None
    """Report how likely each token was, and so many of the likeliest ones; None: do not."""
    reasoning: Reasoning = Reasoning()
    continues: bool = False
    """The last message is the beginning of the answer, which goes on from there."""


class CompletionRequest(Struct, frozen=True, omit_defaults=True, tag="completion"):
    """Continue a text, or a list of token ids, without a template."""

    prompt: str | list[int]
    sampling: Sampling = Sampling()
    limits: Limits = Limits()
    format: AnswerFormat | None = None
    suffix: str | None = None
    """What comes after the answer; a text prompt is then what comes before it."""
    logprobs: int | None = None
    """See `ChatRequest`."""
    prompt_logprobs: bool = False
    """Report the same of the prompt's own tokens; needs `logprobs`."""


GenerateRequest: TypeAlias = ChatRequest | CompletionRequest


class Loading(Struct, frozen=True, tag="loading"):
    """The model is being loaded; only before `Started`."""

    fraction: float
    """0 to 1."""


class Started(Struct, frozen=True, tag="started"):
    """The request was valid and has its sequence; nothing has been generated yet."""

    prompt_tokens: int
    cached_tokens: int = 0


class PromptLogprobs(Struct, frozen=True, tag="prompt_logprobs"):
    """How likely the tokens of a prompt were; before the first text, when that was asked for."""

    first: bytes | None
    """The text of the first token, of which nothing can be told as none is before it; None when
    `tokens` are all."""
    tokens: list[TokenLogprobs]
    """Of those that follow."""


class Likelihood(Struct, frozen=True):
    """A token that could have come."""

    piece: bytes
    """Its text, which may be part of a character."""
    logprob: float
    """Natural logarithm of its probability, before any sampling."""


class TokenLogprobs(Struct, frozen=True):
    """A token that came, and the likeliest ones in its place."""

    chosen: Likelihood
    top: list[Likelihood]
    """The likeliest first."""


class Delta(Struct, frozen=True, omit_defaults=True, tag="delta"):
    """More text of the answer; always whole characters, never empty."""

    text: str
    tokens: int = 1
    """How many generated tokens this text stands for."""
    logprobs: list[TokenLogprobs] = []
    """Of these tokens, when they were asked for."""


class ReasoningDelta(Struct, frozen=True, tag="reasoning"):
    """More text of the model's thoughts."""

    text: str
    tokens: int = 1


class ToolCallDelta(Struct, frozen=True, tag="tool_call"):
    """A part of a tool call: the first one of an index has `id` and `name`, the others have not.

    The `arguments` of all parts of an index together are the text of a JSON object.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class Usage(Struct, frozen=True):
    """Token counts and times of one answer."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    prompt_seconds: float = 0.0
    """From admission to the first token."""
    generation_seconds: float = 0.0
    """From the first token to the last."""


class Finished(Struct, frozen=True, tag="finished"):
    """The last event of every answer that did not fail."""

    reason: FinishReason
    usage: Usage


Event: TypeAlias = (
    Loading | Started | PromptLogprobs | Delta | ReasoningDelta | ToolCallDelta | Finished
)
