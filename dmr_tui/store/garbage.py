"""What a store holds that no model needs, and how it goes.

Garbage is what a crash, an interrupted download or a moved tag leaves: blobs, manifests and bundles
that no entry of the index names, unfinished downloads, temporary files, and what `fsck` put into
quarantine. What a living process has claimed by a lease is none.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from dmr_tui.errors import ConflictError, DmrError, StoreError
from dmr_tui.store import durable
from dmr_tui.store.index import EMPTY, Draft, Entry
from dmr_tui.store.locking import locked
from dmr_tui.store.manifest import parse_manifest
from dmr_tui.store.store import Store

Kind = Literal["model", "blob", "manifest", "bundle", "partial", "temporary", "quarantined"]

YOUNG = 3600.0
"""Seconds. Docker Model Runner takes no leases: what it has just written may soon be named."""
STALE = 7 * 24 * 3600.0
"""Seconds after which Docker Model Runner gives up a partial download too."""

_HEX = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}")
_TEMPORARY = re.compile(r".+\.tmp-[0-9a-z]+")


class Garbage(NamedTuple):
    """One thing that no model needs."""

    kind: Kind
    name: str
    """A digest, or a path below the store's root."""
    paths: tuple[Path, ...]
    """Files or folders."""
    age: float
    """Seconds since it last changed; negative when a clock was wrong."""


class Removed(NamedTuple):
    """One thing that went."""

    kind: Kind
    name: str
    size: int
    """Bytes that are free now; 0 for what another name still holds."""


def prune(store: Store, *, everything: bool = False, partials: bool = False) -> list[Removed]:
    """Remove garbage.

    Args:
        store: which.
        everything: also models without a tag, all partial downloads, what is in quarantine, and
            what was written within the last hour.
        partials: also partial downloads that could still be continued. One that is being written
            always stays.

    Raises:
        StoreError: the index is damaged or the store cannot be written.
    """
    _require_index(store)
    with store.index.edit() as draft, durable.reporting(f"prune {store.root}"):
        found = _untagged(store, draft) if everything else []
        kept = [entry for entry in draft.entries if entry.id not in {item.name for item in found}]
        found += [
            item
            for item in survey(store, kept)
            if everything or _due(item, partials=partials or everything)
        ]
        removed: list[Removed] = []
        if everything:
            draft.save_then(lambda: removed.extend(_delete(found)))
        else:
            removed += _delete(found)
        store.leases.sweep()
    return removed


def preview(store: Store, *, everything: bool = False, partials: bool = False) -> list[Removed]:
    """What `prune` would remove now; changes nothing."""
    _require_index(store)
    entries = store.index.entries()
    found: list[Garbage] = []
    if everything:
        found = [Garbage("model", entry.id, (), 0) for entry in _without_tags(store, entries)]
    gone = {item.name for item in found}
    for item in survey(store, [entry for entry in entries if entry.id not in gone]):
        if everything or _due(item, partials=partials):
            found.append(item)
    names = _names(found)
    return [Removed(item.kind, item.name, _size(item.paths, names)) for item in found]


def purge(store: Store, *, force: bool = False) -> None:
    """Remove all models and everything else that a store consists of; the root stays.

    Args:
        store: which.
        force: also while processes pull into it or have a model of it loaded.

    Raises:
        StoreError: the folder is no store, or refuses.
        ConflictError: the store is in use, and `force` is off.
    """
    root = store.root
    with durable.reporting(f"purge {root}"):
        if not root.is_dir() or not any(root.iterdir()):
            return
        if not (root / "layout.json").is_file():
            raise StoreError(f"{root} is no model store: it has no layout.json", "nothing was done")
        with locked(root):
            for lease in () if force else store.leases.living():
                raise ConflictError(
                    f"the store is in use by process {lease.pid} ({lease.claim.doing})",
                    "wait for its end, or purge with -f",
                )
            # The index first, so that no name outlives its model; the layout last, so that a
            # purge that was cut off can be repeated. A missing index would look like a lost one.
            try:
                store.index.write(EMPTY)
            except StoreError as error:
                if not durable.is_full(error.__cause__):
                    raise
            for name in ("bundles", "manifests", "blobs", ".dmr"):
                durable.remove(root / name)
            for path in _temporaries(root):
                path.unlink(missing_ok=True)
            (root / "models.json").unlink(missing_ok=True)
            (root / "layout.json").unlink(missing_ok=True)


def survey(store: Store, entries: Sequence[Entry]) -> Iterator[Garbage]:
    """All garbage of a store whose index holds these entries."""
    ids = {entry.id.removeprefix("sha256:") for entry in entries}
    leases = store.leases.living()
    ids |= {lease.claim.model.removeprefix("sha256:") for lease in leases}
    needed = {digest for lease in leases for digest in lease.claim.blobs}
    for entry in entries:
        needed.update(entry.files or ())
        needed.update(_manifest_digests(store, entry))
    for algorithm in ("sha256", "sha512"):
        for path in _children(store.root / "blobs" / algorithm):
            digest = f"{algorithm}:{path.name}"
            if _HEX.fullmatch(path.name) and digest not in needed:
                yield _garbage("blob", digest, path)
            elif path.name.endswith(".incomplete"):
                yield _garbage("partial", f"{algorithm}:{path.stem}", path)
    for kind, folder in (("manifest", "manifests"), ("bundle", "bundles")):
        for path in _children(store.root / folder / "sha256"):
            if _HEX.fullmatch(path.name) and path.name not in ids:
                yield _garbage("manifest" if kind == "manifest" else "bundle", path.name, path)
    yield from _unfinished(store.root / ".dmr" / "partial")
    for folder in ("", "blobs/sha256", "blobs/sha512", "manifests/sha256", ".dmr"):
        for path in _temporaries(store.root / folder):
            yield _garbage("temporary", str(path.relative_to(store.root)), path)
    for path in _children(store.root / ".dmr" / "quarantine"):
        yield _garbage("quarantined", path.name, path)


def _unfinished(folder: Path) -> Iterator[Garbage]:
    """Partial downloads: each may be several files of one stem."""
    groups: dict[str, list[Path]] = {}
    for path in _children(folder):
        groups.setdefault(path.name.partition(".")[0], []).append(path)
    for stem, paths in groups.items():
        if not any(_locked_by_another(path) for path in paths):
            age = min(_age(path) for path in paths)
            yield Garbage("partial", f"sha256:{stem}", tuple(paths), age)


def _locked_by_another(path: Path) -> bool:
    """Whether a process is writing the file, which it then holds an flock on."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _untagged(store: Store, draft: Draft) -> list[Garbage]:
    """Drop the entries without tags from a draft; their files are garbage then."""
    gone = [entry for entry in draft.entries if not entry.tags and not store.leases.users(entry.id)]
    for entry in gone:
        draft.remove(entry.id)
    return [Garbage("model", entry.id, (), 0) for entry in gone]


def _without_tags(store: Store, entries: Sequence[Entry]) -> list[Entry]:
    """The models without a name that nobody has loaded."""
    loaded = {lease.claim.model for lease in store.leases.living()}
    return [entry for entry in entries if not entry.tags and entry.id not in loaded]


def _require_index(store: Store) -> None:
    """Refuse to call everything garbage because the index was lost.

    Raises:
        StoreError: there are manifests, but no index.
    """
    if not store.index.exists and _children(store.root / "manifests" / "sha256"):
        raise StoreError(f"{store.root} has models but no index", "build it anew first: dmr fsck")


def _due(item: Garbage, *, partials: bool) -> bool:
    """Whether garbage goes without being asked for by name."""
    if item.kind == "quarantined":
        return False
    if item.kind == "partial":
        return partials or item.age > STALE
    return item.age > YOUNG


def _delete(items: Sequence[Garbage]) -> list[Removed]:
    names = _names(items)
    removed = []
    for item in items:
        size = _size(item.paths, names)
        with _held(item) as ours:
            if ours:
                removed.append(Removed(item.kind, item.name, size))
                for path in item.paths:
                    durable.remove(path)
    return removed


@contextmanager
def _held(item: Garbage) -> Iterator[bool]:
    """Hold the lock of a partial download while it goes; False when a pull has it by now."""
    with ExitStack() as stack:
        for path in item.paths if item.kind == "partial" else ():
            try:
                file = stack.enter_context(path.open("rb"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            except FileNotFoundError:
                continue
        yield True


def _names(items: Iterable[Garbage]) -> dict[tuple[int, int], int]:
    """How many names of each inode are garbage."""
    names: dict[tuple[int, int], int] = {}
    for item in items:
        for status in _statuses(item.paths):
            inode = (status.st_dev, status.st_ino)
            names[inode] = names.get(inode, 0) + 1
    return names


def _size(paths: Iterable[Path], names: dict[tuple[int, int], int]) -> int:
    """Bytes that are free once all names that are garbage are gone; each inode counts once."""
    total = 0
    for status in _statuses(paths):
        if names.pop((status.st_dev, status.st_ino), 0) == status.st_nlink:
            total += occupied(status)
    return total


def _statuses(paths: Iterable[Path]) -> Iterator[os.stat_result]:
    for path in paths:
        try:
            if path.is_dir() and not path.is_symlink():
                yield from _statuses(path.iterdir())
            else:
                yield path.lstat()
        except FileNotFoundError:
            continue  # another process finished or removed it meanwhile


def occupied(status: os.stat_result) -> int:
    """Bytes of the disk that a file takes: less than its length where it has holes."""
    return min(status.st_size, status.st_blocks * 512)


def _garbage(kind: Kind, name: str, path: Path) -> Garbage:
    return Garbage(kind, name, (path,), _age(path))


def _age(path: Path) -> float:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0
    # The time of change too: a rename or a new link sets it, and nobody can turn it back.
    return time.time() - max(status.st_mtime, status.st_ctime)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _temporaries(folder: Path) -> list[Path]:
    return [path for path in _children(folder) if _TEMPORARY.fullmatch(path.name)]


def _manifest_digests(store: Store, entry: Entry) -> list[str]:
    """What a model needs by its manifest; nothing when that cannot be read."""
    try:
        return parse_manifest(store.manifest_bytes(entry.id)).digests
    except DmrError:
        return []
