"""From a GGUF header to what the engine's memory plan needs to know."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

from dmr_tui.engine.plan import LayerShape, ModelShape
from dmr_tui.errors import InvalidRequestError
from dmr_tui.store.gguf import Array, GGUFHeader, Tensor, read_header
from dmr_tui.store.parts import find_shards

_LAYER = re.compile(r"blk\.(\d+)\.(.+?)(?:\.weight)?$")
_FLOAT = 4
_RANK = 4
"""llama.cpp's pooling type of rerankers."""

_WINDOW_PERIODS = {
    "cohere2": 4,
    "exaone4": 4,
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "llama4": 4,
    "phi3": 0,
}
"""Which layers have a window where the file does not say: all but every n-th; 0: all of them.

llama.cpp has the same numbers in its code (`set_swa_pattern`).
"""


def read_shape(gguf: Path) -> ModelShape:
    """The shape of a model, given its only file or its first shard.

    Raises:
        InvalidRequestError: a file cannot be read, or does not say enough.
    """
    return model_shape([read_header(file) for file in find_shards(gguf)])


def model_shape(shards: Sequence[GGUFHeader]) -> ModelShape:
    """The shape that the headers of a model's files describe, in order.

    Raises:
        InvalidRequestError: they do not say enough.
    """
    return _Reading(shards).shape()


class _Reading:
    """The tensors of all shards, by layer, beside the first shard's metadata."""

    def __init__(self, shards: Sequence[GGUFHeader]) -> None:
        self._first = shards[0]
        self._outside: dict[str, Tensor] = {}
        self._layers: defaultdict[int, dict[str, Tensor]] = defaultdict(dict)
        for tensor in (tensor for shard in shards for tensor in shard.tensors):
            found = _LAYER.match(tensor.name)
            if found:
                self._layers[int(found[1])][found[2]] = tensor
            else:
                self._outside[tensor.name] = tensor

    def shape(self) -> ModelShape:
        embedding = self._number("embedding_length")
        if not embedding or not self._layers or max(self._layers) >= 2 * len(self._layers):
            raise InvalidRequestError(f"{self._first.path} does not say how large its model is")
        vocabulary = self._first.metadata.get("tokenizer.ggml.tokens")
        inputs = sum(
            tensor.size for name, tensor in self._outside.items() if name.startswith("token_embd")
        )
        outside = sum(tensor.size for tensor in self._outside.values())
        return ModelShape(
            layers=tuple(self._layer(index, embedding) for index in sorted(self._layers)),
            embedding=embedding,
            feed_forward=self._feed_forward(),
            vocabulary=vocabulary.count if isinstance(vocabulary, Array) else 0,
            trained_context=self._number("context_length"),
            input_weights=inputs,
            output_weights=outside - inputs,
            pools=bool(self._number("pooling_type"))
            or not self._number("attention.causal", default=1),
            ranks=self._number("pooling_type") == _RANK,
        )

    def _layer(self, index: int, embedding: int) -> LayerShape:
        tensors = self._layers[index]
        key, value = self._attention(index, tensors, embedding)
        return LayerShape(
            weights=sum(tensor.size for tensor in tensors.values()),
            key_width=key,
            value_width=value,
            window=self._window(index),
            state=self._state(tensors, embedding),
        )

    def _attention(self, index: int, tensors: dict[str, Tensor], embedding: int) -> tuple[int, int]:
        """Widths of a token's key and value: the tensors tell them best."""
        if index >= len(self._layers) - self._number("attention.shared_kv_layers"):
            return 0, 0
        if not self._number("attention.causal", default=1):
            return 0, 0
        if not self._number("attention.head_count_kv", index, default=1):
            return 0, 0  # a recurrent layer of a hybrid
        if "attn_k" in tensors and "attn_v" in tensors:
            return tensors["attn_k"].shape[-1], tensors["attn_v"].shape[-1]
        latent = tensors.get("attn_kv_a_mqa")
        if latent is not None and self._number("attention.key_length_mla"):
            return latent.shape[-1], 0  # values are a part of the keys
        # Files from before llama.cpp could do that have it keep what the latent ones stand for.
        if not tensors.keys() & {"attn_k", "attn_qkv", "attn_kv_a_mqa"}:
            return 0, 0
        heads = self._number("attention.head_count", index) or 1
        kv_heads = self._number("attention.head_count_kv", index, default=heads)
        wide = embedding // heads
        return (
            kv_heads * self._number("attention.key_length", default=wide),
            kv_heads * self._number("attention.value_length", default=wide),
        )

    def _window(self, index: int) -> int:
        window = self._number("attention.sliding_window")
        pattern = self._first.metadata.get(self._key("attention.sliding_window_pattern"))
        if isinstance(pattern, Array) and pattern.values and index < len(pattern.values):
            return window if pattern.values[index] else 0
        period = _WINDOW_PERIODS.get(self._first.architecture, 1)
        if isinstance(pattern, int) and pattern > 0:
            period = pattern
        return window if period == 0 or (index + 1) % period else 0

    def _state(self, tensors: dict[str, Tensor], embedding: int) -> int:
        """Bytes of a recurrent layer's state: what its convolution remembers, and its sum."""
        head = self._number("kda.head_dim")
        if head and any(name.startswith("ssm_") for name in tensors):
            kernel = self._number("ssm.conv_kernel", default=4)
            return _FLOAT * self._number("attention.head_count") * head * (3 * (kernel - 1) + head)
        if any(name.startswith("ssm_") for name in tensors):
            inner = self._number("ssm.inner_size")
            size = self._number("ssm.state_size")
            wide = inner + 2 * self._number("ssm.group_count") * size
            return _FLOAT * ((self._number("ssm.conv_kernel", default=1) - 1) * wide + size * inner)
        if any(name.startswith("time_mix_") for name in tensors):
            return _FLOAT * embedding * (2 + self._number("wkv.head_size"))
        if any(name.startswith("shortconv") for name in tensors):
            return _FLOAT * embedding * max(self._number("shortconv.l_cache") - 1, 0)
        return 0

    def _feed_forward(self) -> int:
        widest = max(
            self._number("feed_forward_length", index) for index in range(len(self._layers))
        )
        experts = self._number("expert_used_count")
        return max(widest, experts * self._number("expert_feed_forward_length", default=widest))

    def _key(self, name: str) -> str:
        return f"{self._first.architecture}.{name}"

    def _number(self, name: str, layer: int = 0, *, default: int = 0) -> int:
        """A number of the metadata, or a layer's in a list of them; never negative."""
        value = self._first.metadata.get(self._key(name), default)
        if isinstance(value, Array):
            value = value.values[layer] if value.values and layer < len(value.values) else default
        return max(int(value), 0) if isinstance(value, int | float) and isfinite(value) else default
