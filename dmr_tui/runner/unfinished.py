"""Pulls that are to be gone on with, written down so that they survive the program's end.

One program at a time owns the list: it holds a lock beside it until it ends, however it ends. The
bytes are not here: those are the store's partial files.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from dmr_tui.errors import StoreError
from dmr_tui.store import durable


class Unfinished(Struct, frozen=True, omit_defaults=True):
    """One pull that has not ended."""

    name: str
    """The model's shortest name."""
    source: str = ""
    """What the runner is asked for, where that is spelled otherwise."""
    paused: bool = False
    """A person has halted it: it waits for a person."""
    total: int = 0
    """Bytes of the whole model; 0: not known yet."""
    layers: dict[str, tuple[int, int]] = {}
    """Size and bytes so far of each layer, by its digest, as of the last writing."""


class UnfinishedPulls:
    """The list on the disk, in the order in which the pulls are to run."""

    def __init__(self, file: Path) -> None:
        """Nothing is read yet.

        Args:
            file: of the list; the lock is beside it.
        """
        self._file = file
        self._lock: int | None = None

    def own(self) -> bool:
        """Become the one program that writes the list; False: another one does already.

        Raises:
            StoreError: the folder cannot be written.
        """
        if self._lock is not None:
            return True
        lock = self._file.with_suffix(".lock")
        with durable.reporting(f"lock {lock}"):
            durable.make_folder(lock.parent)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
        self._lock = descriptor
        return True

    def disown(self) -> None:
        """Let another program own the list."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self) -> list[Unfinished]:
        """The pulls as they were last written.

        Raises:
            StoreError: the file is damaged or cannot be read.
        """
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"cannot read {self._file}: {error.strerror}") from error
        try:
            return msgspec.json.decode(data, type=list[Unfinished])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StoreError(
                f"{self._file} is damaged: {error}",
                "its pulls are forgotten, what they have fetched is not: pull the models again",
            ) from error

    def write(self, pulls: list[Unfinished]) -> None:
        """Put this list in the place of the last one, in one step.

        Raises:
            StoreError: it cannot be written.
        """
        if pulls or self._file.exists():
            durable.write(self._file, msgspec.json.format(msgspec.json.encode(pulls), indent=2))
