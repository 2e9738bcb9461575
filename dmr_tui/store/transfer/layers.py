"""All blobs of a model, several at once: small ones cost round trips, large ones end in syncing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from dmr_tui.errors import StoppedError
from dmr_tui.store.blobs import BlobStore
from dmr_tui.store.transfer.fetch import fetch_blob, present
from dmr_tui.store.transfer.lanes import BlobSource, Budget
from dmr_tui.store.transfer.retry import Persistence

_AT_ONCE = 3  # blobs


@dataclass(frozen=True)
class Wanted:
    """A blob that has to come.

    Attributes:
        digest: names it.
        size: bytes it must have.
        on_bytes: told how many bytes of it are there; in any thread.
    """

    digest: str
    size: int
    on_bytes: Callable[[int], None]


def fetch_layers(
    source: BlobSource, blobs: BlobStore, wanted: Sequence[Wanted], persistence: Persistence
) -> None:
    """Have blobs in the store, fetching what of them is missing; the smallest come first.

    Args:
        source: where they come from.
        blobs: where they go.
        wanted: which, each once.
        persistence: how often a broken stream is continued, and what stops it.

    Raises:
        RegistryError: the source fails for good, or sends other bytes; the others keep what came.
        StoreError: the disk is full or refuses.
        StoppedError: the transfer was cancelled.
    """
    for blob in wanted:
        # All of them first: who watches sees from the start what is there, and what is not.
        blob.on_bytes(present(blobs, blob.digest, blob.size))
    together, budget = replace(persistence, halted=threading.Event()), Budget()

    def fetch(blob: Wanted) -> None:
        fetch_blob(
            source,
            blobs,
            blob.digest,
            blob.size,
            on_bytes=blob.on_bytes,
            persistence=together,
            budget=budget,
        )

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="blob") as pool:
        jobs = [pool.submit(fetch, blob) for blob in sorted(wanted, key=lambda blob: blob.size)]
        try:
            wait(jobs, return_when=FIRST_EXCEPTION)
        finally:
            if not all(job.done() and job.exception() is None for job in jobs):
                together.halted.set()
                for job in jobs:
                    job.cancel()
    errors = [error for job in jobs if not job.cancelled() and (error := job.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, StoppedError)):
        raise error  # that of whoever failed, before those of whom it stopped
