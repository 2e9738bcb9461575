"""Control groups: what Linux lets a container or a service have of the machine's memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class MemoryGroup:
    """One group's memory; sizes in bytes.

    Attributes:
        limit: what all its processes together may have; None: as much as there is.
        used: what they have, the cache of the files that they read included.
        cache: what the kernel gives back of that on demand.
        kills: processes of it that were killed for memory; None where that is not counted.
    """

    limit: int | None
    used: int
    cache: int
    kills: int | None


@dataclass(frozen=True)
class _Files:
    """How a version of control groups calls its files, and the figures in them."""

    limit: str
    used: str
    cache: tuple[str, ...]
    events: str

    def read(self, folder: Path) -> MemoryGroup | None:
        used = _number(folder / self.used)
        limit = _number(folder / self.limit)
        if used is None and limit is None:
            return None
        statistics = _figures(folder / "memory.stat")
        cache = sum(statistics.get(name, 0) for name in self.cache)
        return MemoryGroup(limit, used or 0, cache, _figures(folder / self.events).get("oom_kill"))


# What a model's file leaves in the cache is `active` once it was read twice, mapped or not.
_VERSION_2 = _Files(
    "memory.max",
    "memory.current",
    ("inactive_file", "active_file", "slab_reclaimable"),
    "memory.events",
)
_VERSION_1 = _Files(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
    "memory.oom_control",
)


def memory_groups(root: Path = ROOT, membership: Path = MEMBERSHIP) -> list[MemoryGroup]:
    """The groups that this process is in, its own first; none on other systems.

    Args:
        root: where the kernel shows the groups.
        membership: where it tells which ones are this process's.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    found: list[MemoryGroup] = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            found += _groups(root / "memory", path, _VERSION_1)
        elif number == "0":
            found += _groups(root, path, _VERSION_2)
    return found


def _groups(root: Path, path: str, files: _Files) -> list[MemoryGroup]:
    """A group and those around it. A container may see itself as the root, or not see its path."""
    own = root / path.lstrip("/")
    folders = [own, *(each for each in own.parents if each == root or root in each.parents)]
    groups = [files.read(folder) for folder in folders]
    return [group for group in groups if group is not None]


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _figures(file: Path) -> dict[str, int]:
    """A file of lines with a name and a number."""
    try:
        pairs = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
