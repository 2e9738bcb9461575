"""The index, `models.json`: which models the store has, under which tags.

Readers take no lock: the file is replaced by a rename. Writers hold one lock for the read, the
change and the write, so that no process loses another's change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dmr_tui.errors import StoreError
from dmr_tui.store import durable, gojson, merging
from dmr_tui.store.locking import locked
from dmr_tui.store.reference import canonical, is_digest

LAYOUT_VERSION = "1.0.0"
_REMEMBERED = 1000  # removals
EMPTY = b'{\n  "models": []\n}'


class Entry(Struct, frozen=True, gc=False):
    """One model of the index; fields in Go's order."""

    id: str
    """Digest of the manifest."""
    tags: list[str] | None = None
    """Canonical references; Go writes an empty list as null, and so it is None there."""
    files: list[str] | None = None
    """Digests of the layers in order, then of the config."""


class _Document(Struct, frozen=True):
    models: list[Entry] | None = None


_documents = msgspec.json.Decoder(_Document)


class Index:
    """The index of one store; safe for many processes at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / "models.json"
        self._layout = root / "layout.json"
        self._manifests = root / "manifests" / "sha256"
        self.copy = root / ".dmr" / "models.json"
        """What this program wrote last: the tags, should the index ever be unreadable."""
        self._removals = root / ".dmr" / "removed.json"
        self._decoded: tuple[bytes | None, list[Entry]] = (None, [])
        """The last file that was read whole and sound, and what it holds."""

    @property
    def exists(self) -> bool:
        """Whether there is an index at all."""
        return self._path.exists()

    def entries(self) -> list[Entry]:
        """What the index holds now; a store that does not exist holds nothing.

        Raises:
            StoreError: the file cannot be read as an index.
        """
        return self._read()[2]

    @contextmanager
    def edit(self) -> Iterator[Draft]:
        """Hold the store's lock and change the index; nothing is written but by `Draft.save`.

        Raises:
            StoreError: the index is damaged, of a newer layout, or cannot be written.
        """
        with locked(self._root):
            self._require_layout()
            data, document, entries = self._read()
            yield Draft(self, data, document, entries)

    def write(self, data: bytes) -> bytes:
        """Put an index in place.

        Returns:
            The bytes that it displaces, which another program may just have written.
        """
        displaced = durable.exchange(self._path, data)
        durable.write(self.copy, data)
        return displaced

    def remember_removed(self, ids: Collection[str]) -> None:
        """Know later that models were removed, should another program bring their entries back."""
        known = [each for each in self.removed() if each not in ids]
        durable.write(self._removals, msgspec.json.encode([*known, *ids][-_REMEMBERED:]))

    def removed(self) -> list[str]:
        """Ids of models that were removed, the last of them."""
        try:
            return msgspec.json.decode(self._removals.read_bytes(), type=list[str])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return []

    def has_manifest(self, model_id: str) -> bool:
        """Whether the manifest of an id is there."""
        return is_digest(model_id) and (self._manifests / model_id.partition(":")[2]).is_file()

    def _has_blob(self, digest: str) -> bool:
        return is_digest(digest) and (self._root / "blobs" / digest.replace(":", "/", 1)).is_file()

    def _read(self) -> tuple[bytes, bytes, list[Entry]]:
        """The file's bytes, these with a rollback undone, and the entries then."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return b"", b"", []
        except OSError as error:
            raise StoreError(f"cannot read {self._path}: {error.strerror}") from error
        entries = self._decode(data)
        document = self._mended(data)
        return data, document, entries if document is data else self._decode(document)

    def _mended(self, data: bytes) -> bytes:
        try:
            known = self.copy.read_bytes()
        except OSError:
            return data  # nothing was written yet, or by another user whose copy is private
        if known == data:
            return data
        models = merging.decode_models(data)
        removed = self.removed()
        if not merging.undo_rollback(models, known, removed, self.has_manifest, self._has_blob):
            return data
        document = msgspec.json.decode(data, type=dict[str, Any])
        return gojson.encode({**document, "models": models}, indent=2, sort_keys=False)

    def _decode(self, data: bytes) -> list[Entry]:
        known, entries = self._decoded
        if data != known:
            entries = self._decode_anew(data)
            self._decoded = (data, entries)
        return list(entries)

    def _decode_anew(self, data: bytes) -> list[Entry]:
        try:
            entries = _documents.decode(data).models or []
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(
                f"{self._path} is damaged: {error}",
                "build it anew from the models that are there: dmr fsck",
            ) from error
        return [Entry(entry.id, _tags(entry.tags), entry.files) for entry in entries]

    def _require_layout(self) -> None:
        """Write the layout's version with the first change; refuse one that may mean other files.

        Raises:
            StoreError: another major version than ours, or none that can be read.
        """
        try:
            version = msgspec.json.decode(self._layout.read_bytes(), type=_Layout).version
        except FileNotFoundError:
            # The index is there from the start: where it is missing, it was lost.
            if not self.exists:
                durable.write(self._path, EMPTY)
            durable.write(self._layout, gojson.encode(_Layout(LAYOUT_VERSION), indent=2))
            return
        except OSError as error:
            raise StoreError(f"cannot read {self._layout}: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{self._layout} is damaged: {error}") from error
        if version.partition(".")[0] != LAYOUT_VERSION.partition(".")[0]:
            raise StoreError(
                f"the store {self._root} has layout {version}; this version writes 1.x only",
                "use a newer dmr, or another folder with MODELS_PATH",
            )


class _Layout(Struct, frozen=True):
    version: str


class Draft:
    """A change of the index that is not written yet; lives inside `Index.edit`.

    It works on the file's own JSON, so that fields which other programs put there survive.
    """

    def __init__(self, index: Index, before: bytes, data: bytes, entries: list[Entry]) -> None:
        self._index = index
        self._before = before
        self._document: dict[str, Any] = msgspec.json.decode(data) if data else {}
        self._models: list[dict[str, Any]] = self._document.get("models") or []
        for model in self._models:
            model["tags"] = _tags(model.get("tags"))
        self._document["models"] = self._models
        self._removed: list[str] = []
        self.entries = entries
        """What the index held when the lock was taken."""

    def add(self, model_id: str, files: list[str]) -> None:
        """Enter a model, without tags, unless it is there."""
        if not any(model["id"] == model_id for model in self._models):
            self._models.append({"id": model_id, "tags": [], "files": files})

    def tag(self, model_id: str, tag: str) -> None:
        """Give a tag to a model, taking it from any other."""
        merging.give_tag(self._models, model_id, tag)

    def tags(self, model_id: str) -> list[str]:
        """The tags that a model has by now; empty for one that is not there."""
        found = (model["tags"] for model in self._models if model["id"] == model_id)
        return list(next(found, []))

    def untag(self, tag: str) -> None:
        """Take a tag from the model that has it."""
        for model in self._models:
            model["tags"] = [other for other in model["tags"] if other != tag]

    def remove(self, model_id: str) -> None:
        """Drop a model's entry."""
        self._models[:] = [model for model in self._models if model["id"] != model_id]
        self._removed.append(model_id)

    def replace(self, entries: list[Entry]) -> None:
        """Hold these entries instead; what other programs put into each of them survives."""
        before: dict[str, dict[str, Any]] = {}
        for model in self._models:
            before.setdefault(model["id"], model)
        self._models[:] = [
            {**before[entry.id], "tags": entry.tags or [], "files": entry.files or []}
            for entry in entries
        ]

    def save(self) -> None:
        """Write the index, if it changed, so that a crash leaves the old one or the new one.

        What a program that takes no lock wrote since the index was read is brought in.
        """
        base, data = self._before, self._encoded()
        if self._removed:
            self._index.remember_removed(self._removed)
        while data != base:
            theirs = self._index.write(data)
            if theirs == base:
                break
            merging.take_over(
                self._models,
                base,
                theirs,
                removed=self._index.removed(),
                leaving=self._removed,
                has_manifest=self._index.has_manifest,
            )
            base, data = data, self._encoded()

    def save_then(self, free: Callable[[], object]) -> None:
        """Save, then remove the files that no entry names any more.

        On a full disk they go first: no index can be written before something is free. What is cut
        off there leaves a name without a model, which can be removed again.
        """
        try:
            self.save()
        except StoreError as error:
            if not durable.is_full(error.__cause__):
                raise
            free()
            self.save()
        else:
            free()

    def _encoded(self) -> bytes:
        return gojson.encode(self._document, indent=2, sort_keys=False)


def _tags(tags: list[str] | None) -> list[str]:
    """Tags in canonical form, also those that older programs wrote in another."""
    return [canonical(tag) for tag in tags or ()]
