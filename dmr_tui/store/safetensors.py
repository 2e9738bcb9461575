"""Reading the headers of safetensors files, and what a folder of them says about its model.

Format: https://github.com/huggingface/safetensors#format — eight bytes of length, JSON, tensors.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dmr_tui.errors import InvalidRequestError
from dmr_tui.store.facts import human_count, human_size
from dmr_tui.store.manifest import ModelConfig

_LONGEST_HEADER = 100 << 20
"""Bytes; what the reference implementation accepts."""

# In the order in which Docker Model Runner looks for them in a model's config.json.
_CONTEXT_KEYS = (
    "max_position_embeddings",
    "n_ctx",
    "n_positions",
    "max_length",
    "max_sequence_length",
    "model_max_length",
)


class Tensor(Struct, frozen=True):
    """One tensor of a header."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class Header(Struct, frozen=True):
    """What a safetensors file says about itself."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def read_safetensors(path: Path) -> Header:
    """Read a file's header, and check that its tensors are all there.

    Raises:
        InvalidRequestError: it cannot be read or is no whole safetensors file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= _LONGEST_HEADER:
                raise _bad(path, f"its header claims {length} bytes")
            raw: dict[str, Any] = msgspec.json.decode(file.read(length), type=dict[str, Any])
            size = path.stat().st_size
    except OSError as error:
        raise InvalidRequestError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(path, f"its header is no JSON: {error}") from error
    try:
        metadata = msgspec.convert(raw.pop("__metadata__", {}), dict[str, str])
        tensors = msgspec.convert(raw, dict[str, Tensor])
    except msgspec.ValidationError as error:
        raise _bad(path, str(error)) from error
    end = 8 + length + max((tensor.data_offsets[1] for tensor in tensors.values()), default=0)
    if end > size:
        raise _bad(path, f"its tensors end at byte {end}, the file at byte {size}")
    return Header(tensors, metadata)


def safetensors_config(
    weights: Sequence[Path], folder: Path, context_size: int | None = None
) -> ModelConfig:
    """Describe a model.

    Args:
        weights: its safetensors files.
        folder: where its `config.json` is, if it has one.
        context_size: tokens that the package asks for; None for what `config.json` says.

    Raises:
        InvalidRequestError: a file is no whole safetensors file, or `config.json` is no JSON.
    """
    headers = [read_safetensors(path) for path in weights]
    tensors = [tensor for header in headers for tensor in header.tensors.values()]
    kinds = {tensor.dtype for tensor in tensors}
    facts = _config_json(folder / "config.json")
    known = (facts.get(key) for key in _CONTEXT_KEYS)
    context = context_size or next((n for n in known if isinstance(n, int) and n > 0), None)
    architectures = facts.get("architectures")
    named = facts.get("model_type") or (architectures[0] if architectures else "")
    metadata = {key: text for header in headers for key, text in header.metadata.items()}
    return ModelConfig(
        format="safetensors",
        quantization=kinds.pop() if len(kinds) == 1 else ("mixed" if kinds else "unknown"),
        parameters=human_count(sum(math.prod(tensor.shape) for tensor in tensors)),
        architecture=named if isinstance(named, str) else "",
        size=human_size(sum(t.data_offsets[1] - t.data_offsets[0] for t in tensors)),
        safetensors={**metadata, "tensor_count": str(len(tensors))},
        context_size=context,
    )


def _config_json(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidRequestError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"{path} is no JSON object: {error}") from error


def _bad(path: Path, reason: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{path} is not a usable safetensors file: {reason}",
        "the file may be damaged or not wholly downloaded",
    )
