"""The model store: a folder that Docker Model Runner reads and writes too.

```
layout.json   models.json   blobs/sha256/<hex>   manifests/sha256/<id>   bundles/sha256/<id>/…
.dmr/         this program's own: the lock, unfinished blobs
```

What is added appears in the order blobs, config, manifest, index; what is removed goes in the
opposite order. So a crash leaves at most files that nothing names, never a name without files; but
on a full disk, where no index can be written, files are removed first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from dmr_tui.errors import ConflictError, DmrError, InvalidRequestError, StoreError
from dmr_tui.store import durable
from dmr_tui.store.blobs import BlobStore
from dmr_tui.store.bundle import Bundle, open_bundle, weight_files
from dmr_tui.store.index import Draft, Entry, Index
from dmr_tui.store.leases import Leases
from dmr_tui.store.listing import MANY, Facts, Listing
from dmr_tui.store.lookup import lookup
from dmr_tui.store.manifest import ConfigFile, Manifest, ModelConfig, parse_config, parse_manifest
from dmr_tui.store.reference import DOCKER_HUB, Reference, familiar, is_digest, parse_reference

Removal = tuple[Literal["Untagged", "Deleted"], str]


@dataclass(frozen=True)
class StoredModel:
    """One model of the store.

    Attributes:
        id: digest of the manifest.
        tags: canonical references, in the order they were given; may be empty.
        manifest: what the model consists of.
        config: what its package says about it.
        created: Unix time in seconds; 0 when the package does not say.
        size: bytes of the config and all layers.
    """

    id: str
    tags: tuple[str, ...]
    manifest: Manifest
    config: ModelConfig
    created: int
    size: int

    @property
    def short_id(self) -> str:
        """The 12 hex digits that lists show."""
        return self.id[7:19]

    @cached_property
    def name(self) -> str:
        """What people call it: its first tag in short, else its short id."""
        return familiar(self.tags[0]) if self.tags else self.short_id


class Store:
    """The models below one root; safe for many processes at once. Reading creates nothing."""

    def __init__(
        self,
        root: Path,
        *,
        default_registry: str = DOCKER_HUB,
        spare_bundles: Path | None = None,
    ) -> None:
        """Look at a store; nothing is read or made yet.

        Args:
            root: its folder.
            default_registry: what a name without a registry means.
            spare_bundles: where bundles go while the store may only be read.
        """
        self.root = root
        self._spare_bundles = spare_bundles
        self.blobs = BlobStore(root)
        self._manifests = root / "manifests" / "sha256"
        self.index = Index(root)
        self.leases = Leases(root)
        self._listing = Listing(root)
        self.default_registry = default_registry

    def models(self, ids: Collection[str] | None = None) -> list[StoredModel]:
        """All models, sorted by first tag without regard to case; untagged ones last.

        With `ids` only those of these models that are there. A model whose manifest or config
        cannot be read is left out and logged as a warning; `find` says what is wrong with it.
        """
        models: list[StoredModel] = []
        failures: dict[str, DmrError] = {}
        entries = self.index.entries()
        if ids is not None:
            entries = [entry for entry in entries if entry.id in ids]
        known = self._listing.known() if len(entries) >= MANY else {}
        for entry in entries:
            facts = known.get(entry.id)
            try:
                models.append(_from_facts(entry, facts) if facts else self._load(entry))
            except DmrError as error:
                failures[entry.id] = error
        if sum(model.id not in known for model in models) >= MANY:
            self._listing.remember(
                Facts(model.id, model.manifest, model.config, model.created) for model in models
            )
        if failures:
            # What another process removed while we read is not damaged.
            for entry in self.index.entries():
                if entry.id in failures:
                    _warn(failures[entry.id])
        models.sort(key=lambda model: (not model.tags, model.tags[0].lower() if model.tags else ""))
        return models

    def find(self, name: str) -> StoredModel:
        """The model that an id, a short id, a reference or the last part of a name means.

        Raises:
            ModelNotFoundError: none, or more than one; the hint names near ones.
            InvalidRequestError: the text can be no name.
            StoreError: its manifest or config is missing or damaged.
        """
        return self._load(lookup(self.index.entries(), name, self.default_registry).entry)

    def add(self, manifest: bytes, reference: Reference | None) -> StoredModel:
        """Enter a model whose blobs are all there; its id is the digest of these bytes.

        Args:
            manifest: exactly as received or built.
            reference: the tag it gets, taken from any other model; None for an untagged one.
                A reference by digest alone is kept as that.

        Raises:
            InvalidRequestError: not a manifest, or its config is none.
            UnsupportedModelError: not a model's manifest.
            StoreError: a blob is missing (another process may have removed it), or the store
                cannot be written.
        """
        parsed = parse_manifest(manifest)
        model_id = "sha256:" + hashlib.sha256(manifest).hexdigest()
        with self.index.edit() as draft:
            for blob in (*parsed.layers, parsed.config):
                if not self.blobs.has(blob.digest, blob.size):
                    raise StoreError(f"the blob {blob.digest} is missing", "pull the model again")
            config = self._config(parsed)
            durable.write(self.manifest_path(model_id), manifest)
            draft.add(model_id, parsed.digests)
            if reference:
                draft.tag(model_id, _as_tag(reference))
            draft.save()
            return _stored(model_id, draft.tags(model_id), parsed, config)

    def tag(self, source: str, target: str) -> Reference:
        """Give a model one more name, taking it from any other model.

        Raises:
            ModelNotFoundError: no model is called `source`.
            InvalidRequestError: `target` is no tag.
        """
        reference = parse_reference(target, default_registry=self.default_registry)
        if reference.digest:
            raise InvalidRequestError(
                f"invalid tag: {target} is a digest", "a tag is a name, e.g. mymodel:v1"
            )
        with self.index.edit() as draft:
            draft.tag(self._lookup(draft, source).id, str(reference))
            draft.save()
        return reference

    def remove(self, name: str, *, force: bool = False) -> list[Removal]:
        """Remove a tag; with the last one, or by id, the model and what only it needs.

        Returns:
            What went: the tags, then the model's id if it is gone.

        Raises:
            ModelNotFoundError: no such model.
            ConflictError: `force` is off, and it has several tags and was named by id, or a
                process has it loaded.
        """
        with self.index.edit() as draft:
            self.leases.sweep()
            entry, tag = lookup(draft.entries, name, self.default_registry)
            tags = entry.tags or []
            if tag is not None and len(tags) > 1:
                draft.untag(tag)
                draft.save()
                return [("Untagged", tag)]
            if len(tags) > 1 and not force:
                raise ConflictError(
                    f"{name} has {len(tags)} tags: removing it must be forced",
                    f"remove one tag by its name, or all with: dmr rm -f {name}",
                )
            if not force:
                self.require_unused(entry.id, name)
            draft.remove(entry.id)
            with durable.reporting(f"remove the files of {name}"):
                draft.save_then(lambda: self._delete_files(entry, draft))
        untagged: list[Removal] = [("Untagged", each) for each in tags]
        return [*untagged, ("Deleted", entry.id)]

    def bundle(self, model: StoredModel) -> Bundle:
        """The model's files as an engine wants them, linked into `bundles/`.

        Raises:
            UnsupportedModelError: it is not a GGUF model.
            StoreError: a blob is missing or damaged, or the bundle cannot be written.
        """
        parts = (model.name, model.manifest, model.config, self.blobs)
        try:
            return open_bundle(self.bundle_path(model.id), *parts)
        except StoreError as error:
            if self._spare_bundles is None or not durable.is_read_only(error.__cause__):
                raise
        # By path, not by inode: bundles out of sight must not keep removed models on the disk.
        return open_bundle(self._spare_bundles / _hex(model.id), *parts, hard=False)

    def weights(self, model: StoredModel) -> list[Path]:
        """The model's GGUF files as they lie in the store, shards in order; empty if it has none.

        Raises:
            UnsupportedModelError: its manifest names paths that lead outside of it.
        """
        return weight_files(model.name, model.manifest, self.blobs)

    def require_unused(self, model_id: str, name: str) -> None:
        """Refuse to remove what is loaded; to be called under the lock.

        Args:
            model_id: whose files would go.
            name: what the person calls the model.

        Raises:
            ConflictError: a process has the model loaded.
        """
        for user in self.leases.users(model_id):
            raise ConflictError(
                f"{name} is in use by process {user.pid} ({user.claim.doing})",
                "end that program, or unload the model there; -f removes it all the same",
            )

    def manifest_bytes(self, model_id: str) -> bytes:
        """A model's manifest exactly as it was received.

        Raises:
            StoreError: it is missing, or its bytes are not those that the id names.
        """
        data = self._read_manifest(model_id)
        if "sha256:" + hashlib.sha256(data).hexdigest() != model_id:
            raise StoreError(
                f"the manifest {self.manifest_path(model_id)} is damaged", "pull the model again"
            )
        return data

    def _lookup(self, draft: Draft, name: str) -> Entry:
        return lookup(draft.entries, name, self.default_registry).entry

    def _load(self, entry: Entry) -> StoredModel:
        """Read what a list needs of one model: two small files."""
        try:
            manifest = parse_manifest(self._read_manifest(entry.id))
            config = self._config(manifest)
        except DmrError as error:
            name = (entry.tags or [entry.id])[0]
            raise StoreError(
                f"the model {name} cannot be read: {error.message}",
                "pull it again, or remove it with dmr rm",
            ) from error
        return _stored(entry.id, entry.tags or (), manifest, config)

    def _config(self, manifest: Manifest) -> ConfigFile:
        return parse_config(self.blobs.read(manifest.config.digest), manifest.config.media_type)

    def _read_manifest(self, model_id: str) -> bytes:
        return durable.read(self.manifest_path(model_id))

    def manifest_path(self, model_id: str) -> Path:
        """Where the manifest of an id is; raises `StoreError` for what is no id."""
        return self._manifests / _hex(model_id)

    def bundle_path(self, model_id: str) -> Path:
        """Where the bundle of an id is; raises `StoreError` for what is no id."""
        return self.root / "bundles" / "sha256" / _hex(model_id)

    def _delete_files(self, entry: Entry, draft: Draft) -> None:
        """Remove a model's bundle, manifest and blobs, but no blob that another entry lists."""
        if is_digest(entry.id):
            durable.remove(self.bundle_path(entry.id))
            durable.remove(self.manifest_path(entry.id))
        others = (other for other in draft.entries if other.id != entry.id)
        kept = {digest for other in others for digest in other.files or ()}
        kept |= self.leases.blobs()
        for digest in {*(entry.files or ())} - kept:
            if is_digest(digest):
                durable.remove(self.blobs.path(digest))


def _stored(
    model_id: str, tags: Iterable[str], manifest: Manifest, config: ConfigFile
) -> StoredModel:
    return StoredModel(
        id=model_id,
        tags=tuple(tags),
        manifest=manifest,
        config=config.config,
        created=config.created,
        size=manifest.size,
    )


def _from_facts(entry: Entry, facts: Facts) -> StoredModel:
    return StoredModel(
        id=entry.id,
        tags=tuple(entry.tags or ()),
        manifest=facts.manifest,
        config=facts.config,
        created=facts.created,
        size=facts.manifest.size,
    )


def _hex(model_id: str) -> str:
    """The id as a file name.

    Raises:
        StoreError: the index holds something that is no id, and could lead anywhere.
    """
    if not is_digest(model_id) or not model_id.startswith("sha256:"):
        raise StoreError(f"the index holds a malformed id: {model_id!r}")
    return model_id.removeprefix("sha256:")


def _as_tag(reference: Reference) -> str:
    """What the index keeps of a reference: the tag when there is one, else the digest."""
    if reference.tag and reference.digest:
        return str(Reference(reference.registry, reference.repository, reference.tag))
    return str(reference)


def _warn(error: DmrError) -> None:
    # Only a damaged store pays for this import.
    import logging

    logging.getLogger(__name__).warning("%s (%s)", error.message, error.hint)
