"""Saved chats on disk: one SQLite file that several processes may read and write at once.

Everything here blocks and belongs to one thread; `Sessions` is its door for asyncio.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.schema import index, migrate
from dmr_tui.chat.stats import TurnStats
from dmr_tui.chat.tree import Node
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import ContentPart, Limits, Message, Sampling
from dmr_tui.errors import InvalidRequestError

_BUSY_SECONDS = 5.0
_FORGOTTEN_SECONDS = 86400.0
"""A chat that was deleted that long ago, by a process that could not clean up, is gone."""
_SNIPPET_BEFORE, _SNIPPET_WIDTH = 8, 100
"""Little before the hit: it must be seen in the narrow list of the full screen, too."""
_MIN_TRIGRAM = 3
_TURNS = (
    "WITH RECURSIVE path (id, parent, role) AS (SELECT id, parent, role FROM messages"
    " WHERE id = c.tip AND chat = c.id UNION SELECT m.id, m.parent, m.role FROM messages m"
    " JOIN path p ON m.id = p.parent WHERE m.chat = c.id)"
    " SELECT count(*) FROM path WHERE role = 'user'"
)
"""The questions from the last message of a chat `c` back to its first."""


class ChatInfo(Struct, frozen=True):
    """One line of the list of chats."""

    id: str
    title: str
    model: str
    created: float
    """Unix time, seconds."""
    updated: float
    turns: int
    """Questions on the path that is shown; those on other branches are not counted."""
    origin: str = ""
    """Id of the chat that it was forked from."""
    snippet: str = ""
    """Where the search text stands in its newest message that has it; empty without a search."""


class Hit(Struct, frozen=True):
    """One message that a search has found."""

    chat: str
    message: str
    title: str
    role: str
    created: float
    snippet: str
    spans: tuple[tuple[int, int], ...]
    """Where the searched words stand in the snippet: begin and end of each."""


class Changes(Struct, frozen=True):
    """What of a conversation is to be written."""

    chat: tuple[Any, ...]
    messages: list[tuple[Any, ...]]
    """Rows whose content and stats are not JSON yet: an image takes its time to encode."""
    dropped: list[str]
    empty: bool
    """Nothing is left of it."""


class _Settings(Struct, omit_defaults=True):
    system: str | None = None
    sampling: Sampling = Sampling()
    limits: Limits = Limits()
    profile: Profile = Profile()
    template_options: dict[str, Any] = {}
    summary: str = ""
    kept_from: str | None = None
    tokens_per_byte: float = 0.0


def changes_of(conversation: Conversation, now: float) -> Changes:
    """A copy of what has changed, which another thread may write while the chat goes on."""
    settings = _Settings(
        conversation.system, conversation.sampling, conversation.limits, conversation.profile,
        conversation.template_options, conversation.summary, conversation.kept_from,
        conversation.tokens_per_byte,
    )  # fmt: skip
    return Changes(
        (
            conversation.id, conversation.title, conversation.model, _text(settings),
            conversation.origin, conversation.tip.id, conversation.created, now,
        ),
        [_row(conversation.id, node) for node in conversation.unsaved.values()],
        list(conversation.dropped),
        empty=not conversation.root.children,
    )  # fmt: skip


class Archive:
    """The file of saved chats, open."""

    def __init__(self, file: Path) -> None:
        """Open the file, or make it.

        Raises:
            StoreError: a newer program has written it.
            OSError, sqlite3.Error: it cannot be opened.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        # Before SQLite sees it: its journal takes over the permissions.
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
        file.chmod(0o600)
        self._db = sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute("PRAGMA secure_delete = ON")
            migrate(self._db)
            self._indexed = index(self._db)
        except BaseException:
            self._db.close()
            raise
        self._deleted: str | None = None
        self._purge("deleted < ?", (time.time() - _FORGOTTEN_SECONDS,))

    def close(self) -> None:
        """Remove for good what was deleted, and close the file."""
        if self._deleted is not None:
            self._purge("id = ? AND deleted IS NOT NULL", (self._deleted,))
        self._db.close()

    def write(self, changes: Changes) -> None:
        """Save changes, all or none of them."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if changes.empty:
                self._db.execute("DELETE FROM chats WHERE id = ?", changes.chat[:1])
                return
            # The title stays: another process may have given it a new one.
            self._db.execute(
                "INSERT INTO chats (id, title, model, settings, origin, tip, created, updated)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                " model = excluded.model, settings = excluded.settings, tip = excluded.tip,"
                " updated = excluded.updated",
                changes.chat,
            )
            self._db.executemany(
                "INSERT INTO messages (id, chat, parent, role, content, text, reasoning, model,"
                " stats, stopped, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET content = excluded.content, text = excluded.text,"
                " reasoning = excluded.reasoning, stats = excluded.stats,"
                " stopped = excluded.stopped",
                [_encoded(row) for row in changes.messages],
            )
            self._db.executemany(
                "DELETE FROM messages WHERE id = ?", [(each,) for each in changes.dropped]
            )

    def load(self, chat: str) -> Conversation:
        """The conversation of that id, with all its branches.

        Raises:
            InvalidRequestError: there is no such chat.
        """
        found = self._db.execute(
            "SELECT title, model, settings, origin, tip, created FROM chats"
            " WHERE id = ? AND deleted IS NULL",
            (chat,),
        ).fetchone()
        if found is None:
            raise InvalidRequestError("this chat is not saved any more")
        title, model, settings_text, origin, tip, created = found
        settings = msgspec.json.decode(settings_text, type=_Settings)
        conversation = Conversation(
            model, settings.system, settings.sampling, settings.limits, settings.profile,
            settings.template_options, title, chat, origin, created, settings.summary,
            settings.kept_from, settings.tokens_per_byte, opened=True,
        )  # fmt: skip
        nodes = {"": conversation.root}
        for parent, node in self._nodes(chat):
            # A process that had removed the parent can have been faster.
            nodes.get(parent, conversation.root).add(node)
            nodes[node.id] = node
        last = nodes.get(tip, conversation.tip)
        last.choose()
        last.chosen = None
        return conversation

    def _nodes(self, chat: str) -> Iterable[tuple[str, Node]]:
        decode = msgspec.json.Decoder(str | list[ContentPart]).decode
        decode_stats = msgspec.json.Decoder(TurnStats | None).decode
        rows = self._db.execute(
            "SELECT parent, id, role, content, text, reasoning, model, stats, stopped, created"
            " FROM messages WHERE chat = ? ORDER BY row",
            (chat,),
        )
        for parent, id_, role, content, text, reasoning, model, stats, stopped, created in rows:
            said = decode(content)
            message = Message(role, said, reasoning_content=reasoning or None)
            typed = "" if said == text else text
            numbers = decode_stats(stats or "null")
            yield parent, Node(message, None, id_, typed, model, created, numbers, bool(stopped))

    def chats(self, query: str = "", *, model: str = "", limit: int = 1000) -> list[ChatInfo]:
        """Saved chats, the last used one first.

        Args:
            query: words that must all stand in the title or in one message; empty: all chats.
            model: only chats with this model; empty: with any.
            limit: most of them to return.
        """
        words = query.split()
        conditions, values = ["c.deleted IS NULL"], list[Any]()
        if model:
            conditions.append("c.model = ?")
            values.append(model)
        if words:
            matching, matched = self._matching(words)
            titled = " AND ".join(["c.title LIKE ? ESCAPE '\\'"] * len(words))
            conditions.append(f"({titled} OR c.id IN (SELECT m.chat {matching}))")
            values += [*map(_like, words), *matched]
        rows = self._db.execute(
            f"SELECT c.id, c.title, c.model, c.created, c.updated, ({_TURNS}), c.origin"
            " FROM chats c"
            f" WHERE {' AND '.join(conditions)} ORDER BY c.updated DESC, c.rowid DESC LIMIT ?",
            [*values, limit],
        ).fetchall()
        found = [ChatInfo(*row) for row in rows]
        if not words:
            return found
        return [
            msgspec.structs.replace(each, snippet=self._snippet(each.id, words)) for each in found
        ]

    def search(self, query: str, *, limit: int = 50) -> list[Hit]:
        """Messages that have all the words of a query, or parts of words; the newest first."""
        words = query.split()
        if not words:
            return []
        matching, matched = self._matching(words)
        rows = self._db.execute(
            f"SELECT c.id, m.id, c.title, m.role, m.created, m.text {matching}"
            " ORDER BY m.created DESC, m.row DESC LIMIT ?",
            [*matched, limit],
        )
        return [
            Hit(chat, message, title, role, created, *snippet_of(text, words))
            for chat, message, title, role, created, text in rows
        ]

    def _matching(self, words: Sequence[str]) -> tuple[str, list[str]]:
        """The rest of a query for messages `m` of chats `c` that have all the words."""
        long = [word for word in words if self._indexed and len(word) >= _MIN_TRIGRAM]
        short = [word for word in words if word not in long]
        tables = "FROM messages m JOIN chats c ON c.id = m.chat"
        conditions, values = ["c.deleted IS NULL"], list[str]()
        if long:
            tables += " JOIN message_index i ON i.rowid = m.row"
            conditions.append("message_index MATCH ?")
            values.append(" ".join('"' + word.replace('"', '""') + '"' for word in long))
        conditions += ["m.text LIKE ? ESCAPE '\\'"] * len(short)
        return f"{tables} WHERE {' AND '.join(conditions)}", values + [_like(w) for w in short]

    def _snippet(self, chat: str, words: Sequence[str]) -> str:
        matching, matched = self._matching(words)
        found = self._db.execute(
            f"SELECT m.text {matching} AND c.id = ? ORDER BY m.created DESC, m.row DESC LIMIT 1",
            [*matched, chat],
        ).fetchone()
        return snippet_of(found[0], words)[0] if found else ""

    def rename(self, chat: str, title: str) -> None:
        """Give a chat another title."""
        self._db.execute("UPDATE chats SET title = ? WHERE id = ?", (title, chat))

    def delete(self, chat: str) -> None:
        """Remove a chat; `restore` brings back the last one, until the file is closed."""
        if self._deleted is not None:
            self._purge("id = ? AND deleted IS NOT NULL", (self._deleted,))
        self._db.execute("UPDATE chats SET deleted = ? WHERE id = ?", (time.time(), chat))
        self._deleted = chat

    def restore(self) -> str | None:
        """Bring back the chat that was deleted last; returns its id, None without one."""
        chat, self._deleted = self._deleted, None
        if chat is None:
            return None
        changed = self._db.execute("UPDATE chats SET deleted = NULL WHERE id = ?", (chat,))
        return chat if changed.rowcount else None

    def _purge(self, condition: str, values: tuple[object, ...]) -> None:
        self._db.execute(f"DELETE FROM chats WHERE {condition}", values)


def snippet_of(text: str, words: Sequence[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A line of a text around the first of the words, and where all of them stand in it."""
    pattern = re.compile("|".join(map(re.escape, words)), re.IGNORECASE)
    line = " ".join(text.split())
    first = pattern.search(line)
    begin = max(first.start() - _SNIPPET_BEFORE, 0) if first else 0
    shown = line[begin : begin + _SNIPPET_WIDTH]
    snippet = "…" * (begin > 0) + shown + "…" * (begin + len(shown) < len(line))
    return snippet, tuple(match.span() for match in pattern.finditer(snippet))


def _row(chat: str, node: Node) -> tuple[Any, ...]:
    parent = node.parent.id if node.parent is not None else ""
    return (
        node.id, chat, parent, node.role, node.message.content, node.text, node.reasoning,
        node.model, node.stats, int(node.stopped), node.created,
    )  # fmt: skip


def _encoded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    *before, content, text, reasoning, model, stats, stopped, created = row
    numbers = None if stats is None else _text(stats)
    return (*before, _text(content), text, reasoning, model, numbers, stopped, created)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _like(word: str) -> str:
    return "%" + re.sub(r"([\\%_])", r"\\\1", word) + "%"
