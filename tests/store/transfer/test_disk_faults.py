"""Pulls onto a disk that fails: at each call, once, with what a disk may answer."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from dmr_tui.errors import StoreError
from dmr_tui.store import durable
from dmr_tui.store.fsck import fsck
from dmr_tui.store.garbage import prune
from dmr_tui.store.transfer import partial
from dmr_tui.store.transfer.pieces import CELL
from tests.store.transfer.conftest import Transfers
from tests.support.stand_in import StandIn, digest_of

pytestmark = pytest.mark.usefixtures("quick_retries")

WEIGHTS = random.Random(11).randbytes(2 * CELL + 77)


class Disk:
    """Fails at one of the calls of a function of the system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
        self.calls = 0
        self.fails_at = 0
        self.code = code
        room = durable if name == "reserve" else os
        self._real: Callable[..., Any] = getattr(room, name)
        monkeypatch.setattr(room, name, self._call)

    def _call(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == self.fails_at:
            raise OSError(self.code, os.strerror(self.code))
        return self._real(*arguments, **named)


@pytest.mark.parametrize(
    ("name", "code", "most"),
    [
        ("reserve", errno.ENOSPC, 9),
        ("pwrite", errno.ENOSPC, 6),
        ("pwrite", errno.EDQUOT, 3),
        ("preadv", errno.EIO, 3),
        ("fdatasync", errno.EIO, 3),
        ("fsync", errno.EIO, 60),
        ("replace", errno.ENOSPC, 60),
        ("replace", errno.EROFS, 2),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_at_whatever_call_the_disk_fails_it_is_told_and_nothing_is_lost(
    server: StandIn,
    transfers: Transfers,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    code: int,
    most: int,
) -> None:
    monkeypatch.setattr(partial, "_SYNC", CELL)
    server.model(WEIGHTS, b"licence")
    store = transfers.store
    disk = Disk(monkeypatch, name, code)
    told: list[StoreError] = []
    for call in range(1, most + 1):
        disk.calls, disk.fails_at = 0, call
        try:
            transfers.pull(server.name)
        except StoreError as error:
            told.append(error)
        if disk.calls < call:
            break
        disk.fails_at = 0
        assert fsck(store, full=True).clean
        transfers.pull(server.name)
        model = store.find(server.name)
        assert store.blobs.path(digest_of(WEIGHTS)).read_bytes() == WEIGHTS
        assert fsck(store, full=True).clean
        store.remove(model.id)
        prune(store, everything=True)
    assert told
    for each in told:
        assert os.strerror(code) in each.message
        assert each.hint
