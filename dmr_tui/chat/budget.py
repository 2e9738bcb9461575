"""The context of a model: how full a conversation makes it, and what is left out when it is full.

Tokens are counted by the engine on every prompt; between two prompts they are estimated from the
bytes of the text, at the rate that the last prompt had.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.names import same_model
from dmr_tui.chat.tree import Node, text_of
from dmr_tui.engine.request import ImagePart, Message
from dmr_tui.errors import ModelNotFoundError
from dmr_tui.runner.base import Runner

_TOKENS_PER_BYTE = 0.3
"""English prose has about 0.25, code and Chinese more."""
_MESSAGE_TOKENS = 6
"""What a chat template writes around a message."""
_IMAGE_TOKENS = 800
_RATES = (0.1, 1.0)
_MEANINGFUL_BYTES = 200
"""A shorter prompt is mostly template and tells no rate."""


@dataclass(frozen=True)
class Budget:
    """How full the context is, in tokens.

    Attributes:
        window: what the model can attend to; 0: unknown, and then nothing else is certain either.
        used: what the conversation takes.
        typed: what the text in the prompt would add; an estimate.
        reserve: what is kept free for the answer.
        left_out: messages of the path that are no longer sent.
        drops: messages that sending the text would leave out besides.
        measured: `used` was counted by the engine and is no estimate.
    """

    window: int
    used: int
    typed: int
    reserve: int
    left_out: int
    drops: int
    measured: bool

    @property
    def fraction(self) -> float:
        """How full it is with the typed text, 0 to 1 and more; 0 while the window is unknown."""
        return (self.used + self.typed) / self.window if self.window else 0.0


def measure(conversation: Conversation, window: int, typed: str = "") -> Budget:
    """How full the context is.

    Args:
        conversation: whose path is counted.
        window: tokens of the loaded model's context; 0 where unknown. See `context_window`.
        typed: what stands in the prompt.
    """
    sent, path = conversation.sent(), conversation.path
    used, measured = _used(conversation, sent)
    more = _estimate(conversation, Message("user", typed)) if typed.strip() else 0
    kept = _fitting(conversation, window, more) if window else sent
    return Budget(
        window=window,
        used=used,
        typed=more,
        reserve=_reserve(conversation, window),
        left_out=len(path) - len(sent),
        drops=len(sent) - len(kept),
        measured=measured,
    )


def make_room(conversation: Conversation, window: int) -> int:
    """Leave out the oldest turns when the path, which ends in a question, is too long to answer.

    Questions go together with their answers, and more of them than need be: each time the
    beginning of a prompt changes, the engine has to read all of it anew.

    Returns:
        How many messages are left out from now on that were not before.
    """
    if not window:
        return 0
    return _keep(conversation, _fitting(conversation, window))


def drop_oldest(conversation: Conversation) -> int:
    """Leave out the older half of what is sent, whole turns; returns how many messages."""
    turns = _turns(conversation.sent())
    kept = turns[len(turns) // 2 :] if len(turns) > 1 else []
    return _keep(conversation, list(chain.from_iterable(kept)))


def calibrate(conversation: Conversation, prompt_tokens: int) -> None:
    """Learn from the engine's own count of the request that was just sent."""
    messages = conversation.request().messages
    size = sum(_bytes(message) for message in messages)
    if size >= _MEANINGFUL_BYTES and not any(_images(message) for message in messages):
        rate = (prompt_tokens - _MESSAGE_TOKENS * len(messages)) / size
        conversation.tokens_per_byte = min(max(rate, _RATES[0]), _RATES[1])
    conversation.resized = False


async def context_window(runner: Runner, conversation: Conversation) -> int:
    """Tokens of the context of the next answer; 0 when that is not known yet.

    It is what the conversation asks for, whatever is loaded now, or else what is loaded.

    Raises:
        DmrError: as `Runner.running` says.
    """
    wished, model = conversation.profile.context_size, conversation.model
    if wished is not None and wished > 0:
        return wished
    loaded = [each for each in await runner.running() if each.context_size]
    for running in loaded:
        if same_model(running.name, model):
            return running.context_size
    if not loaded:
        return 0
    # It may be in memory under another of its tags, or be a file.
    try:
        wanted = (await runner.model(model)).id
    except ModelNotFoundError:
        return 0
    return next((each.context_size for each in loaded if each.id == wanted), 0)


def _used(conversation: Conversation, sent: list[Node]) -> tuple[int, bool]:
    """Tokens of what is sent, and whether the engine counted all of them."""
    for at in range(len(sent) - 1, -1, -1):
        stats = sent[at].stats
        if stats is None or not stats.prompt_tokens or conversation.resized:
            continue
        answer = stats.completion_tokens
        if sent[at].reasoning:  # Thoughts were generated, and are not sent again.
            answer -= _estimate(conversation, Message("assistant", sent[at].reasoning))
        later = sent[at + 1 :]
        counted = stats.prompt_tokens + max(answer, 0)
        return counted + sum(_estimate(conversation, node.message) for node in later), not later
    return _sum(conversation, sent), False


def _sum(conversation: Conversation, sent: list[Node]) -> int:
    instructions = conversation.instructions()
    system = _estimate(conversation, Message("system", instructions)) if instructions else 0
    return system + sum(_estimate(conversation, node.message) for node in sent)


def _estimate(conversation: Conversation, message: Message) -> int:
    rate = conversation.tokens_per_byte or _TOKENS_PER_BYTE
    text = round(_bytes(message) * rate)
    return text + _MESSAGE_TOKENS + _IMAGE_TOKENS * _images(message)


def _bytes(message: Message) -> int:
    return len(text_of(message).encode("utf-8", "replace"))


def _images(message: Message) -> int:
    content = message.content
    parts = content if isinstance(content, list) else []
    return sum(isinstance(part, ImagePart) for part in parts)


def _reserve(conversation: Conversation, window: int) -> int:
    """Room for the answer: a quarter of the context, or less when the answer must be shorter."""
    return min(conversation.limits.max_tokens or window, window // 4)


def _turns(sent: list[Node]) -> list[list[Node]]:
    """Each question with what follows it."""
    turns: list[list[Node]] = []
    for node in sent:
        if node.role == "user" or not turns:
            turns.append([])
        turns[-1].append(node)
    return turns


def _fitting(conversation: Conversation, window: int, more: int = 0) -> list[Node]:
    """The messages that are still sent when `more` tokens join them."""
    sent = conversation.sent()
    room = window - _reserve(conversation, window)
    used, _ = _used(conversation, sent)
    turns = _turns(sent)
    if used + more <= room:
        return sent
    # With typed text, the question that must stay is not among them yet.
    least = 0 if more else 1
    room -= window // 8
    while len(turns) > least and used + more > room:
        used -= sum(_estimate(conversation, node.message) for node in turns.pop(0))
    return list(chain.from_iterable(turns))


def _keep(conversation: Conversation, kept: list[Node]) -> int:
    dropped = len(conversation.sent()) - len(kept)
    if not kept or not dropped:
        return 0
    conversation.kept_from = kept[0].id
    conversation.resized = True
    return dropped
