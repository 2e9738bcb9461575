"""The size of a log is bounded: it is begun anew when it has grown too long."""

from __future__ import annotations

import os
from pathlib import Path

LOG_LIMIT = 1_000_000
"""Bytes above which a log is begun anew; what it held is kept beside it once, as `….log.1`."""


def rotate(log: Path) -> None:
    """Begin a log anew if it is too long.

    The file stays the same one, as a worker has it open for appending; who writes to it at this
    very moment may lose a line.
    """
    try:
        if log.stat().st_size <= LOG_LIMIT:
            return
        with log.open("rb") as file:
            file.seek(-LOG_LIMIT, os.SEEK_END)
            kept = file.read()
        log.with_name(f"{log.name}.1").write_bytes(kept)
        os.truncate(log, 0)
    except OSError:  # there is none, or the disk is full: nothing that a worker should end for
        return
