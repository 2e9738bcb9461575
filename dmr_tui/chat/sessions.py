"""Saved chats for an asyncio program: each call runs on one thread of its own, in order."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from dmr_tui.chat.archive import Archive, ChatInfo, Hit, changes_of
from dmr_tui.chat.conversation import Conversation
from dmr_tui.errors import DmrError, StoreError

__all__ = ["ChatInfo", "Hit", "Sessions"]

T = TypeVar("T")


class Sessions:
    """The saved chats of this user.

    Nothing here blocks the event loop, and nothing touches the disk before the first call. Close
    it before the loop ends: what was saved last is still being written.

    Attributes:
        problem: why the last save failed; None: it did not. A chat goes on all the same, and what
            was not written is written with the next save.
    """

    def __init__(self, file: Path) -> None:
        """Prepare to use the file `Paths.chats`."""
        self.problem: DmrError | None = None
        self._file = file
        self._archive: Archive | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chats")

    def save(self, conversation: Conversation) -> asyncio.Future[DmrError | None]:
        """Write what has changed in a conversation; a copy is taken at once.

        Nobody has to wait for the result, which is `problem`, and it never raises. A waiter may
        be cancelled; the writing goes on.
        """
        changes = changes_of(conversation, time.time())
        nodes, dropped = conversation.unsaved, conversation.dropped
        conversation.unsaved, conversation.dropped = {}, set()

        def write() -> DmrError | None:
            try:
                self._run(lambda archive: archive.write(changes))
            except DmrError as error:
                return error
            return None

        def written(result: asyncio.Future[DmrError | None]) -> None:
            self.problem = result.result()
            if self.problem is not None:
                conversation.unsaved = nodes | conversation.unsaved
                conversation.dropped |= dropped

        writing = asyncio.get_running_loop().run_in_executor(self._thread, write)
        writing.add_done_callback(written)
        return asyncio.shield(writing)

    async def settled(self) -> DmrError | None:
        """Wait until all that was saved so far has been written; returns `problem`."""
        await asyncio.get_running_loop().run_in_executor(self._thread, lambda: None)
        return self.problem

    async def chats(self, query: str = "", *, model: str = "") -> list[ChatInfo]:
        """Saved chats, the last used first; see `Archive.chats`."""
        return await self._call(lambda archive: archive.chats(query, model=model))

    async def search(self, query: str, *, limit: int = 50) -> list[Hit]:
        """Messages that have all the words of a query; see `Archive.search`."""
        return await self._call(lambda archive: archive.search(query, limit=limit))

    async def load(self, chat: str) -> Conversation:
        """The conversation of that id.

        Raises:
            InvalidRequestError: there is no such chat.
        """
        return await self._call(lambda archive: archive.load(chat))

    async def rename(self, chat: str, title: str) -> None:
        """Give a chat another title; an open conversation keeps its own `title`."""
        await self._call(lambda archive: archive.rename(chat, title))

    async def delete(self, chat: str) -> None:
        """Remove a chat; `restore` can bring it back until the next one is removed."""
        await self._call(lambda archive: archive.delete(chat))

    async def restore(self) -> str | None:
        """Bring back the chat that was deleted last; returns its id, None without one."""
        return await self._call(lambda archive: archive.restore())

    async def close(self) -> None:
        """Finish writing and close the file."""

        def close() -> None:
            if self._archive is not None:
                self._archive.close()

        await asyncio.get_running_loop().run_in_executor(self._thread, close)
        self._thread.shutdown()

    async def _call(self, action: Callable[[Archive], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._run, action)

    def _run(self, action: Callable[[Archive], T]) -> T:
        """Act on the open file; on its thread.

        Raises:
            StoreError: the file cannot be used.
        """
        try:
            if self._archive is None:
                self._archive = Archive(self._file)
            return action(self._archive)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"saved chats cannot be used: {error}", f"they are in {self._file}"
            ) from error
