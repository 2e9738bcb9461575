"""What `fsck` finds, a pull repairs; what a pull needs, nobody collects."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmr_tui.store.fsck import fsck
from dmr_tui.store.garbage import prune
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store, StoredModel
from dmr_tui.store.transfer.progress import TransferProgress
from dmr_tui.store.transfer.pull import pull
from tests.support.stand_in import StandIn, digest_of, stand_in

WEIGHTS = random.Random(3).randbytes(1 << 20)
LICENCE = b"Do as you like."


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as running:
        running.model(WEIGHTS, LICENCE)
        yield running


def fetch(
    store: Store, server: StandIn, watch: Callable[[TransferProgress], None] = lambda _: None
) -> StoredModel:
    name = parse_reference(server.name)
    return pull(store, name, on_progress=watch, cancelled=threading.Event())


@pytest.mark.parametrize("damage", ["missing", "short", "flipped", "manifest", "index"])
def test_a_pull_repairs_what_fsck_finds(store: Store, server: StandIn, damage: str) -> None:
    model = fetch(store, server)
    store.bundle(model)
    blob = store.blobs.path(digest_of(WEIGHTS))
    if damage == "manifest":
        store.manifest_path(model.id).unlink()
    elif damage == "index":
        (store.root / "models.json").write_bytes(b"")
    else:
        for path in (blob, store.bundle_path(model.id) / "model" / "model.gguf"):
            path.unlink()
        if damage == "short":
            blob.write_bytes(WEIGHTS[:-1])
        elif damage == "flipped":
            blob.write_bytes(bytes(len(WEIGHTS)))
    report = fsck(store, full=True)
    assert report.damaged == ([] if damage == "index" else [model.tags[0]])
    assert fetch(store, server).id == model.id
    assert fsck(store, full=True).clean
    assert store.bundle(store.find(model.id)).gguf.read_bytes() == WEIGHTS


def test_a_short_blob_is_fetched_again_without_fsck(store: Store, server: StandIn) -> None:
    model = fetch(store, server)
    blob: Path = store.blobs.path(digest_of(WEIGHTS))
    blob.write_bytes(WEIGHTS[:99])
    assert fetch(store, server).id == model.id
    assert blob.read_bytes() == WEIGHTS


def test_prune_in_the_middle_of_a_pull_takes_nothing_of_it(store: Store, server: StandIn) -> None:
    pruned = 0

    def watch(line: TransferProgress) -> None:
        nonlocal pruned
        if line.type == "progress":
            pruned += 1
            prune(store, everything=True)

    fetch(store, server, watch)
    assert pruned > 2
    assert fsck(store, full=True).clean
    assert store.blobs.read(digest_of(LICENCE)) == LICENCE
