"""Putting an index right: mending its entries, or building it anew from the manifests.

The manifests say which models there are and what they consist of. Only the tags are in the index
alone; the copy of what this program wrote last has those.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dmr_tui.errors import DmrError
from dmr_tui.store import durable, gojson
from dmr_tui.store.index import Entry
from dmr_tui.store.locking import locked
from dmr_tui.store.manifest import parse_manifest
from dmr_tui.store.reference import is_digest
from dmr_tui.store.store import Store


def mend_entries(
    store: Store, entries: Sequence[Entry], *, repair: bool
) -> tuple[list[Entry], list[str]]:
    """Find what is wrong inside an index that can be read.

    Args:
        store: whose index.
        entries: what it holds.
        repair: write the mended index.

    Returns:
        The entries as they should be, and what was wrong.
    """
    mended, wrong = _mended(store, entries)
    if wrong and repair:
        with store.index.edit() as draft:
            mended, wrong = _mended(store, draft.entries)
            draft.replace(mended)
            draft.save()
    return mended, wrong


def _mended(store: Store, entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    wrong: list[str] = []
    tags: set[str] = set()
    found: dict[str, Entry] = {}
    for entry in entries:
        if not is_digest(entry.id) or not entry.id.startswith("sha256:"):
            wrong.append(f"it names a model by {entry.id!r}, which is no id")
            continue
        own = list(dict.fromkeys(tag for tag in entry.tags or () if tag not in tags))
        if len(own) < len(entry.tags or ()):
            wrong.append(f"a tag of {entry.id[7:19]} is given twice: {(entry.tags or [''])[0]}")
        tags.update(own)
        files = _files(store, entry.id) or entry.files or []
        if set(files) != set(entry.files or ()):
            wrong.append(f"it lists other files for {entry.id[7:19]} than its manifest")
        else:
            files = entry.files or []
        if entry.id in found:
            wrong.append(f"it names {entry.id[7:19]} twice")
            own = [*(found[entry.id].tags or ()), *own]
        found[entry.id] = Entry(entry.id, own, files)
    return list(found.values()), wrong


def quarantine(root: Path, path: Path) -> Path:
    """Move something out of the store's way, without losing it.

    Returns:
        Where it is now.

    Raises:
        OSError: it cannot be moved.
    """
    folder = root / ".dmr" / "quarantine"
    durable.make_folder(folder)
    target = folder / f"{path.name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(3).hex()}"
    os.rename(path, target)
    durable.sync(path.parent)
    durable.sync(folder)
    return target


def rebuild_index(store: Store) -> list[Entry]:
    """Write the index anew; the unreadable one is kept in quarantine.

    Returns:
        What it holds now.

    Raises:
        StoreError: the store cannot be written.
    """
    root, path = store.root, store.root / "models.json"
    with durable.reporting(f"rebuild {path}"), locked(root):
        tags = _known_tags(store.index.copy)
        entries = [
            Entry(model_id, tags.get(model_id, []), files)
            for model_id in _whole_manifests(root / "manifests" / "sha256")
            if (files := _files(store, model_id)) is not None
            # One without tags and without all its blobs is what a removal or a crash left.
            and (model_id in tags or all(map(store.blobs.has, files)))
        ]
        if path.exists():
            quarantine(root, path)
        store.index.write(gojson.encode({"models": entries}, indent=2, sort_keys=False))
    return entries


def _known_tags(copy: Path) -> dict[str, list[str]]:
    """The tags of each model as this program wrote them last; none when it never did."""
    try:
        document = msgspec.json.decode(copy.read_bytes(), type=dict[str, list[Entry]])
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return {entry.id: entry.tags or [] for entry in document.get("models", [])}


def _whole_manifests(folder: Path) -> list[str]:
    """Ids of the manifests that are what their names say."""
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.iterdir()):
        if is_digest(f"sha256:{path.name}") and path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if digest == path.name:
                found.append(f"sha256:{digest}")
    return found


def _files(store: Store, model_id: str) -> list[str] | None:
    """What a model consists of by its manifest; None when that cannot be read."""
    try:
        return parse_manifest(store.manifest_bytes(model_id)).digests
    except DmrError:
        return None
