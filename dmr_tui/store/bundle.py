"""Bundles: a model's files under the names that engines expect, as links to its blobs.

`bundles/sha256/<id>/model/…` and `bundles/sha256/<id>/config.json`. A bundle holds nothing of its
own, so it is checked at each use and repaired from the blobs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dmr_tui.errors import StoreError, UnsupportedModelError
from dmr_tui.store import durable, gojson
from dmr_tui.store.blobs import BlobStore, link
from dmr_tui.store.manifest import (
    CHAT_TEMPLATE_LAYER,
    CNCF_WEIGHT_LAYERS,
    CONFIG_V01,
    FILE_PATH,
    GGUF_LAYER,
    LORA_LAYER,
    MMPROJ_LAYER,
    Descriptor,
    Manifest,
    ModelConfig,
)


@dataclass(frozen=True)
class Bundle:
    """The files of one model, ready for an engine.

    Attributes:
        gguf: the weights; the first shard when there are several.
        mmproj: the multimodal projector, if any.
        chat_template: a packaged Jinja file, if any.
        context_size: context tokens the package asks for, if it does.
        adapters: LoRA adapters: the blobs themselves, as Docker's bundles know none.
    """

    gguf: Path
    mmproj: Path | None
    chat_template: Path | None
    context_size: int | None
    adapters: tuple[Path, ...] = ()


def open_bundle(
    folder: Path,
    name: str,
    manifest: Manifest,
    config: ModelConfig,
    blobs: BlobStore,
    *,
    hard: bool = True,
) -> Bundle:
    """Lay out a model's files.

    Args:
        folder: the bundle's own folder.
        name: what people call the model, for messages.
        manifest: says which blobs and, for v0.2 and CNCF, under which paths.
        config: what becomes `config.json`.
        blobs: where the bytes are.
        hard: link to the blobs' inodes, so that the files stay while the bundle does; else by path.

    Raises:
        UnsupportedModelError: not a GGUF model, or one whose paths lead outside the bundle.
        StoreError: a blob is missing or has another size, or the bundle cannot be written.
    """
    files = _plan(name, manifest)
    weights = [path for path in files if path.endswith(".gguf") and not _is_projector(path)]
    if not weights:
        raise UnsupportedModelError(
            f"{name} is of format {config.format or 'unknown'}, which cannot run here",
            "this version runs GGUF models, e.g. dmr pull ai/smollm2",
        )
    adapters = [layer for layer in manifest.layers if layer.media_type == LORA_LAYER]
    for layer in [*files.values(), *adapters]:
        if not blobs.has(layer.digest, layer.size):
            raise StoreError(
                f"{name} is damaged: its blob {layer.digest} is missing or cut short",
                f"pull it again: dmr pull {name}",
            )
    with durable.reporting(f"make the bundle {folder}"):
        for path, layer in files.items():
            _link(blobs.path(layer.digest), folder / "model" / path, hard=hard)
        _write_config(folder / "config.json", config)
    projector = next(filter(_is_projector, files), None)
    template = next((path for path in files if path.endswith(".jinja")), None)
    return Bundle(
        gguf=folder / "model" / min(weights),
        mmproj=folder / "model" / projector if projector else None,
        chat_template=folder / "model" / template if template else None,
        context_size=config.context_size,
        adapters=tuple(blobs.path(layer.digest) for layer in adapters),
    )


def weight_files(name: str, manifest: Manifest, blobs: BlobStore) -> list[Path]:
    """Where the bytes of a model's GGUF files are, the shards in order; empty for other formats."""
    files = _plan(name, manifest)
    paths = [path for path in files if path.endswith(".gguf") and not _is_projector(path)]
    return [blobs.path(files[path].digest) for path in sorted(paths)]


def _plan(name: str, manifest: Manifest) -> dict[str, Descriptor]:
    """Which layer goes to which path below `model/`."""
    if manifest.config.media_type == CONFIG_V01:
        return _by_role(manifest)
    files = _by_annotation(name, manifest)
    return files or _by_role(manifest)


def _by_role(manifest: Manifest) -> dict[str, Descriptor]:
    files: dict[str, Descriptor] = {}
    weights = [layer for layer in manifest.layers if _is_gguf(layer)]
    for number, layer in enumerate(weights, 1):
        shard = f"model-{number:05d}-of-{len(weights):05d}.gguf"
        files["model.gguf" if len(weights) == 1 else shard] = layer
    for layer in manifest.layers:
        if layer.media_type == MMPROJ_LAYER:
            files.setdefault("model.mmproj", layer)
        elif layer.media_type == CHAT_TEMPLATE_LAYER:
            files.setdefault("template.jinja", layer)
    return files


def _by_annotation(name: str, manifest: Manifest) -> dict[str, Descriptor]:
    named = [layer for layer in manifest.layers if layer.media_type != LORA_LAYER]
    return by_path(name, named)


def by_path(name: str, layers: Iterable[Descriptor]) -> dict[str, Descriptor]:
    """Which layer goes to which path, where each file keeps its own.

    Args:
        name: what the layers are of, for messages.
        layers: those without a path are left out.

    Raises:
        UnsupportedModelError: a path leads outside of the model, or two are in each other's way.
    """
    files: dict[str, Descriptor] = {}
    for layer in layers:
        path = (layer.annotations or {}).get(FILE_PATH)
        if path is None:
            continue
        if not _is_local(path):
            raise UnsupportedModelError(f"{name} holds a file with the unsafe path {path!r}")
        clean = str(PurePosixPath(path))
        if clean in files:
            raise UnsupportedModelError(f"{name} holds two files with the path {clean!r}")
        files[clean] = layer
    for path in files:
        for parent in PurePosixPath(path).parents:
            if str(parent) in files:
                raise UnsupportedModelError(f"{name} holds a file below the file {str(parent)!r}")
    return files


def _is_local(path: str) -> bool:
    """Whether a relative path stays below the folder it is joined to, on every system."""
    parts = path.split("/")
    forbidden = "\\" in path or "\0" in path or ":" in parts[0]
    return not forbidden and all(part not in ("", ".", "..") for part in parts)


def _is_gguf(layer: Descriptor) -> bool:
    if layer.media_type == GGUF_LAYER:
        return True
    path = (layer.annotations or {}).get(FILE_PATH, "")
    named = layer.media_type.endswith(".gguf") or path.endswith(".gguf")
    return layer.media_type in CNCF_WEIGHT_LAYERS and named and not _is_projector(path)


def _is_projector(path: str) -> bool:
    return path.endswith(".mmproj") or (path.endswith(".gguf") and "mmproj" in path.lower())


def _link(blob: Path, target: Path, *, hard: bool) -> None:
    """Have a blob under another name: one inode where possible, else a symbolic link."""
    if target.exists() and target.samefile(blob):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.urandom(5).hex()}")
    try:
        if hard:
            link(blob, temporary)
        else:
            temporary.symlink_to(blob.resolve())
        os.replace(temporary, target)
    finally:
        # Renaming one link of a file onto another of the same file does nothing.
        temporary.unlink(missing_ok=True)


def _write_config(path: Path, config: ModelConfig) -> None:
    data = gojson.encode(config) + b"\n"
    if not path.is_file() or path.read_bytes() != data:
        durable.write(path, data)
