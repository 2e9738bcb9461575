"""Leases: what living processes need of the store, and nobody may remove under them.

Between the moment a blob is published and the moment an index entry names it, only a lease tells
it from garbage. And the files of a loaded model are mapped into its worker. A lease is a small file
`.dmr/leases/<pid>-<start time>-<number>`; it counts while that process lives, so a killed process
leaves none behind. Leases are written and read under the store's lock.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from dmr_tui.store import durable
from dmr_tui.store.locking import locked

_numbers = itertools.count()


class Claim(Struct, frozen=True, omit_defaults=True):
    """What a process needs."""

    doing: str
    """What for, e.g. `pull smollm2`."""
    blobs: list[str] = []
    """Digests that must stay although no model of the index may need them yet."""
    model: str = ""
    """Id of a model that must stay, since it is loaded."""


@dataclass(frozen=True)
class Lease:
    """A claim of a living process."""

    pid: int
    claim: Claim


class Leases:
    """The leases of one store."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / ".dmr" / "leases"

    @contextmanager
    def holding(self, doing: str) -> Iterator[Hold]:
        """Have blobs protected while the block runs.

        Args:
            doing: what the block does, e.g. `pull smollm2`.
        """
        hold = Hold(self._root, self._file(os.getpid()), doing)
        try:
            yield hold
        finally:
            hold.release()

    def hold_model(self, model: str, doing: str, pid: int | None = None) -> Path | None:
        """Have a model protected while a process lives, or until `release`.

        Args:
            model: its id.
            doing: what for, e.g. `run smollm2`.
            pid: the process; None: this one.

        Returns:
            What `release` takes; None when the store cannot be written, so that nothing of it can
            be removed either.
        """
        path = self._file(os.getpid() if pid is None else pid)
        with durable.reporting(f"make {path.parent}"):
            try:
                durable.make_folder(path.parent)
            except OSError as error:
                if durable.is_read_only(error):
                    return None
                raise
        if not os.access(path.parent, os.W_OK):
            return None
        with locked(self._root), durable.reporting(f"write {path}"):
            _write(path, Claim(doing, model=model))
        return path

    def release(self, lease: Path) -> None:
        """End a lease before its process does."""
        lease.unlink(missing_ok=True)

    def living(self) -> list[Lease]:
        """What is claimed now; to be asked under the lock."""
        found: list[Lease] = []
        for name in self._names():
            pid = _owner(name)
            if pid is None:
                continue
            try:
                data = (self._folder / name).read_bytes()
            except FileNotFoundError:
                continue  # its process ended it just now
            found.append(Lease(pid, msgspec.json.decode(data, type=Claim)))
        return found

    def sweep(self) -> None:
        """Remove the leases of dead processes; to be called under the lock."""
        for name in self._names():
            if _owner(name) is None:
                (self._folder / name).unlink(missing_ok=True)

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return []

    def blobs(self) -> set[str]:
        """Digests that living processes need; to be asked under the lock."""
        return {digest for lease in self.living() for digest in lease.claim.blobs}

    def users(self, model: str) -> list[Lease]:
        """Who has a model loaded; to be asked under the lock."""
        return [lease for lease in self.living() if lease.claim.model == model]

    def _file(self, pid: int) -> Path:
        return self._folder / f"{pid}-{_start_time(pid) or 0}-{os.getpid()}.{next(_numbers)}"


class Hold:
    """The blobs that one job of this process needs; lives inside `Leases.holding`."""

    def __init__(self, root: Path, path: Path, doing: str) -> None:
        self._root = root
        self._path = path
        self._doing = doing
        self._blobs: set[str] = set()

    def protect(self, digests: Collection[str]) -> None:
        """Keep these blobs from now on; call it before looking whether they are there.

        Raises:
            StoreError: the store cannot be written.
        """
        if self._blobs.issuperset(digests):
            return
        self._blobs.update(digests)
        with locked(self._root), durable.reporting(f"write {self._path}"):
            durable.make_folder(self._path.parent)
            _write(self._path, Claim(self._doing, sorted(self._blobs)))

    def release(self) -> None:
        """Let go."""
        if self._blobs:
            self._path.unlink(missing_ok=True)


def _write(path: Path, claim: Claim) -> None:
    """Not synced to the disk: a lease means nothing after the machine went down."""
    temporary = path.with_name(f"0-0-{path.name}.tmp")  # of no process: removed when left over
    temporary.write_bytes(msgspec.json.encode(claim))
    os.replace(temporary, path)


def _owner(name: str) -> int | None:
    """The living process that a lease's name means; None when it is gone."""
    pid, _, rest = name.partition("-")
    start, _, _ = rest.partition("-")
    if not (pid.isdecimal() and start.isdecimal()):
        return None
    return int(pid) if int(start) and _start_time(int(pid)) == int(start) else None


def _start_time(pid: int) -> int | None:
    """When a process started, so that a later one of the same number is told from it.

    Returns:
        Clock ticks since boot on Linux, else microseconds of the Unix time; None when there is no
        such process.
    """
    if not _has_proc():
        import psutil  # Not at the top: only systems without /proc pay for it.

        try:
            return int(psutil.Process(pid).create_time() * 1e6)
        except psutil.NoSuchProcess:
            return None
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # proc(5): the name, field 2, is in brackets and may hold anything.
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


@cache
def _has_proc() -> bool:
    return Path("/proc/self/stat").exists()
