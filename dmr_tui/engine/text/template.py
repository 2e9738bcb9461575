"""Chat templates: a conversation in, the prompt's text out.

Templates are Jinja programs that come with a model, so they are not trusted: they run in jinja2's
sandbox, in the worker. The environment is the one that Hugging Face transformers gives them
(`utils/chat_template_utils.py`): trimmed blocks, loop controls, `raise_exception`, `strftime_now`,
a `tojson` that escapes nothing, and `{% generation %}` blocks. As in llama.cpp they may change
lists and mappings, which are theirs alone, and write generators as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NoReturn

import msgspec
from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import SandboxedEnvironment

from dmr_tui.engine.request import Message, ToolCall
from dmr_tui.engine.text.tools.families import reads_message
from dmr_tui.engine.text.turns import (
    one_by_one,
    plain_text,
    with_calls_spelled,
    without_system,
)
from dmr_tui.errors import InvalidRequestError

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""For models that bring no template."""

_FAULTS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a template's own mistakes raise while it runs."""

_PROBE = "probe"
_RESULT = {"role": "tool", "tool_call_id": "call12345", "name": "look", "content": "result"}


class ChatTemplate:
    """One model's template."""

    def __init__(self, source: str | None, *, bos: str = "", eos: str = "") -> None:
        """Keep a template; it is compiled when first used.

        Args:
            source: Jinja text; None for ChatML.
            bos: text of the token that begins a sequence.
            eos: text of the token that ends one.
        """
        self.source = CHATML if source is None else source
        self._tokens = {"bos_token": bos, "eos_token": eos}

    def render(self, messages: Sequence[Message], options: dict[str, Any] | None = None) -> str:
        """The prompt's text, up to where the answer begins.

        Args:
            messages: the conversation.
            options: more variables for the template.

        Raises:
            InvalidRequestError: the template refuses the conversation or is broken, or there is
                content that this model cannot take.
        """
        try:
            return self._written(messages, options or {})
        except _Refused as refusal:
            raise InvalidRequestError(
                f"the model's chat template refuses this conversation: {refusal}", param="messages"
            ) from refusal
        except _FAULTS as error:
            raise InvalidRequestError(
                f"the model's chat template failed: {_one_line(error)}", param="messages"
            ) from error

    def _written(self, messages: Sequence[Message], options: dict[str, Any]) -> str:
        if any(message.tool_calls for message in messages) and not self._shows_calls:
            messages = with_calls_spelled(messages, self.source)
        if any(message.role == "system" for message in messages) and not self._takes_system:
            messages = without_system(messages)
        try:
            return self._run(self._plain(messages, options), options)
        except _Refused:
            # Llama's templates take one call in a turn only.
            apart = one_by_one(messages)
            if len(apart) == len(messages):
                raise
            return self._run(self._plain(apart, options), options)

    def _plain(self, messages: Sequence[Message], options: dict[str, Any]) -> list[dict[str, Any]]:
        tools = options.get("tools")
        told = isinstance(tools, list) and bool(tools) and reads_message(self.source)
        if told and not any(message.role == "system" for message in messages):
            messages = [Message("system", ""), *messages]
        typed = self._wants_parts
        parsed = any(message.tool_calls for message in messages) and self._wants_objects
        plain = [_to_plain(message, typed=typed, parsed=parsed) for message in messages]
        if told:
            first = next(message for message in plain if message["role"] == "system")
            first["tools"] = _to_json([tool.get("function", tool) for tool in tools or []])
        return plain

    def _run(self, messages: list[dict[str, Any]], options: dict[str, Any]) -> str:
        variables = {"add_generation_prompt": True, "tools": None, **options, **self._tokens}
        return self._template.render(messages=messages, **variables)

    @cached_property
    def _template(self) -> Template:
        try:
            return _environment().from_string(self.source)
        except TemplateSyntaxError as error:
            raise InvalidRequestError(
                f"the model's chat template is broken: line {error.lineno}: {error.message}"
            ) from error

    @cached_property
    def _wants_parts(self) -> bool:
        """Content as a list of parts comes through, plain text does not."""

        def shows(content: str | list[dict[str, str]]) -> bool:
            try:
                return _PROBE in self._run([{"role": "user", "content": content}], {})
            except _FAULTS:
                return False

        return not shows(_PROBE) and shows([{"type": "text", "text": _PROBE}])

    @cached_property
    def _takes_system(self) -> bool:
        """A system message is neither refused nor left out."""
        conversation: list[dict[str, Any]] = [
            {"role": "system", "content": _PROBE},
            {"role": "user", "content": "user"},
        ]
        if self._wants_parts:
            for message in conversation:
                message["content"] = [{"type": "text", "text": message["content"]}]
        try:
            return _PROBE in self._run(conversation, {})
        except _Refused:
            return False
        except _FAULTS:
            return True

    @cached_property
    def _wants_objects(self) -> bool:
        """Arguments of tool calls are written as JSON when they are given as objects.

        Some templates put JSON text together themselves, and would write an object as Python does.
        """
        try:
            if f"'{_PROBE}'" not in self._run(_calling({_PROBE: _PROBE}), {}):
                return True
        except _FAULTS:
            return False
        # Either a slip, or calls that are Python on purpose; the latter want no text.
        try:
            return f"'{_PROBE}'" in self._run(_calling(f'{{"{_PROBE}": "{_PROBE}"}}'), {})
        except _FAULTS:
            return True

    @cached_property
    def _shows_calls(self) -> bool:
        """Calls of earlier turns are not left out without a word."""
        given = {_PROBE: _PROBE} if self._wants_objects else f'{{"{_PROBE}": "{_PROBE}"}}'
        user, called = _calling(given)
        silent = {"role": "assistant", "content": ""}
        try:
            # Behind its result: Nemotron's leaves out a call that has none.
            return self._run([user, called, _RESULT], {}) != self._run([user, silent, _RESULT], {})
        except _FAULTS:
            return True


def _calling(arguments: dict[str, str] | str) -> list[dict[str, Any]]:
    """A conversation with a call in it."""
    function = {"name": _PROBE, "arguments": arguments}
    call = {"id": "call12345", "type": "function", "function": function}
    return [
        {"role": "user", "content": "user"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]


class _Refused(TemplateError):
    """A template called `raise_exception`."""


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}` marks the answers for training; it prints its body."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _listed(value: Any) -> list[Any]:
    """What a filter such as `map` gives."""
    if isinstance(value, Iterator):
        return list(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
        default=_listed,
    )


def _raise_exception(message: str) -> NoReturn:
    raise _Refused(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


def _to_plain(message: Message, *, typed: bool, parsed: bool) -> dict[str, Any]:
    """A message as templates expect it: builtins only.

    Args:
        message: the turn.
        typed: content is to be a list of parts, else it is text.
        parsed: arguments of calls are to be objects, else they are text.
    """
    plain: dict[str, Any] = msgspec.to_builtins(message)
    text = plain_text(message)
    plain["content"] = [{"type": "text", "text": text}] if typed else text
    if message.reasoning_content and message.tool_calls and not text:
        plain["thinking"] = message.reasoning_content  # gpt-oss' word for it
    if message.tool_calls is not None:
        plain["tool_calls"] = [_plain_call(call, parsed=parsed) for call in message.tool_calls]
    return plain


def _plain_call(call: ToolCall, *, parsed: bool) -> dict[str, Any]:
    """A call in the order in which clients send it: some templates write it as it comes."""
    function: dict[str, Any] = msgspec.to_builtins(call.function)
    if parsed:
        function["arguments"] = _parsed(function["arguments"])
    return {"id": call.id, "type": call.type, "function": function}


def _parsed(arguments: str) -> Any:
    try:
        found = json.loads(arguments) if arguments.strip() else {}
    except (ValueError, RecursionError):
        return arguments
    return found if isinstance(found, dict) else arguments


def _one_line(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
