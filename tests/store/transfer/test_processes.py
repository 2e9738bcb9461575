"""Transfers in processes of their own: killed, side by side, and watched for memory."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import IO

import pytest

from dmr_tui.store.fsck import fsck
from dmr_tui.store.store import Store
from dmr_tui.store.transfer.lanes import FIRST
from dmr_tui.store.transfer.pieces import CELL
from tests.store.transfer.conftest import Transfers
from tests.support.registry import LiveRegistry
from tests.support.stand_in import Request, StandIn, digest_of, pause

WEIGHTS = random.Random(2).randbytes(6 * CELL)
BLOB = f"GET .*/blobs/{digest_of(WEIGHTS)}"
PART = 1 << 20
LANES = 6
PAUSED = LANES * PART  # each lane has a part, and waits

PROGRAM = """
import resource, sys, threading
from pathlib import Path
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.fsck import fsck
from dmr_tui.store.store import Store
from dmr_tui.store.transfer.pull import pull
from dmr_tui.store.transfer.push import push

def show(line):
    # In one piece: files come side by side, and each has a thread.
    sys.stdout.write(f"{line.type} {line.layer.current}\\n")
    sys.stdout.flush()

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

verb, root, name = sys.argv[1:]
before = peak()
run = {"pull": pull, "push": push}[verb]
run(Store(Path(root)), parse_reference(name), on_progress=show, cancelled=threading.Event())
print("grown", peak() - before, flush=True)
"""


class Child:
    """A pull or a push in a process of its own."""

    def __init__(self, verb: str, root: Path, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, verb, str(root), name],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.output: IO[str] = self.process.stdout

    def until(self, kind: str, least: int = 0) -> int:
        """Read on until a line of a kind with at least that number."""
        for line in self.output:
            found, number = line.split()
            if found == kind and int(number) >= least:
                return int(number)
        raise AssertionError(f"no {kind} line; the child ended with {self.process.wait()}")


@pytest.fixture
def children() -> Iterator[list[Child]]:
    running: list[Child] = []
    yield running
    for child in running:
        child.process.kill()
        child.process.wait()
        child.output.close()


def again(server: StandIn, before: int = LANES, lanes: int = LANES) -> int:
    """Bytes of the weights that had come, a part for each lane, and were asked for again.

    Not the bytes that were sent: on a busy machine a lane may be given another connection.

    Args:
        server: what was asked.
        before: how many requests had been made by then.
        lanes: how many had a part.
    """
    later = [request.start for request in server.asked(BLOB)[before:]]
    assert later
    assert len(set(later)) == len(later)  # nor does a lane take what another one has
    return sum(max(PART - start % CELL, 0) for start in later if start < lanes * CELL)


def test_a_killed_pull_is_continued_where_each_lane_was(
    server: StandIn, transfers: Transfers, children: list[Child]
) -> None:
    server.model(WEIGHTS)
    go_on = Event()
    server.fault(BLOB, *[pause(server, PART, go_on)] * 6)
    child = Child("pull", transfers.store.root, server.name)
    children.append(child)
    child.until("progress", PAUSED)
    child.process.send_signal(signal.SIGKILL)
    assert child.process.wait() == -signal.SIGKILL
    go_on.set()

    assert not transfers.store.blobs.has(digest_of(WEIGHTS))
    transfers.pull(server.name)
    assert transfers.store.blobs.path(digest_of(WEIGHTS)).read_bytes() == WEIGHTS
    assert again(server) == 0
    assert transfers.partials == []


def test_two_pulls_of_one_model_share_the_download(
    server: StandIn, transfers: Transfers, children: list[Child]
) -> None:
    server.model(WEIGHTS)
    go_on = Event()
    server.fault(BLOB, *[pause(server, PART, go_on)] * 6)
    first = Child("pull", transfers.store.root, server.name)
    children.append(first)
    first.until("progress", PAUSED)
    second = Child("pull", transfers.store.root, server.name)
    children.append(second)
    assert second.until("progress", PAUSED) == PAUSED  # it sees how far the first one is
    go_on.set()
    first.until("success")
    second.until("success")
    assert first.process.wait() == second.process.wait() == 0
    assert len(server.asked(BLOB)) == 6
    assert len(transfers.store.models()) == 1
    assert transfers.partials == []


def test_who_waits_takes_over_from_one_that_is_killed(
    server: StandIn, transfers: Transfers, children: list[Child]
) -> None:
    server.model(WEIGHTS)
    go_on = Event()
    server.fault(BLOB, *[pause(server, PART, go_on)] * 6)
    first = Child("pull", transfers.store.root, server.name)
    children.append(first)
    first.until("progress", PAUSED)
    second = Child("pull", transfers.store.root, server.name)
    children.append(second)
    second.until("progress", PAUSED)
    first.process.kill()
    second.until("success")
    go_on.set()
    assert again(server) == 0
    assert transfers.store.blobs.path(digest_of(WEIGHTS)).read_bytes() == WEIGHTS


def test_a_model_that_shares_files_is_finished_when_the_other_pull_is_killed(
    server: StandIn, transfers: Transfers, children: list[Child]
) -> None:
    server.model(WEIGHTS, b"one licence")
    server.model(WEIGHTS, b"another licence", tag="next")
    go_on = Event()
    server.fault(BLOB, *[pause(server, PART, go_on)] * 6)
    first = Child("pull", transfers.store.root, server.name)
    children.append(first)
    first.until("progress", FIRST * PART)  # that more lanes pay is not seen while all wait
    second = Child("pull", transfers.store.root, server.name.replace("latest", "next"))
    children.append(second)
    second.until("progress", FIRST * PART)
    second.process.send_signal(signal.SIGSTOP)
    first.process.kill()
    first.process.wait()
    before = len(server.asked(BLOB))
    server.faults.clear()
    second.process.send_signal(signal.SIGCONT)
    second.until("success")
    go_on.set()
    assert again(server, before, FIRST) == 0
    assert [model.name.rpartition(":")[2] for model in transfers.store.models()] == ["next"]
    assert fsck(transfers.store, full=True).clean


def test_a_pull_that_sleeps_while_the_server_hangs_up_goes_on(
    server: StandIn, transfers: Transfers, children: list[Child]
) -> None:
    """As when a laptop is closed and opened again."""
    server.model(WEIGHTS)
    go_on = Event()

    def hang_up_meanwhile(request: Request) -> None:
        request.write(request.begin(WEIGHTS)[:PART])
        go_on.wait(30)
        request.hang_up()

    server.fault(BLOB, *[hang_up_meanwhile] * 6)
    child = Child("pull", transfers.store.root, server.name)
    children.append(child)
    child.until("progress", PAUSED)
    child.process.send_signal(signal.SIGSTOP)
    go_on.set()
    child.process.send_signal(signal.SIGCONT)
    child.until("success")
    assert again(server) == 0
    assert transfers.store.blobs.path(digest_of(WEIGHTS)).read_bytes() == WEIGHTS


def test_memory_does_not_grow_with_the_model(
    server: StandIn,
    registry: LiveRegistry,
    tmp_path: Path,
    tiny_gguf: Path,
    children: list[Child],
) -> None:
    """256 MiB through a pull and through a push: neither holds more than a few of them."""
    size, block = 256 << 20, bytes(1 << 20)
    whole = hashlib.sha256()
    for _ in range(size // len(block)):
        whole.update(block)
    manifest = server.model(b"stands for more")
    small = manifest["layers"][0]["digest"]
    digest = "sha256:" + whole.hexdigest()
    server.manifests["latest"] = (
        server.manifests["latest"]
        .replace(small.encode(), digest.encode())
        .replace(b'"size": 15,', f'"size": {size},'.encode())
    )

    def zeros(request: Request) -> None:
        stop = request.stop or size
        span = f"bytes {request.start}-{stop - 1}/{size}"
        request.head(206, stop - request.start, Content_Range=span)
        for _ in range(request.start, stop, len(block)):
            request.write(block)

    server.fault(f"GET .*/blobs/{digest}", *[zeros] * 64)
    root = tmp_path / "models"
    child = Child("pull", root, server.name)
    children.append(child)
    assert child.until("grown") < 32 << 10  # KiB

    target = f"{registry.address}/team/zeros"
    Store(root).tag(server.name, target)
    child = Child("push", root, target)
    children.append(child)
    assert child.until("grown") < 32 << 10
