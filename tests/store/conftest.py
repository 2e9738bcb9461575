from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from dmr_tui.store import gojson
from dmr_tui.store.manifest import (
    CONFIG_V01,
    GGUF_LAYER,
    OCI_MANIFEST,
    ConfigFile,
    Dates,
    Descriptor,
    Manifest,
    ModelConfig,
    RootFS,
)
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store, StoredModel


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder; but not the list of what was removed, which only grows."""
    files = (path for path in root.rglob("*") if path.is_file() and path.name != "removed.json")
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def give_foreign_tag(store: Store, tag: str) -> None:
    """Have a tag in the index, of its first model, that only another program takes for one."""
    path = store.root / "models.json"
    index = json.loads(path.read_bytes())
    index["models"][0]["tags"].append(tag)
    path.write_text(json.dumps(index))


def add_model(
    store: Store,
    name: str | None,
    *layers: Descriptor,
    weights: bytes = b"weights",
    config: ModelConfig | None = None,
    media_type: str = CONFIG_V01,
) -> StoredModel:
    """Put a small made-up model into a store; its layers default to one GGUF layer."""
    if not layers:
        layers = (put(store, weights, GGUF_LAYER),)
    config_file = ConfigFile(
        config or ModelConfig(format="gguf", architecture="llama"),
        Dates(created="2025-03-24T13:33:01Z"),
        RootFS(diff_ids=[layer.digest for layer in layers]),
    )
    blob = store.blobs.put(gojson.encode(config_file))
    manifest = Manifest(
        schema_version=2,
        media_type=OCI_MANIFEST,
        config=Descriptor(media_type, blob.size, blob.digest),
        layers=list(layers),
    )
    return store.add(gojson.encode(manifest), parse_reference(name) if name else None)


def put(
    store: Store, data: bytes, media_type: str, annotations: dict[str, str] | None = None
) -> Descriptor:
    blob = store.blobs.put(data)
    return Descriptor(media_type, blob.size, blob.digest, annotations)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")
