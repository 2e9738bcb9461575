"""Main memory and disk space, in bytes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from dmr_tui.system.cgroup import MEMBERSHIP, ROOT, memory_groups


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


def read_memory(cgroups: Path = ROOT, membership: Path = MEMBERSHIP) -> MemoryReading:
    """Memory as of now; a container's or a service's own limit counts, not the host's size.

    Args:
        cgroups: where the kernel shows the control groups.
        membership: where it tells which ones are this process's.
    """
    machine = psutil.virtual_memory()
    total, available = machine.total, machine.available
    for group in memory_groups(cgroups, membership):
        if group.limit is not None and group.limit < machine.total:
            total = min(total, group.limit)
            available = min(available, max(group.limit - group.used + group.cache, 0))
    return MemoryReading(total, available)


def free_disk(folder: Path) -> int:
    """Free bytes on the disk that holds a folder; the folder itself need not exist yet."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free
