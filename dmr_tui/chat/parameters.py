"""The parameters of `/set parameter`: names, ranges, and where each one is kept."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from dmr_tui.chat.conversation import Conversation
from dmr_tui.errors import InvalidRequestError

_INT32_MAX = 2**31 - 1
_MOST_IN_TITLE = 4
_SHORT = {"temperature": "temp", "num_predict": "max", "num_ctx": "ctx"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a conversation.

    Attributes:
        name: as people type it: Ollama's and llama.cpp's word.
        summary: what it does, for `/? set` and completion.
        home: the part of the conversation that holds it.
        field: its field there.
        kind: type of its value.
        low: smallest value.
        high: largest value.
        aliases: other names for it.
    """

    name: str
    summary: str
    home: Literal["sampling", "limits", "profile"]
    field: str
    kind: type[int] | type[float] | type[list[str]]
    low: float = 0
    high: float = _INT32_MAX
    aliases: tuple[str, ...] = ()

    def parse(self, text: str) -> Any:
        """The value that a person typed.

        Raises:
            InvalidRequestError: it is not of the parameter's type or out of its range.
        """
        if self.kind is list:
            return _words(self.name, text)
        number = int if self.kind is int else float
        try:
            value = number(text)
        except ValueError:
            what = "a whole number" if number is int else "a number"
            raise InvalidRequestError(f"{self.name} must be {what}, not '{text}'") from None
        # Written so that NaN, which is neither more nor less than anything, is refused too.
        if not self.low <= value <= self.high:
            raise InvalidRequestError(f"{self.name} must be {self._range()}, not {text}")
        return value

    def _range(self) -> str:
        if self.high == _INT32_MAX:
            return f"at least {self.low:g}"
        return f"between {self.low:g} and {self.high:g}"

    def get(self, conversation: Conversation) -> Any:
        """The value in force; None where the model's own default rules."""
        return getattr(getattr(conversation, self.home), self.field)

    @property
    def unset(self) -> Any:
        """The value that leaves it to the model."""
        return [] if self.kind is list else None

    def written(self, conversation: Conversation) -> str:
        """The value in force as a person would type it; empty where the model's own rules."""
        value = self.get(conversation)
        if isinstance(value, list):
            return " ".join(shlex.quote(word.replace("\n", "\\n")) for word in value)
        return "" if value is None else f"{value:g}" if self.kind is float else str(value)

    def set(self, conversation: Conversation, value: Any) -> None:
        """Put a parsed value into its place."""
        home = getattr(conversation, self.home)
        setattr(conversation, self.home, replace(home, **{self.field: value}))


def _words(name: str, text: str) -> list[str]:
    """The texts of a line as a shell splits it, or of a list as JSON writes it."""
    if text.startswith("["):
        try:
            return msgspec.json.decode(text, type=list[str])
        except msgspec.MsgspecError:
            pass  # Words that begin with a bracket, such as [END].
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InvalidRequestError(f"{name}: {error}") from None
    return [word.replace("\\n", "\n").replace("\\t", "\t") for word in words]


PARAMETERS = (
    Parameter("temperature", "how freely tokens are drawn; 0: always the likeliest", "sampling",
              "temperature", float, 0, 100),
    Parameter("top_k", "draw from the K likeliest tokens only; 0: from all", "sampling",
              "top_k", int),
    Parameter("top_p", "draw from the likeliest tokens that sum up to P", "sampling",
              "top_p", float, 0, 1),
    Parameter("min_p", "drop tokens below this share of the likeliest one", "sampling",
              "min_p", float, 0, 1),
    Parameter("seed", "the same seed draws the same tokens", "sampling",
              "seed", int, -1, 2**32 - 1),
    Parameter("num_predict", "most tokens of an answer", "limits",
              "max_tokens", int, 1, aliases=("max_tokens",)),
    Parameter("num_ctx", "context size in tokens; loads the model anew", "profile",
              "context_size", int, 1),
    Parameter("stop", "texts that end an answer", "limits", "stop", list),
    Parameter("repeat_penalty", "how much repeated tokens are held back; 1: not", "sampling",
              "repeat_penalty", float, 0, 100),
    Parameter("presence_penalty", "hold back tokens that occurred at all", "sampling",
              "presence_penalty", float, -2, 2),
    Parameter("frequency_penalty", "hold back tokens by how often they occurred", "sampling",
              "frequency_penalty", float, -2, 2),
)  # fmt: skip


def find_parameter(name: str) -> Parameter:
    """The parameter of that name or alias.

    Raises:
        InvalidRequestError: there is none.
    """
    for parameter in PARAMETERS:
        if name == parameter.name or name in parameter.aliases:
            return parameter
    names = ", ".join(parameter.name for parameter in PARAMETERS)
    raise InvalidRequestError(f"Unknown parameter: {name}", f"known: {names}")


def set_in_few_words(conversation: Conversation) -> list[str]:
    """What is set in a conversation, for its title: a few words on each, few of them."""
    said = ["system"] if conversation.system else []
    for parameter in PARAMETERS:
        value = parameter.written(conversation)
        if value:
            # Texts may be long and hold anything.
            value = "" if parameter.kind is list else f" {value}"
            said.append(f"{_SHORT.get(parameter.name, parameter.name)}{value}")
    more = len(said) - _MOST_IN_TITLE
    return [*said[:_MOST_IN_TITLE], f"{more} more set"] if more > 0 else said
