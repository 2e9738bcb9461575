"""The tree of a conversation: every message that was said, and the path that is shown.

A question that is edited and an answer that is drawn again become siblings of what was there, so
nothing is lost: each message knows which of its versions it is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from dmr_tui.chat.stats import TurnStats
from dmr_tui.engine.request import Message, TextPart


def new_id() -> str:
    """An identifier that no other process chooses too."""
    return os.urandom(8).hex()


@dataclass(eq=False)
class Node:
    """One message and what may follow it.

    Attributes:
        message: as it is sent to a model, files and images in it.
        parent: what it follows; None for the root, which is no message.
        id: names it in saved chats.
        typed: what a person typed, where files have taken the place of their names since.
        model: who answered.
        created: Unix time, seconds.
        stats: of an answer that has ended.
        stopped: the answer ended before the model had finished.
        children: the versions of what follows, oldest first.
        chosen: the one of them that the path goes on with; None: the path ends here.
    """

    message: Message
    parent: Node | None = None
    id: str = field(default_factory=new_id)
    typed: str = ""
    model: str = ""
    created: float = field(default_factory=time.time)
    stats: TurnStats | None = None
    stopped: bool = False
    children: list[Node] = field(default_factory=list)
    chosen: Node | None = None

    @property
    def role(self) -> str:
        """`user` or `assistant`."""
        return self.message.role

    @property
    def text(self) -> str:
        """What to show and to edit: what was typed or answered."""
        return self.typed or text_of(self.message)

    @property
    def reasoning(self) -> str:
        """The thoughts behind an answer."""
        return self.message.reasoning_content or ""

    @property
    def versions(self) -> list[Node]:
        """All versions of this message, itself among them, oldest first."""
        return self.parent.children if self.parent is not None else [self]

    @property
    def version(self) -> int:
        """Which of its versions it is, counted from 1."""
        return self.versions.index(self) + 1

    def follow(self) -> Iterator[Node]:
        """This message and what follows it on the path."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.chosen

    def everything(self) -> Iterator[Node]:
        """This message and all that follows it on any path, parents before their children."""
        pending = [self]
        while pending:
            node = pending.pop()
            yield node
            pending.extend(reversed(node.children))

    def add(self, child: Node) -> Node:
        """Let a message follow this one, and the path go on with it."""
        child.parent = self
        self.children.append(child)
        self.chosen = child
        return child

    def choose(self) -> None:
        """Let the path go through this message."""
        node = self
        while node.parent is not None:
            node.parent.chosen = node
            node = node.parent

    def remove(self) -> None:
        """Take it and all that follows out of the tree; the path falls back to its last sibling."""
        if self.parent is not None:
            siblings = self.parent.children
            siblings.remove(self)
            if self.parent.chosen is self:
                self.parent.chosen = siblings[-1] if siblings else None


def new_root() -> Node:
    """The beginning of a tree: what the first message follows."""
    return Node(Message("root"), id="")


def text_of(message: Message) -> str:
    """The text of a message, without its images."""
    content = message.content
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content or () if isinstance(part, TextPart))
