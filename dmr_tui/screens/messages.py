"""What screens ask of the app: things that concern more than one screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from dmr_tui.engine.request import ChatRequest


@dataclass
class OpenChat(Message):
    """Go to the chat and talk to this model.

    Attributes:
        model: its name.
        anew: not in a chat that was begun with another model.
    """

    model: str
    anew: bool = False


@dataclass
class OpenRequests(Message):
    """Go to the logs and show the requests that an expression chooses: `model:qwen3`."""

    expression: str


@dataclass
class ContinueRequest(Message):
    """Go to the chat and go on there with what somebody has asked a model."""

    model: str
    request: ChatRequest


class ShowModels(Message):
    """Go to the models."""


@dataclass
class FindModels(Message):
    """Go to Get, and look for this text."""

    text: str


@dataclass
class GetModel(Message):
    """Go to Get, and fetch this model."""

    name: str
