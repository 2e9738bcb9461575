"""Main memory and disk space, in bytes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class MemoryReading:
    """Main memory that this process may use.

    Attributes:
        total: bytes of the machine, or of the container where that has less.
        available: bytes that can be had without swapping.
    """

    total: int
    available: int

    @property
    def used(self) -> int:
        """Bytes that are taken."""
        return self.total - self.available


def read_memory(cgroup: Path = CGROUP) -> MemoryReading:
    """Memory as of now; a container's own limit counts, not the host's size.

    Args:
        cgroup: where the kernel shows the limits of control group v2.
    """
    machine = psutil.virtual_memory()
    total, available = machine.total, machine.available
    limit = _number(cgroup / "memory.max")
    if limit is not None and limit < total:
        taken = _number(cgroup / "memory.current") or 0
        # The kernel gives file cache back on demand, so it is not taken.
        cache = _statistic(cgroup / "memory.stat", "inactive_file")
        total, available = limit, min(available, max(limit - taken + cache, 0))
    return MemoryReading(total, available)


def free_disk(folder: Path) -> int:
    """Free bytes on the disk that holds a folder; the folder itself need not exist yet."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _statistic(file: Path, name: str) -> int:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)
