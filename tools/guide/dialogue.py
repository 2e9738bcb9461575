"""Dialogues, and how they are written for the model: ChatML."""

from __future__ import annotations

from dataclasses import dataclass

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTROL = (END_OF_TEXT, TURN_START, TURN_END)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Exchange:
    """A question and its answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Dialogue:
    """A conversation that the model learns, or is examined on.

    Attributes:
        part: the row of the evaluation's table that it belongs to.
        exchanges: in order; an examination asks for the last answer.
        system: the system message, if any; no answer depends on it.
    """

    part: str
    exchanges: tuple[Exchange, ...]
    system: str = ""

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Pairs of role and text, without the last answer."""
        pairs = [("system", self.system)] if self.system else []
        for exchange in self.exchanges:
            pairs += [("user", exchange.question), ("assistant", exchange.answer)]
        return pairs[:-1]

    @property
    def answer(self) -> str:
        """The last answer."""
        return self.exchanges[-1].answer


def turn(role: str, text: str) -> str:
    """One turn as the chat template writes it, without the control tokens."""
    return f"{role}\n{text}"
