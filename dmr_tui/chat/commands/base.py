"""What a slash command is, what it may act on, and how it tells what it did."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.sessions import Sessions
from dmr_tui.chat.tree import Node
from dmr_tui.chat.turn import Turn
from dmr_tui.errors import InvalidRequestError
from dmr_tui.runner.base import Runner

Topic: TypeAlias = Literal["model", "turns", "chats", "files", "this place"]


@dataclass
class ChatContext:
    """What a command may act on; a place that chats holds one and asks through it.

    Attributes:
        conversation: the one on screen; a command may put another in its place.
        runner: where its model runs.
        shortcuts: the keys of this place, for `/? shortcuts`.
        sessions: saved chats; None where there are none.
        saving: whether this conversation is saved as it goes on.
        folder: what file names are relative to; None: the working directory.
        listed: ids of the chats that `/chats` showed last, for `/load N`.
    """

    conversation: Conversation
    runner: Runner
    shortcuts: str = ""
    sessions: Sessions | None = None
    saving: bool = True
    folder: Path | None = None
    listed: list[str] = field(default_factory=list)

    def turn(
        self,
        prompt: str = "",
        *,
        replaces: Node | None = None,
        again: Node | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Turn:
        """A turn of the conversation, saved as it happens; see `Turn`."""
        return Turn(
            self.conversation,
            self.runner,
            again.text if again is not None else prompt,
            replaces=replaces,
            again=again,
            folder=self.folder,
            sessions=self.sessions if self.saving else None,
            clock=clock,
        )

    def saved(self) -> Sessions:
        """The saved chats.

        Raises:
            InvalidRequestError: there are none here.
        """
        if self.sessions is None:
            raise InvalidRequestError("There are no saved chats here")
        return self.sessions

    async def save(self) -> None:
        """Save the conversation, if it is one that is saved.

        Raises:
            StoreError: it could not be saved.
        """
        if self.sessions is not None and self.saving:
            problem = await self.sessions.save(self.conversation)
            if problem is not None:
                raise problem


@dataclass(frozen=True)
class Outcome:
    """What a command did, and what the place where it was typed is to do now.

    Attributes:
        text: what to show; may have several lines.
        error: `text` says what went wrong.
        leave: the conversation is over.
        cleared: the turns are gone, so the place that shows them should empty itself.
        redraw: another conversation, or another branch of it, is to be shown: see
            `ChatContext.conversation`.
        put: what to put into the prompt, to be edited and sent.
        replaces: with `put`: the question that the next message is a new version of; pass it on
            to `ChatContext.turn`, unless the person empties the prompt.
        again: a question to draw another answer to now; pass it on to `ChatContext.turn`.
        copy: what to put on the clipboard.
    """

    text: str = ""
    error: bool = False
    leave: bool = False
    cleared: bool = False
    redraw: bool = False
    put: str = ""
    replaces: Node | None = None
    again: Node | None = None
    copy: str = ""


@dataclass(frozen=True)
class SlashCommand:
    """One command.

    Attributes:
        name: with its slash.
        aliases: other names, with theirs.
        arguments: how its arguments are written, for the help.
        summary: one line of help.
        run: does it; is given what follows the name, without blanks around.
        topic: under which heading the help lists it.
        words: the fixed first arguments, for completion.
        offers: what else may follow the name, for completion.
        waits: it may change the path or the chat, which an answer on its way belongs to.
    """

    name: str
    aliases: tuple[str, ...]
    arguments: str
    summary: str
    run: Callable[[ChatContext, str], Awaitable[Outcome]]
    topic: Topic = "this place"
    words: tuple[str, ...] = ()
    offers: Literal["", "chats", "files", "models"] = ""
    waits: bool = False

    @property
    def stands_alone(self) -> bool:
        """Whether its name is a whole command: whatever may follow is optional."""
        return not self.arguments or self.arguments.startswith("[")


def number_of(text: str) -> int | None:
    """The number that an argument is; None when there is none.

    Raises:
        InvalidRequestError: it is no number.
    """
    if not text:
        return None
    if not text.isdecimal():
        raise InvalidRequestError(f"'{text}' is no number")
    return int(text)


def table(title: str, rows: list[tuple[str, str]]) -> str:
    """Two columns below a title."""
    width = max(len(left) for left, _ in rows)
    lines = [f"  {left:<{width}}  {right}".rstrip() for left, right in rows]
    return "\n".join([title, *lines] if title else lines)
