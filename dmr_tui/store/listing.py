"""What a long list needs of each model, kept in one file: `.dmr/facts.cache`.

A model's manifest and config never change, for the model's id is their digest. So what was read
once holds for ever, and a list of thousands reads one file instead of two for each model. It is
written by whoever had to read many; a store of a few models has none. It may be removed at any
time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from dmr_tui.store.manifest import Manifest, ModelConfig

MANY = 256
"""So many models must be missing from the file before it is written anew."""


class Facts(Struct, frozen=True, array_like=True, gc=False):
    """What a list needs of one model."""

    id: str
    manifest: Manifest
    config: ModelConfig
    created: int
    """Unix time in seconds."""


class _File(Struct, frozen=True, array_like=True, tag="facts-1"):
    """The tag changes whenever the meaning of the facts does."""

    models: list[Facts]


_files = msgspec.msgpack.Decoder(_File)


class Listing:
    """The facts that are known about one store's models."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / ".dmr" / "facts.cache"

    def known(self) -> dict[str, Facts]:
        """Facts by id, of those models only whose manifest and config are still there."""
        try:
            facts = _files.decode(self._path.read_bytes()).models
            manifests = set(os.listdir(self._root / "manifests" / "sha256"))
            blobs = set(os.listdir(self._root / "blobs" / "sha256"))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return {}  # not written yet, or not by this version
        return {
            each.id: each
            for each in facts
            if each.id[7:] in manifests and each.manifest.config.digest[7:] in blobs
        }

    def remember(self, facts: Iterable[Facts]) -> None:
        """Write the file, if the store may be written; nothing depends on it."""
        temporary = self._path.with_name(f"{self._path.name}.tmp-{os.urandom(5).hex()}")
        with suppress(OSError):  # a store that may only be read is read the slow way
            self._path.parent.mkdir(exist_ok=True)
            temporary.write_bytes(msgspec.msgpack.encode(_File(list(facts))))
            os.replace(temporary, self._path)
