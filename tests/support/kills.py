"""Kills operations on a store at random moments.

    python -m tests.support.kills ROOT GGUF PULLED PUSHED COUNT SEED

Each operation runs in a process of its own that is killed (SIGKILL) at some time before it would
have ended. Then the store must be clean, every byte held against its digest, no other model may
have been harmed, and the next pull must finish. Prints for each operation how often it was killed,
and how often it was done before.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dmr_tui.errors import ModelNotFoundError
from dmr_tui.store.fsck import fsck
from dmr_tui.store.garbage import prune
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from dmr_tui.store.transfer.pull import pull
from dmr_tui.store.transfer.push import push


class Operations:
    """What is killed, what has to be there before, and what it takes at most."""

    def __init__(self, root: Path, gguf: Path, pulled: str, pushed: str) -> None:
        self.store = Store(root)
        self.gguf = gguf
        self.pulled = pulled
        self.pushed = pushed
        self.number = 0
        self.seconds: dict[str, float] = {}

    def pull(self) -> None:
        name = parse_reference(self.pulled)
        pull(self.store, name, on_progress=lambda _: None, cancelled=threading.Event())

    def tag(self) -> None:
        self.store.tag("kept", f"new:v{self.number}")

    def rm(self) -> None:
        self.store.remove(self.pulled)

    def prune(self) -> None:
        prune(self.store, everything=True)

    def push(self) -> None:
        name = parse_reference(f"{self.pushed}:v{self.number}")
        push(self.store, name, on_progress=lambda _: None, cancelled=threading.Event())

    def before(self, operation: str) -> None:
        """Make room for the operation to do something."""
        self.number += 1
        if operation == "pull":
            self._forget()
        elif operation == "prune":
            self._forget()
            self.store.blobs.put(os.urandom(1 << 20))
            self.store.blobs.partial("sha256:" + os.urandom(32).hex()).write_bytes(bytes(1 << 20))
        elif operation == "push":
            # Other bytes each time, so that they have to be sent.
            path = self.store.root.with_suffix(".gguf")
            path.write_bytes(self.gguf.read_bytes() + os.urandom(8 << 20))
            package_gguf(self.store, path, parse_reference(f"{self.pushed}:v{self.number}"))

    def _forget(self) -> None:
        for model in self.store.models():
            for tag in model.tags:
                if "kept" not in tag:
                    with suppress(ModelNotFoundError):
                        self.store.remove(tag)
        prune(self.store, everything=True)


def killed(operation: Callable[[], None], after: float) -> bool:
    """Run in a child and kill it after so many seconds; False when it was done before."""
    child = started(operation)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)  # it is not gone before it is waited for
    return ended(child)


def timed(operation: Callable[[], None]) -> float:
    """How many seconds it takes in a child."""
    begun = time.monotonic()
    assert not ended(started(operation))
    return time.monotonic() - begun


def started(operation: Callable[[], None]) -> int:
    """The process that has begun with it."""
    child = os.fork()
    if child == 0:
        operation()
        os._exit(0)
    return child


def ended(child: int) -> bool:
    """Wait for a process; True when it was killed."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the operation failed"
    return False


def main() -> None:
    root, gguf, pulled, pushed, count, seed = sys.argv[1:]
    chance = random.Random(int(seed))
    operations = Operations(Path(root), Path(gguf), pulled, pushed)
    store = operations.store
    kept = package_gguf(store, operations.gguf, parse_reference("kept"))
    operations.pull()
    names = ["pull", "tag", "rm", "prune", "push"]
    counts: Counter[tuple[str, bool]] = Counter()
    for name in names:
        operations.before(name)
        operations.seconds[name] = timed(getattr(operations, name))
        operations.pull()
    while sum(kills for (_, was_killed), kills in counts.items() if was_killed) < int(count):
        name = names[sum(counts.values()) % len(names)]
        operations.before(name)
        after = chance.uniform(0, operations.seconds[name])
        was_killed = killed(getattr(operations, name), after)
        counts[name, was_killed] += 1
        if not was_killed:
            operations.seconds[name] *= 0.8  # the first time took longer
        report = fsck(store, full=True)
        assert report.clean, f"{name} killed after {after:.4f} s: {report.problems}"
        assert store.find("kept").id == kept.id
        operations.pull()
        assert store.find(pulled)
        report = fsck(store, full=True)
        assert report.clean, f"a pull after {name}, killed after {after:.4f} s: {report.problems}"
    for name in names:
        print(name, counts[name, True], counts[name, False], flush=True)


if __name__ == "__main__":
    main()
