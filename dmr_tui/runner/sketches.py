"""The shape of a model that is not here: from what its package or its name tells.

A config's copy of the header has everything but the tensors. Of these only the total is known, so
all layers get the same share; the rest of the plan is as exact as for a file on the disk.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from dmr_tui.engine.plan import LayerShape, ModelShape
from dmr_tui.errors import InvalidRequestError
from dmr_tui.runner.shapes import model_shape
from dmr_tui.store.gguf import Array, GGUFHeader, Scalar, Tensor, Value
from dmr_tui.store.manifest import ModelConfig

_BYTES = 24
"""The tensor type whose elements are bytes (`GGML_TYPE_I8`)."""

_VOCABULARY = 128_000
_SHARE = 0.3
"""Of the weights that token embeddings take at most."""

_USUAL = (
    # parameters, layers, embedding, width of keys and of values, feed-forward
    (0.135e9, 30, 576, 192, 1536),
    (0.36e9, 32, 960, 320, 2560),
    (1e9, 22, 2048, 384, 6144),
    (3e9, 32, 2816, 896, 8192),
    (8e9, 34, 4096, 1024, 14336),
    (14e9, 42, 5120, 1024, 17408),
    (32e9, 64, 5120, 1024, 27648),
    (70e9, 80, 8192, 1024, 28672),
    (120e9, 88, 12288, 1024, 28672),
)
"""Dense models as they are published in these sizes."""


def sketch(config: ModelConfig, weights: int, *, vocabulary: int = 0) -> ModelShape | None:
    """The shape of a model whose header's metadata is known; None where that is too little.

    Args:
        config: of its package.
        weights: bytes of its GGUF files.
        vocabulary: tokens; 0 where that is not known.
    """
    metadata: dict[str, Value] = {key: _value(text) for key, text in config.gguf.items()}
    architecture = config.architecture or str(metadata.get("general.architecture", ""))
    metadata["general.architecture"] = architecture
    layers = metadata.get(f"{architecture}.block_count")
    embedding = metadata.get(f"{architecture}.embedding_length")
    if not isinstance(layers, int) or not isinstance(embedding, int):
        return None
    if not 0 < layers < 10_000 or embedding <= 0:
        return None
    told = metadata.get(f"{architecture}.vocab_size")
    tokens = vocabulary or (told if isinstance(told, int) else _VOCABULARY)
    metadata["tokenizer.ggml.tokens"] = Array(tokens, None)
    tensors = _tensors(metadata, architecture, layers, _split(weights, tokens * embedding))
    try:
        return model_shape([GGUFHeader(Path(architecture), 0, metadata, tensors, 0)])
    except InvalidRequestError:
        return None


def guess(weights: int, parameters: int) -> ModelShape:
    """The shape of a usual model of this size, for an estimate.

    Args:
        weights: bytes.
        parameters: how many; 0 where that is not known.
    """
    count = parameters or weights / 0.6  # four bits each, and some
    _, layers, embedding, width, inner = min(
        _USUAL, key=lambda usual: abs(math.log(usual[0] / max(count, 1.0)))
    )
    inputs = int(_VOCABULARY * embedding * min(weights / max(count, 1.0), 2.0))
    inputs = min(inputs, int(_SHARE * weights))
    layer = LayerShape((weights - inputs) // layers, width, width)
    return ModelShape((layer,) * layers, embedding, inner, _VOCABULARY, 0, inputs, 0)


def _tensors(
    metadata: dict[str, Value], architecture: str, layers: int, split: tuple[int, int]
) -> tuple[Tensor, ...]:
    """Tensors with the names by which a layer's attention is told, and the sizes of a share."""
    inputs, rest = split
    share = rest // layers
    latent = metadata.get(f"{architecture}.attention.kv_lora_rank")
    found = [Tensor("token_embd.weight", (inputs,), _BYTES, 0)]
    for index in range(layers):
        if isinstance(latent, int) and latent:
            turned = metadata.get(f"{architecture}.rope.dimension_count", 0)
            wide = latent + (turned if isinstance(turned, int) else 0)
            found.append(Tensor(f"blk.{index}.attn_kv_a_mqa.weight", (0, wide), _BYTES, 0))
        else:
            found.append(Tensor(f"blk.{index}.attn_qkv.weight", (0,), _BYTES, 0))
        found.append(Tensor(f"blk.{index}.ffn.weight", (share,), _BYTES, 0))
    return tuple(found)


def _split(weights: int, numbers: int) -> tuple[int, int]:
    """Bytes of the token embeddings, and of everything else."""
    inputs = min(numbers, int(_SHARE * weights))
    return inputs, weights - inputs


def _value(text: str) -> Value:
    """A value as the header had it: numbers, and lists of numbers."""
    parts = text.split(", ")
    if len(parts) > 1 and all(re.fullmatch(r"-?\d+|true|false", part) for part in parts):
        return Array(len(parts), tuple(_scalar(part) for part in parts))
    return _scalar(text)


def _scalar(text: str) -> Scalar:
    if re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    if text in ("true", "false"):
        return text == "true"
    return text
