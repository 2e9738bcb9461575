"""What a transfer says while it runs: Docker Model Runner's progress line, as one type.

The same structure goes to a progress bar, to the UI, and as NDJSON over HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

Mode = Literal["pull", "push"]

_STEP = 1 << 20  # bytes; after so many, or so much time, there is another line
_INTERVAL = 0.1  # seconds


class LayerProgress(Struct, frozen=True, omit_defaults=True):
    """How far one layer is; sizes in bytes."""

    id: str = ""
    """The layer's digest."""
    size: int = 0
    current: int = 0


class TransferProgress(Struct, frozen=True, omit_defaults=False):
    """One line of a pull's or a push's stream."""

    type: Literal["progress", "success", "warning", "error"]
    message: str
    total: int = 0
    """Bytes of the whole artifact."""
    layer: LayerProgress = LayerProgress()
    mode: Mode = "pull"


OnProgress = Callable[[TransferProgress], None]


class Reporter:
    """Makes progress lines of byte counts, few enough to be shown."""

    def __init__(self, on_progress: OnProgress, mode: Mode, total: int = 0) -> None:
        self._on_progress = on_progress
        self._mode: Mode = mode
        self._done = "Downloaded" if mode == "pull" else "Uploaded"
        self.total = total

    def layer(self, digest: str, size: int) -> Callable[[int], None]:
        """What to tell how many bytes of a layer are there."""
        shown, shown_at = -_STEP, 0.0  # so that the first count makes a line

        def on_bytes(current: int) -> None:
            nonlocal shown, shown_at
            now = time.monotonic()
            near = 0 <= current - shown < _STEP and now - shown_at < _INTERVAL
            if near and current != size:
                return
            shown, shown_at = current, now
            self._on_progress(
                TransferProgress(
                    "progress",
                    f"{self._done}: {current / (1 << 20):.2f} MB",
                    self.total,
                    LayerProgress(digest, size, current),
                    self._mode,
                )
            )

        return on_bytes

    def warning(self, message: str) -> None:
        """Tell of trouble that the transfer goes on with."""
        self._on_progress(TransferProgress("warning", message, self.total, mode=self._mode))

    def success(self, message: str) -> None:
        """Tell that all is done: the last line."""
        self._on_progress(TransferProgress("success", message, self.total, mode=self._mode))
