"""What is typed is written down a moment later, so that no crash takes it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from dmr_tui.chat.drafts import Draft, Drafts
from dmr_tui.screens.workspace import Workspace

_SECONDS = 0.15
"""How much typing a crash may take, at most."""


class Drafting:
    """Keeps one draft on disk; nothing of it blocks the loop. Off where no chats are saved."""

    def __init__(self, workspace: Workspace) -> None:
        """Nothing is written yet."""
        self._drafts = Drafts(workspace.paths.drafts) if workspace.settings.save_chats else None
        # One thread, so that drafts are written in the order in which they were typed.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="draft")
        self._draft = self._written = Draft()
        self._timer: asyncio.TimerHandle | None = None

    async def recover(self) -> tuple[Draft, list[str]]:
        """The newest draft that an earlier program has left, and the texts of older ones."""
        if self._drafts is None:
            return Draft(), []
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._thread, self._drafts.recover)
        older = [text for draft in found[:-1] for text in (*draft.waiting, draft.text) if text]
        return (found[-1] if found else Draft()), older

    def note(self, draft: Draft) -> None:
        """Write this down soon, unless something else is typed first."""
        self._draft = draft
        if self._drafts is not None and self._timer is None and draft != self._written:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._write)

    def _write(self) -> None:
        self._timer = None
        self._written = self._draft
        self._thread.submit(self._keep, self._draft)

    def _keep(self, draft: Draft) -> None:
        # A full or read-only disk keeps nobody from writing and sending.
        with suppress(OSError):
            if self._drafts is not None:
                self._drafts.keep(draft)

    def finish(self) -> None:
        """Write the last draft and leave it to the next program."""
        if self._timer is not None:
            self._timer.cancel()
        if self._drafts is not None:
            self._thread.submit(self._keep, self._draft)
            self._thread.submit(self._drafts.close)
        self._thread.shutdown()
