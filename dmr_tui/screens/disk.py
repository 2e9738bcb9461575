"""How much disk the stored models take: a file that several of them share is there once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmr_tui.screens.library import Entry

_Files = Mapping[str, Mapping[str, int]]


class Disk:
    """The files of the models, as far as a runner tells of them; else what each says of itself."""

    def __init__(self, files: _Files | None = None) -> None:
        """Take the bytes of files by digest, by the ids of the models."""
        self._files: _Files = files or {}
        self._users = Counter(chain.from_iterable(self._files.values()))

    def taken_by(self, entries: Iterable[Entry]) -> int:
        """Bytes of all files that these models need."""
        known, untold = self._sizes(entries)
        return sum(known.values()) + untold

    def freed_by(self, entries: Iterable[Entry]) -> int:
        """Bytes that go with these models: not those of files that others need, too."""
        entries = list(entries)
        known, untold = self._sizes(entries)
        gone = Counter(
            chain.from_iterable(self._files.get(entry.model.id, ()) for entry in entries)
        )
        freed = (size for digest, size in known.items() if gone[digest] == self._users[digest])
        return sum(freed) + untold

    def _sizes(self, entries: Iterable[Entry]) -> tuple[dict[str, int], int]:
        """The sizes of files by digest, and those of models whose files nobody tells."""
        known: dict[str, int] = {}
        untold = 0
        for entry in entries:
            files = self._files.get(entry.model.id)
            if files is None:
                untold += entry.size
            else:
                known |= files
        return known, untold
