"""Saved chats as the screen uses them: found, opened, renamed, removed, written to files."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.export import Format, export, file_name
from dmr_tui.chat.sessions import ChatInfo, Sessions
from dmr_tui.chat.tree import Node
from dmr_tui.errors import StoreError
from dmr_tui.screens.workspace import Workspace


class Keeper:
    """What can be done with saved chats. Everything raises `DmrError` as `Sessions` does."""

    def __init__(self, workspace: Workspace) -> None:
        """The chats of a workspace."""
        self._workspace = workspace

    @property
    def _sessions(self) -> Sessions:
        return self._workspace.sessions

    async def last(self) -> Conversation | None:
        """The chat that was used last; None without any."""
        chats = await self._sessions.chats()
        return await self._sessions.load(chats[0].id) if chats else None

    async def load(self, chat: str) -> Conversation:
        """The chat of that id."""
        return await self._sessions.load(chat)

    async def rename(self, chat: ChatInfo, title: str) -> None:
        """Give it another title."""
        await self._sessions.rename(chat.id, title)

    async def delete(self, chat: ChatInfo) -> bool:
        """Remove it; `restore` brings back the last one."""
        await self._sessions.delete(chat.id)
        return True

    async def restore(self) -> Conversation | None:
        """Bring the deleted chat back; None: there was none."""
        chat = await self._sessions.restore()
        return await self._sessions.load(chat) if chat is not None else None

    async def export(self, chat: ChatInfo, file: Path) -> Path:
        """Write it to a new file: JSON where the name ends so, else Markdown."""
        form: Format = "json" if file.suffix == ".json" else "md"
        conversation = await self.load(chat.id)
        return await asyncio.to_thread(export, conversation, form, file, Path.cwd())

    @staticmethod
    def file_name(chat: ChatInfo) -> str:
        """A name for the file of a chat."""
        return file_name(chat.title, "md")

    @staticmethod
    async def write(text: str, file: Path) -> Path:
        """Write a text to a new file.

        Raises:
            StoreError: it exists, or cannot be written.
        """

        def write() -> Path:
            path = Path.cwd() / file.expanduser()
            try:
                with path.open("x", encoding="utf-8") as out:
                    out.write(text)
            except FileExistsError as error:
                raise StoreError(f"{path} exists already", "choose another name") from error
            except OSError as error:
                raise StoreError(f"cannot write {path}: {error.strerror}") from error
            return path

        return await asyncio.to_thread(write)


def newest_with(conversation: Conversation, query: str) -> Node | None:
    """The newest message, on any branch, that has all the words; None without one."""
    words = query.casefold().split()
    if not words:
        return None
    found = [
        node
        for node in conversation.root.everything()
        if node is not conversation.root and all(word in node.text.casefold() for word in words)
    ]
    return max(found, key=lambda node: node.created, default=None)
