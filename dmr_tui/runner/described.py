"""Models as a runner tells of them: those of the store, and files that are named by their path."""

from __future__ import annotations

from pathlib import Path

from dmr_tui.engine.files import ModelFiles
from dmr_tui.errors import InvalidRequestError
from dmr_tui.runner.base import Model
from dmr_tui.store.facts import model_config
from dmr_tui.store.gguf import read_header
from dmr_tui.store.manifest import MMPROJ_LAYER
from dmr_tui.store.store import StoredModel


def loose_file(name: str) -> ModelFiles | None:
    """The files of a model that is named by a path, or None when the name is no path.

    Raises:
        InvalidRequestError: the file cannot be read.
    """
    path = Path(name)
    if not (path.is_absolute() and path.suffix.lower() == ".gguf"):
        return None
    try:
        facts = path.stat()
    except OSError as error:
        raise InvalidRequestError(f"cannot read {path}: {error.strerror}") from error
    # Size and time belong to the identity: a file that was written anew is another model.
    identity = f"file:{path}:{facts.st_size}:{facts.st_mtime_ns}"
    return ModelFiles(id=identity, name=path.name, gguf=path)


def describe_file(files: ModelFiles) -> Model:
    """A file as a model, by its header."""
    config = model_config([read_header(files.gguf)])
    return Model(id=files.id, created=int(files.gguf.stat().st_mtime), config=config)


def to_model(found: StoredModel) -> Model:
    """A model of the store."""
    return Model(
        id=found.id,
        created=found.created,
        config=found.config,
        tags=list(found.tags),
        projector=any(layer.media_type == MMPROJ_LAYER for layer in found.manifest.layers),
    )
