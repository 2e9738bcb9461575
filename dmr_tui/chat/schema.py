"""The tables of saved chats, and how older files become today's.

`PRAGMA user_version` says which migrations a file has been through. Full text search lives in an
index of its own beside the tables, since not every SQLite can do it.
"""

from __future__ import annotations

import sqlite3

from dmr_tui.errors import StoreError

_MIGRATIONS = (
    """
    CREATE TABLE chats (
        id TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        model TEXT NOT NULL,
        settings TEXT NOT NULL,  -- JSON: system, sampling, limits, profile, summary, ...
        origin TEXT NOT NULL,    -- the chat that it was forked from
        tip TEXT NOT NULL,       -- the message at which the shown path ends
        created REAL NOT NULL,   -- Unix time, seconds
        updated REAL NOT NULL,
        deleted REAL             -- when; such a row can still be brought back
    );
    CREATE INDEX chats_by_time ON chats (updated);
    CREATE TABLE messages (
        row INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        chat TEXT NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
        parent TEXT NOT NULL,    -- what it follows; empty: it is a first message
        role TEXT NOT NULL,
        content TEXT NOT NULL,   -- JSON: what was sent
        text TEXT NOT NULL,      -- what is shown and searched
        reasoning TEXT NOT NULL,
        model TEXT NOT NULL,
        stats TEXT,              -- JSON
        stopped INTEGER NOT NULL,
        created REAL NOT NULL
    );
    CREATE INDEX messages_by_chat ON messages (chat, row);
    """,
)
VERSION = len(_MIGRATIONS)

# Trigrams find parts of words, in every script, just as LIKE does where there is no index.
_INDEX = """
    CREATE VIRTUAL TABLE IF NOT EXISTS message_index
        USING fts5 (text, content = messages, content_rowid = row, tokenize = trigram);
    CREATE TRIGGER IF NOT EXISTS message_added AFTER INSERT ON messages BEGIN
        INSERT INTO message_index (rowid, text) VALUES (new.row, new.text);
    END;
    CREATE TRIGGER IF NOT EXISTS message_removed AFTER DELETE ON messages BEGIN
        INSERT INTO message_index (message_index, rowid, text) VALUES ('delete', old.row, old.text);
    END;
    CREATE TRIGGER IF NOT EXISTS message_changed AFTER UPDATE OF text ON messages BEGIN
        INSERT INTO message_index (message_index, rowid, text) VALUES ('delete', old.row, old.text);
        INSERT INTO message_index (rowid, text) VALUES (new.row, new.text);
    END;
    INSERT INTO message_index (message_index) VALUES ('rebuild');
"""
_PROBE = "CREATE VIRTUAL TABLE temp.probe USING fts5 (text, tokenize = trigram)"
_TRIGGERS = ("message_added", "message_removed", "message_changed")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file to today's tables; several processes may try at the same time.

    Raises:
        StoreError: a newer program has written it.
    """
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise StoreError(
                "saved chats were written by a newer version of dmr", "update this one to read them"
            )
        for script in _MIGRATIONS[version:]:
            _execute(connection, script)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def index(connection: sqlite3.Connection) -> bool:
    """Keep the search index of a migrated file; returns whether this SQLite can.

    One that cannot also could not write any message while the triggers stand, so it takes them
    away; the next that can builds the index anew.
    """
    try:
        connection.execute(_PROBE)
        connection.execute("DROP TABLE temp.probe")
    except sqlite3.OperationalError:
        able = False
    else:
        able = True
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'message_%'"
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        (found,) = connection.execute(query).fetchone()
        if able and found < len(_TRIGGERS):
            _execute(connection, _INDEX)
        elif not able and found:
            for name in _TRIGGERS:
                connection.execute(f"DROP TRIGGER IF EXISTS {name}")
    return able


def _execute(connection: sqlite3.Connection, script: str) -> None:
    """Run the statements of a script within the transaction; `executescript` would end it."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
