"""Kills operations on a store at every step they take on the disk, one step later each time.

    python -m tests.support.crashes ROOT GGUF OPERATION...

Each operation runs in a process of its own that is killed (SIGKILL) just before its n-th step; then
the store must be clean, the operation must work when it is repeated, and no other model may have
been harmed. Prints one line for each operation: its name, and at how many steps it was killed.
`CRASH_STRIDE` leaves out all but every n-th step; `CRASH_SERVER` names the model that is pulled.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dmr_tui.errors import ModelNotFoundError
from dmr_tui.store.fsck import fsck
from dmr_tui.store.garbage import prune, purge
from dmr_tui.store.package import package_gguf, repackage
from dmr_tui.store.parts import Extras
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from dmr_tui.store.transfer.pull import pull

STEPS = {
    "open",
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "fcntl.flock",
    "fcntl.ioctl",
    "os.scandir",
    "os.listdir",
}


def die_at(step: int, root: str) -> None:
    """Have this process killed before its n-th step below a folder."""
    left = step

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in STEPS and (isinstance(arguments[0], int) or str(arguments[0]).startswith(root)):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


class Rounds:
    """The operations, each with what must be before and after it."""

    def __init__(self, root: Path, gguf: Path) -> None:
        self.root = root
        self.gguf = gguf
        self.store = Store(root)
        self.server = os.environ.get("CRASH_SERVER", "")

    def package(self) -> None:
        extras = Extras(context_size=512)
        package_gguf(self.store, self.gguf, parse_reference("new"), extras=extras)

    def repackage(self) -> None:
        source = self.store.find("kept")
        repackage(self.store, source, parse_reference("new"), extras=Extras(context_size=7))

    def tag(self) -> None:
        self.store.tag("kept", "new")

    def rm(self) -> None:
        with suppress(ModelNotFoundError):
            self.store.remove("new")

    def prune(self) -> None:
        prune(self.store, everything=True)

    def fsck(self) -> None:
        fsck(self.store, full=True)

    def pull(self) -> None:
        name = parse_reference(self.server)
        pull(self.store, name, on_progress=lambda _: None, cancelled=threading.Event())

    def purge(self) -> None:
        purge(self.store)

    def before(self, operation: str) -> None:
        with suppress(ModelNotFoundError):
            self.store.remove("new")
        if operation == "rm":
            self.package()
            self.store.bundle(self.store.find("new"))
        elif operation == "prune":
            self.store.blobs.put(b"loose")
            partial = self.store.blobs.partial("sha256:" + "ab" * 32)
            partial.write_bytes(b"half")
            self.package()
            self.store.bundle(self.store.find("new"))
            self.store.tag("kept", "new")
        elif operation == "fsck":
            (self.root / "models.json").write_bytes(b"{")
        elif operation == "pull":
            with suppress(ModelNotFoundError):
                self.store.remove(self.server)
            prune(self.store, everything=True)
        elif operation == "purge":
            package_gguf(self.store, self.gguf, parse_reference("kept"))

    def after(self, operation: str) -> None:
        if operation in ("package", "repackage", "tag"):
            assert self.store.find("new")
        elif operation == "pull":
            assert self.store.find(self.server)
        elif operation == "prune":
            assert fsck(self.store).garbage == {}
        if operation == "purge":
            assert list(self.root.iterdir()) == []
        else:
            kept = self.store.find("kept")
            assert self.store.bundle(kept).gguf.read_bytes() == self.gguf.read_bytes()


def crash(operation: Callable[[], None], step: int, root: str) -> bool:
    """Run in a child; False when it ended before that step."""
    child = os.fork()
    if child == 0:
        die_at(step, root)
        operation()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the operation failed"
    return False


def main() -> None:
    root, gguf, *operations = sys.argv[1:]
    stride = int(os.environ.get("CRASH_STRIDE", "1"))
    rounds = Rounds(Path(root), Path(gguf))
    package_gguf(rounds.store, rounds.gguf, parse_reference("kept"))
    for name in operations:
        step, killed = 1, 0
        rounds.before(name)
        while crash(getattr(rounds, name), step, root):
            report = fsck(rounds.store, full=True)
            assert report.clean, f"{name} killed at step {step}: {report.problems}"
            getattr(rounds, name)()
            report = fsck(rounds.store, full=True)
            assert report.clean, f"{name} repeated after step {step}: {report.problems}"
            rounds.after(name)
            killed += 1
            step += stride
            rounds.before(name)
        print(name, killed, flush=True)


if __name__ == "__main__":
    main()
