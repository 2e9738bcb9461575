"""Messages that were sent by a person and wait to be put to the model."""

from __future__ import annotations

from dataclasses import dataclass

from dmr_tui.chat.tree import Node
from dmr_tui.screens.pulls import Pull
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import clock

_PREVIEW = 20


@dataclass(frozen=True)
class Letter:
    """A message on its way.

    Attributes:
        text: what was written.
        replaces: an earlier question that it is a new version of.
    """

    text: str
    replaces: Node | None = None


class Outbox:
    """A queue of messages to one model; nothing in it is ever lost."""

    def __init__(self, workspace: Workspace) -> None:
        """An empty queue."""
        self._workspace = workspace
        self._letters: list[Letter] = []

    def __bool__(self) -> bool:
        """Whether a message waits."""
        return bool(self._letters)

    @property
    def texts(self) -> list[str]:
        """What waits, oldest first."""
        return [letter.text for letter in self._letters]

    def put(self, text: str, replaces: Node | None = None) -> None:
        """Let a message wait."""
        self._letters.append(Letter(text, replaces))

    def take(self) -> Letter:
        """The first message."""
        return self._letters.pop(0)

    def take_back(self) -> str:
        """The last message, to be edited."""
        return self._letters.pop().text

    def can_go(self, model: str) -> bool:
        """Whether the model can answer the first message now."""
        workspace = self._workspace
        if not self._letters or not model or not workspace.ready or not workspace.library.loaded:
            return False
        return workspace.pulls.find(model) is None

    def broken_pull(self, model: str) -> Pull | None:
        """The pull that the messages waited for and that has brought no model."""
        pulls = self._workspace.pulls
        if not self._letters or pulls.find(model) or self._workspace.library.find(model):
            return None
        return next((pull for pull in pulls.all if pull.name == model and not pull.arrived), None)

    def waits_for(self, model: str, *, answering: bool) -> str:
        """What the first message waits for, in words; empty without one."""
        if not self._letters:
            return ""
        line = self._letters[0].text.replace("\n", " ")
        message = f"“{line[:_PREVIEW]}…”" if len(line) > _PREVIEW else f"“{line}”"
        if answering:
            return f"{message} is sent when the answer ends · ⏎ now · esc takes it back"
        pull = self._workspace.pulls.find(model)
        if pull is None:
            return f"{message} waits for the runner · esc takes it back"
        left = f", {clock(pull.seconds_left)} left" if pull.seconds_left is not None else ""
        left = ", paused on Get" if pull.state == "paused" else left
        return f"{message} waits for {pull.name}: {pull.fraction:.0%}{left} · esc takes it back"
