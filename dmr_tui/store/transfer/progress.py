"""What a transfer says while it runs: Docker Model Runner's progress line, as one type.

The same structure goes to a progress bar, to the UI, and as NDJSON over HTTP (contract: pull and
push streams).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


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
    mode: Literal["pull", "push"] = "pull"
