"""How a runner of this process writes down what it pulls and pushes."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Literal

from dmr_tui.errors import DmrError
from dmr_tui.runner.activity.journal import Journal
from dmr_tui.store.transfer.progress import TransferProgress


class Transferring:
    """A context in which one model is moved; its end becomes an event."""

    def __init__(self, journal: Journal, kind: Literal["pull", "push"], name: str) -> None:
        """Prepare to tell of a transfer of the model `name`."""
        self._journal = journal
        self._kind = kind
        self._name = name
        self._began = time.monotonic()
        self._total = 0

    def __enter__(self) -> Transferring:
        """Begin."""
        self._began = time.monotonic()
        return self

    def see(self, line: TransferProgress) -> None:
        """Take notice of a line of progress."""
        self._total = max(self._total, line.total)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell how it ended."""
        seconds = time.monotonic() - self._began
        if error is None:
            size = f"{self._total / 1e6:,.0f} MB " if self._total else ""
            self._journal.tell(self._kind, self._name, f"done, {size}in {seconds:.1f} s")
        elif isinstance(error, DmrError):
            text, hint = f"failed: {error.message}", error.hint or ""
            self._journal.tell(self._kind, self._name, text, level="error", hint=hint)
        else:
            self._journal.tell(self._kind, self._name, f"stopped after {seconds:.1f} s")
