"""Checking a store, and repairing what can be repaired without a registry.

What is checked: the layout and the index, each model's manifest and config, each blob's size (with
`full`, its digest), and the bundles. A blob that is not what its name says goes to
`.dmr/quarantine`, so that the next pull fetches it again, unless a bundle still has the bytes. What
another process made anew during the check is left alone. An index that cannot be read is built anew
from the manifests, with the tags that this program wrote last. Garbage is counted, not touched:
`prune` removes it.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from dmr_tui.errors import DmrError, StoreError
from dmr_tui.store import durable
from dmr_tui.store.blobs import digest_file
from dmr_tui.store.garbage import survey
from dmr_tui.store.index import Entry
from dmr_tui.store.locking import locked
from dmr_tui.store.manifest import Descriptor, Manifest, parse_config, parse_manifest
from dmr_tui.store.reference import is_digest
from dmr_tui.store.rescue import mend_entries, quarantine, rebuild_index
from dmr_tui.store.store import Store

Place = Literal["layout", "index", "manifest", "config", "blob", "bundle"]
OnProgress = Callable[[int, int], None]
"""Told how many bytes are hashed, and how many there are."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    Attributes:
        place: what kind of thing.
        name: its digest or path.
        what: what is wrong with it, in a few words.
        repaired: whether it is right by now.
        models: names of the models that cannot be used because of it.
    """

    place: Place
    name: str
    what: str
    repaired: bool = False
    models: tuple[str, ...] = ()


@dataclass
class Report:
    """What a check found.

    Attributes:
        models: how many the index names.
        blobs: how many were looked at.
        hashed: bytes that were read.
        problems: in the order found.
        damaged: tags, or ids, of the models that must be pulled again.
        garbage: how many things of each kind no model needs.
    """

    models: int = 0
    blobs: int = 0
    hashed: int = 0
    problems: list[Problem] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    garbage: dict[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong, or not any more."""
        return all(problem.repaired for problem in self.problems)


def fsck(
    store: Store,
    *,
    full: bool = False,
    repair: bool = True,
    on_progress: OnProgress = lambda done, total: None,
) -> Report:
    """Check a store.

    Args:
        store: which; pulls and runs may go on meanwhile.
        full: read every blob and hold it against its digest.
        repair: put right what can be; else change nothing.
        on_progress: told of the hashing.

    Raises:
        StoreError: the store cannot be read, or a repair cannot be written.
    """
    report = Report()
    if not store.root.is_dir():
        return report
    entries = _index(store, report, repair)
    report.models = len(entries)
    check = _Check(store, report, repair)
    needed: dict[str, Descriptor] = {}
    for entry in entries:
        manifest = check.manifest(entry)
        if manifest:
            needed.update({blob.digest: blob for blob in (*manifest.layers, manifest.config)})
    with durable.reporting(f"check {store.root}"):
        check.blobs(needed, full, on_progress)
        for entry in entries:
            check.config(entry)
            check.bundle(entry)
        report.damaged = [check.names[model] for model in sorted(check.damaged)]
        if entries or report.clean:  # what an unreadable index names is no garbage
            kinds = Counter(str(item.kind) for item in survey(store, entries))
            report.garbage = dict(kinds)
    _forget_the_removed(store, report, check)
    return report


def _forget_the_removed(store: Store, report: Report, check: _Check) -> None:
    """Take back what was found of models that another process has removed meanwhile."""
    if not check.damaged:
        return
    gone = {check.names[model] for model in check.damaged - {e.id for e in store.index.entries()}}
    if gone:
        report.damaged = [name for name in report.damaged if name not in gone]
        report.problems = [
            problem
            for problem in report.problems
            if problem.repaired or not problem.models or not gone.issuperset(problem.models)
        ]


def _index(store: Store, report: Report, repair: bool) -> list[Entry]:
    """The index's entries, after mending or rebuilding it."""
    try:
        entries = store.index.entries()
    except StoreError as error:
        found = Problem("index", "models.json", error.message, repair)
        report.problems.append(found)
        return rebuild_index(store) if repair else []
    if not entries and not store.index.exists and _has_manifests(store):
        report.problems.append(Problem("index", "models.json", "it is missing", repair))
        return rebuild_index(store) if repair else []
    entries, problems = mend_entries(store, entries, repair=repair)
    report.problems += [Problem("index", "models.json", what, repair) for what in problems]
    return entries


def _has_manifests(store: Store) -> bool:
    folder = store.root / "manifests" / "sha256"
    return folder.is_dir() and any(folder.iterdir())


class _Check:
    """One check's findings, and which models they concern."""

    def __init__(self, store: Store, report: Report, repair: bool) -> None:
        self._store = store
        self._report = report
        self._repair = repair
        self._users: dict[str, list[str]] = {}
        self._manifests: dict[str, Manifest] = {}
        self.names: dict[str, str] = {}
        self.damaged: set[str] = set()

    def manifest(self, entry: Entry) -> Manifest | None:
        """A model's manifest, if it is what its id says."""
        self.names[entry.id] = (entry.tags or [entry.id])[0]
        for digest in entry.files or ():
            self._users.setdefault(digest, []).append(entry.id)
        try:
            manifest = parse_manifest(self._store.manifest_bytes(entry.id))
        except DmrError as error:
            self._found("manifest", entry.id, error.message, [entry.id])
            return None
        for digest in manifest.digests:
            users = self._users.setdefault(digest, [])
            if entry.id not in users:
                users.append(entry.id)
        self._manifests[entry.id] = manifest
        return manifest

    def blobs(self, needed: dict[str, Descriptor], full: bool, on_progress: OnProgress) -> None:
        """All blobs that are needed, and with `full` all others too."""
        wanted = dict.fromkeys(needed)
        if full:
            wanted |= dict.fromkeys(_present(self._store))
        files = {digest: _look(self._store.blobs.path(digest)) for digest in wanted}
        total, done = sum(file.size for file in files.values() if file), 0
        for digest, file in files.items():
            self._report.blobs += 1
            if file is None:
                self._bad_blob(digest, None, "it is missing")
            elif digest in needed and file.size != needed[digest].size:
                what = f"it has {file.size} bytes instead of {needed[digest].size}"
                self._bad_blob(digest, file, what)
            elif full:
                what = self._hash(digest, _from(done, total, on_progress))
                done += file.size
                self._report.hashed += file.size
                if what:
                    self._bad_blob(digest, file, what)

    def config(self, entry: Entry) -> None:
        """Whether a config that is there can be read."""
        manifest = self._manifests.get(entry.id)
        if manifest is None or entry.id in self.damaged:
            return
        try:
            parse_config(self._store.blobs.read(manifest.config.digest), manifest.config.media_type)
        except DmrError as error:
            self._found("config", manifest.config.digest, error.message, [entry.id])

    def bundle(self, entry: Entry) -> None:
        """Remove a bundle that shows other bytes than the blobs; it is made anew when needed.

        That of a model whose blobs are bad stays: it may have the last copy of one.
        """
        manifest = self._manifests.get(entry.id)
        if manifest is None:
            return
        folder = self._store.bundle_path(entry.id)
        blobs = {_look(self._store.blobs.path(digest)) for digest in manifest.digests} - {None}
        wrong = [
            path
            for path in (folder / "model").rglob("*")
            if not path.is_dir() and _look(path) not in blobs
        ]
        if wrong:
            what = f"{len(wrong)} of its files are not the model's"
            repair = self._repair and entry.id not in self.damaged
            for path in wrong if repair else ():
                path.unlink(missing_ok=True)
            self._found("bundle", entry.id, what, [], repaired=repair)

    def _hash(self, digest: str, on_bytes: Callable[[int], None]) -> str:
        """What is wrong with a blob's bytes; empty when nothing is."""
        path = self._store.blobs.path(digest)
        try:
            blob = digest_file(path, digest.partition(":")[0], on_bytes)
        except FileNotFoundError:
            return ""  # another process removed it meanwhile, with all that needed it
        except OSError as error:
            return f"it cannot be read: {error.strerror}"
        return "" if blob.digest == digest else f"its bytes have the digest {blob.digest}"

    def _bad_blob(self, digest: str, file: _File | None, what: str) -> None:
        """Tell of a bad blob and repair it; but not if it is another file by now."""
        path = self._store.blobs.path(digest)
        users = self._users.get(digest, [])
        moved = self._repair and os.path.lexists(path)
        with locked(self._store.root) if moved else nullcontext():
            if _look(path) != file:
                return
            if moved:
                quarantine(self._store.root, path)
                what += "; it is in quarantine now"
        if self._repair and any(self._link_back(digest, path, model) for model in users):
            self._found("blob", digest, f"{what}; a bundle had its bytes", [], repaired=True)
        else:
            self._found("blob", digest, what, users, repaired=moved and not users)

    def _link_back(self, digest: str, path: Path, model: str) -> bool:
        """Have a blob again from the bundle of a model, where that holds its bytes."""
        if model not in self._manifests:
            return False
        due = self._manifests[model].files.get(digest)
        for file in (self._store.bundle_path(model) / "model").rglob("*"):
            found = _look(file)
            if found and found.size == due and not file.is_symlink() and _holds(file, digest):
                durable.make_folder(path.parent)
                try:
                    os.link(file, path)
                except FileExistsError:
                    return True  # it was fetched meanwhile
                except OSError:
                    continue  # another user's file, for one
                durable.sync(path.parent)
                return True
        return False

    def _found(
        self,
        place: Place,
        name: str,
        what: str,
        models: Iterable[str],
        *,
        repaired: bool = False,
    ) -> None:
        ids = tuple(models)
        if not repaired:
            self.damaged.update(ids)
        named = tuple(self.names[model] for model in ids)
        self._report.problems.append(Problem(place, name, what, repaired, named))


def _present(store: Store) -> list[str]:
    """Digests of all blobs that are there, needed or not."""
    found = []
    for algorithm in ("sha256", "sha512"):
        folder = store.root / "blobs" / algorithm
        if folder.is_dir():
            names = sorted(os.listdir(folder))
            found += [f"{algorithm}:{n}" for n in names if is_digest(f"{algorithm}:{n}")]
    return found


def _holds(path: Path, digest: str) -> bool:
    """Whether a file can be read and has the bytes of a digest."""
    try:
        return digest_file(path, digest.partition(":")[0]).digest == digest
    except OSError:
        return False


def _from(start: int, total: int, on_progress: OnProgress) -> Callable[[int], None]:
    """Reports one file's bytes as bytes of all files."""
    return lambda count: on_progress(start + count, total)


class _File(NamedTuple):
    """What tells a file from another that takes its place."""

    size: int
    """Bytes; -1 of what is no regular file."""
    device: int
    inode: int
    changed: int


def _look(path: Path) -> _File | None:
    """Which file a path leads to; None when it leads to none."""
    try:
        status = path.stat()
    except OSError:
        return None
    size = status.st_size if stat.S_ISREG(status.st_mode) else -1
    return _File(size, status.st_dev, status.st_ino, status.st_mtime_ns)
