"""What OpenAI's clients send, and how it becomes the engine's requests.

Fields that nobody here knows are ignored, as llama-server does; null means absent. What is known
and would change the answer, but cannot be done, is refused by name. Ranges are the engine's to
check.
Source: OpenAI API reference, `POST /chat/completions` and `POST /completions`; the sampling fields
beyond it are llama-server's.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from dmr_tui.engine.checks import MAX_BIAS, MAX_LOGPROBS
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import (
    ChatRequest,
    CompletionRequest,
    ContentPart,
    Function,
    FunctionCall,
    ImagePart,
    ImageURL,
    Limits,
    Message,
    Reasoning,
    Sampling,
    TextPart,
    ToolCall,
)
from dmr_tui.errors import InvalidRequestError
from dmr_tui.server.choices import MAX_CHOICES
from dmr_tui.server.openai_functions import Name, to_tool_messages, uses_functions
from dmr_tui.server.openai_tools import (
    ResponseFormat,
    ToolBody,
    ToolChoiceBody,
    to_format,
    to_tool_choice,
    to_tools,
)

_THOUGHTS = frozenset({"thinking", "reasoning", "redacted_thinking"})
"""Parts of an answer that are no part of its text, in the histories of other servers' clients."""

_MAX_INT = 2**31 - 1
"""llama.cpp counts and numbers tokens in 32 bits."""

_MOST_PROMPTS = 2048
_MOST_ANSWERS = 4096
"""To all prompts together."""


class StreamOptions(Struct, frozen=True):
    """How a stream ends."""

    include_usage: bool | None = None


class GenerationBody(Struct, frozen=True):
    """What both kinds of request have in common."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[int, float] | list[tuple[int, float | bool]] | None = None
    """Pairs are llama-server's, where false is never; PHP's clients send nothing as a list."""
    top_n_sigma: float | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_penalty_last_n: int | None = None
    dry_sequence_breakers: list[str] | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n_predict: int | None = None
    """llama-server's word for them."""
    logprobs: bool | int | None = None
    response_format: ResponseFormat | None = None
    grammar: str | None = None
    """GBNF; llama-server's."""
    json_schema: dict[str, Any] | bool | None = None
    """llama-server's."""
    dmr_profile: Profile | None = None
    """This program's own: settings for the load that the request causes."""

    @property
    def include_usage(self) -> bool:
        """Whether a stream is to end with a chunk of token counts."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


class Part(Struct, frozen=True):
    """A piece of a message's content."""

    type: str
    text: str | None = None
    image_url: ImageURL | str | None = None
    refusal: str | None = None
    thinking: str | list[Part] | None = None
    """Anthropic's; Mistral has a list of texts here."""


class FunctionCallBody(Struct, frozen=True):
    """What was called, and with what; Ollama's clients send the arguments as an object."""

    name: str
    arguments: str | dict[str, Any] | None = ""


class ToolCallBody(Struct, frozen=True):
    """One call of a tool; Ollama's clients leave out the id."""

    function: FunctionCallBody
    id: str | None = None
    type: str | None = None


class MessageBody(Struct, frozen=True):
    """One turn of the conversation."""

    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallBody] | None = None
    tool_call_id: str | None = None
    function_call: FunctionCallBody | None = None


class ChatBody(GenerationBody, frozen=True):
    """The body of `POST …/chat/completions`."""

    messages: list[MessageBody] | None = None
    top_logprobs: int | None = None
    tools: list[ToolBody] | None = None
    functions: list[Function] | None = None
    tool_choice: str | ToolChoiceBody | None = None
    function_call: str | Name | None = None
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    enable_thinking: bool | None = None
    """Whether to think at all; Qwen's own API has it here."""
    reasoning_budget: int | None = None
    """Most tokens of thoughts; -1: any number. Beyond OpenAI's API, as the next one."""
    thinking_budget_tokens: int | None = None
    """llama-server's word for it."""
    continue_final_message: bool | None = None
    """vLLM's, as the next one: whether the last message is the beginning of the answer."""
    add_generation_prompt: bool | None = None


class CompletionBody(GenerationBody, frozen=True):
    """The body of `POST …/completions`."""

    prompt: str | list[Any] | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None


def to_chat(body: ChatBody) -> ChatRequest:
    """The engine's request for a chat.

    Raises:
        InvalidRequestError: a value is out of range, or asks for what is not supported.
    """
    if not body.messages:
        raise _wrong("messages", "at least one message is required")
    turns = [
        (
            _message(turn, f"messages[{at}]"),
            None if turn.function_call is None else _call(turn.function_call),
        )
        for at, turn in enumerate(body.messages)
    ]
    messages = to_tool_messages(turns)
    continues = _continues(body, messages[-1])
    options = body.chat_template_kwargs or {}
    if body.add_generation_prompt is False and not continues:
        options = {"add_generation_prompt": False, **options}
    return ChatRequest(
        messages=messages,
        sampling=_sampling(body),
        limits=_limits(body),
        template_options=options,
        tools=to_tools(body),
        tool_choice=to_tool_choice(body),
        parallel_tool_calls=body.parallel_tool_calls is not False and not uses_functions(body),
        format=to_format(body),
        reasoning=_reasoning(body),
        logprobs=_chat_logprobs(body),
        continues=continues,
    )


def _continues(body: ChatBody, last: Message) -> bool:
    """Whether the answer has begun; where nothing is said, as llama-server takes it."""
    parts = last.content if isinstance(last.content, list) else []
    text = bool(last.content) and not any(isinstance(part, ImagePart) for part in parts)
    begun = last.role == "assistant" and text and not last.tool_calls
    wanted = body.continue_final_message
    if not wanted:
        return begun and wanted is None
    if body.add_generation_prompt:
        raise _wrong("continue_final_message", "this excludes `add_generation_prompt`")
    if not begun:
        raise _wrong(
            "continue_final_message", "the last message has to be a text of the assistant's"
        )
    return True


def choices(body: GenerationBody) -> int:
    """How many answers each prompt is to have.

    Raises:
        InvalidRequestError: none, or too many.
    """
    wanted = 1 if body.n is None else body.n
    if not 1 <= wanted <= MAX_CHOICES:
        raise _wrong("n", f"from 1 to {MAX_CHOICES} answers can be had, not {wanted}")
    return wanted


def _chat_logprobs(body: ChatBody) -> int | None:
    wanted = bool(body.logprobs)
    if body.top_logprobs is not None and not wanted:
        raise _wrong("top_logprobs", "this needs `logprobs` to be true")
    if type(body.logprobs) is int and body.logprobs > 1:
        raise _wrong("logprobs", "true or false is required; see `top_logprobs`")
    count = body.top_logprobs or 0
    if not 0 <= count <= MAX_LOGPROBS:
        raise _wrong("top_logprobs", f"from 0 to {MAX_LOGPROBS} can be reported, not {count}")
    return count if wanted else None


def _completion_logprobs(body: CompletionBody) -> int | None:
    if isinstance(body.logprobs, bool):
        return 0 if body.logprobs else None
    return body.logprobs


def _reasoning(body: ChatBody) -> Reasoning:
    field = "thinking_budget_tokens" if body.reasoning_budget is None else "reasoning_budget"
    budget: int | None = getattr(body, field)
    if budget is not None and not -1 <= budget <= _MAX_INT:
        raise _wrong(field, f"{budget} is not a number of tokens from 0 up")
    return Reasoning(body.enable_thinking, body.reasoning_effort, budget)


def to_completions(body: CompletionBody) -> list[CompletionRequest]:
    """The engine's requests for a completion: one for each prompt.

    Raises:
        InvalidRequestError: a value is out of range, or asks for what is not supported.
    """
    prompts = _prompts(body.prompt)
    _check_amount(len(prompts), choices(body))
    sampling, limits, form = _sampling(body), _limits(body), to_format(body)
    suffix, logprobs = body.suffix or None, _completion_logprobs(body)
    if body.best_of not in (None, choices(body)):
        raise _wrong("best_of", "answers are not chosen among; ask for all of them with `n`")
    repeated = bool(body.echo) and logprobs is not None
    return [
        CompletionRequest(prompt, sampling, limits, form, suffix, logprobs, repeated)
        for prompt in prompts
    ]


def _prompts(prompt: str | list[Any] | None) -> list[str | list[int]]:
    if isinstance(prompt, str):
        return [prompt]
    if prompt and _are_tokens(prompt):
        return [prompt]
    if prompt and all(isinstance(each, str) or (each and _are_tokens(each)) for each in prompt):
        return prompt
    raise _wrong("prompt", "a text, a list of token ids, or a list of these is required")


def _check_amount(prompts: int, count: int) -> None:
    """Refuse what would keep the server from everybody else while it is only prepared."""
    if prompts > _MOST_PROMPTS:
        raise _wrong("prompt", f"at most {_MOST_PROMPTS} prompts are allowed, not {prompts}")
    if prompts * count > _MOST_ANSWERS:
        raise _wrong(
            "prompt",
            f"{prompts} prompts with {count} answers each are more than {_MOST_ANSWERS} answers;"
            " send fewer at a time",
        )


def _are_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(token) is int and 0 <= token <= _MAX_INT for token in value
    )


def _message(turn: MessageBody, where: str) -> Message:
    content: str | list[ContentPart] | None
    thoughts = turn.reasoning_content
    if isinstance(turn.content, list):
        content = [
            _part(part, f"{where}.content[{at}]")
            for at, part in enumerate(turn.content)
            if part.type not in _THOUGHTS
        ] or None
        thoughts = thoughts or "".join(map(_thought, turn.content)) or None
    else:
        content = turn.content
    return Message(
        # A newer name for the same turn, which no chat template knows.
        role="system" if turn.role == "developer" else turn.role,
        content=content,
        name=turn.name,
        reasoning_content=thoughts,
        tool_calls=[ToolCall(call.id or "", _call(call.function)) for call in turn.tool_calls or []]
        or None,
        tool_call_id=turn.tool_call_id,
    )


def _call(call: FunctionCallBody) -> FunctionCall:
    arguments = {} if call.arguments is None else call.arguments
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return FunctionCall(call.name, text)


def _thought(part: Part) -> str:
    if part.type not in _THOUGHTS:
        return ""
    if isinstance(part.thinking, list):
        return "".join(each.text or "" for each in part.thinking)
    return part.thinking or part.text or ""


def _part(part: Part, where: str) -> ContentPart:
    if part.type == "text" and part.text is not None:
        return TextPart(part.text)
    if part.type == "refusal" and part.refusal is not None:
        return TextPart(part.refusal)
    if part.type == "image_url" and part.image_url is not None:
        url = part.image_url
        return ImagePart(ImageURL(url) if isinstance(url, str) else url)
    raise _wrong(where, f"a content part of type {part.type!r} without its data, or unsupported")


def _sampling(body: GenerationBody) -> Sampling:
    if body.seed is not None and not -(2**63) <= body.seed < 2**63:
        raise _wrong("seed", "a 64-bit integer is required")
    fields = {name: getattr(body, name) for name in Sampling.__struct_fields__}
    return Sampling(**{**fields, "logit_bias": _biases(body)})


def _biases(body: GenerationBody) -> dict[int, float] | None:
    if not isinstance(body.logit_bias, list):
        return body.logit_bias
    biases: dict[int, float] = {}
    for token, bias in body.logit_bias:
        if bias is True:
            raise _wrong("logit_bias", f"a number or false is required for token {token}")
        biases[token] = -MAX_BIAS if bias is False else bias
    return biases or None


def _limits(body: GenerationBody) -> Limits:
    stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
    fields = ("max_completion_tokens", "max_tokens", "n_predict")
    field = next((each for each in fields if getattr(body, each) is not None), "max_tokens")
    most: int | None = getattr(body, field)
    if most == -1:  # llama-server's word for no limit
        most = None
    if most is not None and not 0 <= most <= _MAX_INT:
        raise _wrong(field, f"{most} is not a number of tokens from 0 up")
    return Limits(max_tokens=most, stop=[text for text in stop if text])


def _wrong(field: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(f"{field}: {message}", param=field)
