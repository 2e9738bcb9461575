"""The store on this disk, for commands that work on files and need no runner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmr_tui.paths import Paths
from dmr_tui.settings import load_settings

if TYPE_CHECKING:
    from dmr_tui.store.store import Store


def open_store() -> Store:
    """This user's store; safe beside a server that uses it too."""
    from dmr_tui.store.store import Store  # Not at the top: help and completion need none.

    paths = Paths.default()
    return Store(paths.models, default_registry=load_settings(paths).default_registry)
