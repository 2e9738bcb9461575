"""Using models that other programs have on this machine: what there is, and taking it in."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from dmr_tui.errors import ModelNotFoundError
from dmr_tui.runner.base import Importable
from dmr_tui.store.adopt import adopt
from dmr_tui.store.foreign import Foreign, find_models
from dmr_tui.store.reference import familiar, parse_reference
from dmr_tui.store.store import Store
from dmr_tui.store.transfer.progress import LayerProgress, TransferProgress


def importable(store: Store) -> list[Importable]:
    """The models of other programs that the store does not have under their name; blocks."""
    there = {familiar(tag) for model in store.models() for tag in model.tags}
    return [
        Importable(name=each.name, program=each.program, size=each.size)
        for each in find_models(os.environ, Path.home())
        if familiar(str(parse_reference(each.name))) not in there
    ]


def take_in(
    store: Store,
    name: str,
    report: Callable[[TransferProgress], None],
    cancelled: threading.Event,
) -> None:
    """Have another program's model in the store, by a link where the disk allows; blocks.

    Raises:
        ModelNotFoundError: no program has a model of that name.
        InvalidRequestError: a file of it is no whole GGUF file.
        StoreError: the store cannot be written.
    """
    found = _named(name)

    def progress(done: int, total: int) -> None:
        if cancelled.is_set():
            raise _LeftError
        report(TransferProgress("progress", "", total, LayerProgress(found.name, total, done)))

    try:
        _, way = adopt(store, found, parse_reference(found.name), on_progress=progress)
    except _LeftError:
        return
    report(TransferProgress("success", f"Imported ({way})", found.size))


def _named(name: str) -> Foreign:
    for each in find_models(os.environ, Path.home()):
        if name in (each.name, f"{each.name}:latest"):
            return each
    raise ModelNotFoundError(
        f"no other program has a model called {name}", "see what there is: dmr import --scan"
    )


class _LeftError(Exception):
    """Nobody waits for the import any more."""
