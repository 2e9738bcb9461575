"""A conversation with one model: what was said, and how answers are drawn."""

from __future__ import annotations

from dataclasses import dataclass, field

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import ChatRequest, Limits, Message, Sampling


@dataclass
class Conversation:
    """Plain data with one owner: the REPL, or a chat screen.

    Attributes:
        model: name of the model that answers; may change between turns.
        system: instructions that come before the first turn; None: none.
        turns: what user and assistant said, oldest first. Only those two roles.
        sampling: how tokens are drawn; unset fields leave it to the model's profile.
        limits: when an answer ends.
        profile: how the model is loaded when a turn of this conversation loads it.
    """

    model: str
    system: str | None = None
    turns: list[Message] = field(default_factory=list)
    sampling: Sampling = field(default_factory=Sampling)
    limits: Limits = field(default_factory=Limits)
    profile: Profile = field(default_factory=Profile)

    def ask(self, text: str) -> ChatRequest:
        """Add the user's turn and return the request that answers it.

        The thoughts of earlier answers stay behind: models are trained without them, and they
        would fill the context.
        """
        self.turns.append(Message("user", text))
        system = [Message("system", self.system)] if self.system else []
        said = [Message(turn.role, turn.content) for turn in self.turns]
        return ChatRequest(system + said, self.sampling, self.limits)

    def answer(self, text: str, reasoning: str = "") -> None:
        """Add the assistant's turn; a stopped answer is kept as far as it came."""
        self.turns.append(Message("assistant", text, reasoning_content=reasoning or None))

    def take_back(self) -> str | None:
        """Remove the last user turn and what followed it; returns its text, None without one."""
        for index in range(len(self.turns) - 1, -1, -1):
            turn = self.turns[index]
            if turn.role == "user":
                del self.turns[index:]
                return turn.content if isinstance(turn.content, str) else ""
        return None

    def clear(self) -> None:
        """Forget what was said; the system message and the parameters stay."""
        self.turns.clear()
