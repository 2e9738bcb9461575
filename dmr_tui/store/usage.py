"""How much disk a store takes, and what for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dmr_tui.store import durable
from dmr_tui.store.garbage import occupied, survey
from dmr_tui.store.store import Store


@dataclass(frozen=True)
class Usage:
    """Bytes on disk; a file with several names counts once, a hole not at all.

    Attributes:
        models: blobs, manifests and bundles that models need, and the index.
        partial: downloads that can be continued.
        unused: what no model needs; `prune` removes it.
        quarantined: what `fsck` found to be damaged.
    """

    models: int = 0
    partial: int = 0
    unused: int = 0
    quarantined: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.models + self.partial + self.unused + self.quarantined


def disk_usage(store: Store) -> Usage:
    """Measure a store.

    Raises:
        StoreError: it cannot be read.
    """
    seen: set[tuple[int, int]] = set()
    with durable.reporting(f"measure {store.root}"):
        garbage = list(survey(store, store.index.entries()))
        extra = {path for item in garbage for path in item.paths}
        models = _measure(store.root, seen, skipping=extra)
        sizes = dict.fromkeys(("partial", "unused", "quarantined"), 0)
        for item in garbage:
            kind = item.kind if item.kind in sizes else "unused"
            sizes[kind] += sum(_measure(path, seen) for path in item.paths)
    return Usage(models=models, **sizes)


def _measure(
    path: Path, seen: set[tuple[int, int]], *, skipping: frozenset[Path] | set[Path] = frozenset()
) -> int:
    """Bytes of a file or of all files below a folder, but of no inode that was seen already."""
    if path in skipping:
        return 0
    try:
        if path.is_dir() and not path.is_symlink():
            return sum(
                _measure(Path(child.path), seen, skipping=skipping) for child in os.scandir(path)
            )
        status = path.lstat()
    except FileNotFoundError:
        return 0  # another process finished or removed it meanwhile
    inode = (status.st_dev, status.st_ino)
    if inode in seen:
        return 0
    seen.add(inode)
    return occupied(status)
