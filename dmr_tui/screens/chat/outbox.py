"""Messages that were sent by a person and wait to be put to the model."""

from __future__ import annotations

from dmr_tui.chat.tree import Node
from dmr_tui.screens.pulls import Pull
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import clock

_PREVIEW = 20


class Outbox:
    """A queue of messages to one model; nothing in it is ever lost.

    Attributes:
        replaces: an earlier question that the first message is a new version of.
    """

    def __init__(self, workspace: Workspace) -> None:
        """An empty queue."""
        self.replaces: Node | None = None
        self._workspace = workspace
        self._texts: list[str] = []

    def __bool__(self) -> bool:
        """Whether a message waits."""
        return bool(self._texts)

    def put(self, text: str) -> None:
        """Let a message wait."""
        self._texts.append(text)

    def take(self) -> tuple[str, Node | None]:
        """The first message, and the question that it replaces."""
        replaces, self.replaces = self.replaces, None
        return self._texts.pop(0), replaces

    def take_back(self) -> str:
        """The last message, to be edited."""
        return self._texts.pop()

    def can_go(self, model: str) -> bool:
        """Whether the model can answer the first message now."""
        workspace = self._workspace
        if not self._texts or not model or not workspace.ready or not workspace.library.loaded:
            return False
        return workspace.pulls.find(model) is None

    def broken_pull(self, model: str) -> Pull | None:
        """The pull that the messages waited for and that has brought no model."""
        pulls = self._workspace.pulls
        if not self._texts or pulls.find(model) or self._workspace.library.find(model):
            return None
        return next((pull for pull in pulls.all if pull.name == model and not pull.arrived), None)

    def waits_for(self, model: str, *, answering: bool) -> str:
        """What the first message waits for, in words; empty without one."""
        if not self._texts:
            return ""
        line = self._texts[0].replace("\n", " ")
        message = f"“{line[:_PREVIEW]}…”" if len(line) > _PREVIEW else f"“{line}”"
        if answering:
            return f"{message} is sent when the answer ends · esc takes it back"
        pull = self._workspace.pulls.find(model)
        if pull is None:
            return f"{message} waits for the runner · esc takes it back"
        left = f", {clock(pull.seconds_left)} left" if pull.seconds_left is not None else ""
        left = ", paused on Get" if pull.state == "paused" else left
        return f"{message} waits for {pull.name}: {pull.fraction:.0%}{left} · esc takes it back"
