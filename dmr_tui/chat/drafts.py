"""What was typed and not sent yet: written down as it is typed, there again after a crash.

Each program has a file of its own, which it holds locked while it lives. A file that nobody holds
belongs to a program that has ended: the next one takes it over.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from dmr_tui.chat.tree import new_id


class Draft(Struct, frozen=True, omit_defaults=True):
    """A message that is being written."""

    text: str = ""
    chips: dict[str, str] = {}
    """What stands behind the short names in the text: pasted texts, files."""
    waiting: list[str] = []
    """Messages that were sent and that no model has been given yet, oldest first."""

    def __bool__(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self.text.strip() or self.waiting)


class Drafts:
    """The drafts of this user. Everything blocks and belongs to one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """Prepare to use the folder `Paths.drafts`; nothing is touched before the first call."""
        self._folder = folder
        self._file = folder / f"{new_id()}.json"
        self._lock: int | None = None

    def recover(self) -> list[Draft]:
        """Take over what programs that are gone have left; the newest is the last one."""
        try:
            files = sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
        except OSError:
            return []
        found = []
        for file in files:
            lock = _locked(file.with_suffix(".lock"))
            if lock is None:
                continue  # Its program lives, or has just been faster.
            with suppress(OSError, msgspec.DecodeError):
                found.append(msgspec.json.decode(file.read_bytes(), type=Draft))
            _remove(file)
            os.close(lock)
        return [draft for draft in found if draft]

    def keep(self, draft: Draft) -> None:
        """Write down what is typed now; an empty draft leaves no file.

        Raises:
            OSError: it cannot be written.
        """
        if not draft:
            if self._lock is not None:
                self._file.unlink(missing_ok=True)
            return
        if self._lock is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _locked(self._file.with_suffix(".lock"))
        # Renamed into place: whoever is killed in the middle of it leaves the one before.
        fresh = self._file.with_suffix(".new")
        with open(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:
            out.write(msgspec.json.encode(draft))
        fresh.replace(self._file)

    def close(self) -> None:
        """Leave the draft to the next program."""
        if self._lock is not None:
            if not self._file.exists():
                _remove(self._file)
            os.close(self._lock)
            self._lock = None


def _locked(file: Path) -> int | None:
    """A descriptor that holds the lock of a file; None: somebody else does."""
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_WRONLY, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove(file: Path) -> None:
    for suffix in (".json", ".lock", ".new"):
        with suppress(OSError):
            file.with_suffix(suffix).unlink()
