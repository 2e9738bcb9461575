"""Tiny models of random weights that keep other states than plain keys and values.

Their vocabulary is that of `gguf_maker`'s llama.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, LlamaFileType

from tests.support.gguf_maker import write_vocabulary

_LAYERS, _WIDTH, _VOCABULARY, _CONTEXT = 2, 64, 1024, 4096

Tensor = Callable[..., None]


def write_tiny_mamba(out: Path) -> Path:
    """A recurrent model: one state per sequence, which cannot be cut."""
    inner, state, rank, kernel = 2 * _WIDTH, 8, 4, 4
    writer = _begin(out, "mamba")
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    matrix, vector = _tensors(writer)
    for layer in range(_LAYERS):
        block = f"blk.{layer}."
        vector(block + "attn_norm.weight", _WIDTH)
        matrix(block + "ssm_in.weight", 2 * inner, _WIDTH)
        matrix(block + "ssm_conv1d.weight", inner, kernel)
        vector(block + "ssm_conv1d.bias", inner, 0.0)
        matrix(block + "ssm_x.weight", rank + 2 * state, inner)
        matrix(block + "ssm_dt.weight", inner, rank)
        vector(block + "ssm_dt.bias", inner, 0.0)
        decay = -np.tile(np.arange(1, state + 1, dtype=np.float32), (inner, 1))
        writer.add_tensor(block + "ssm_a", decay)
        vector(block + "ssm_d", inner)
        matrix(block + "ssm_out.weight", _WIDTH, inner)
    return _finish(writer, out)


def write_tiny_gemma(out: Path, *, window: int) -> Path:
    """A model every other layer of which looks back so many tokens and no more."""
    feed_forward, heads = 128, 4
    writer = _begin(out, "gemma2")
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_key_length(_WIDTH // heads)
    writer.add_value_length(_WIDTH // heads)
    writer.add_sliding_window(window)
    matrix, vector = _tensors(writer)
    for layer in range(_LAYERS):
        block = f"blk.{layer}."
        for norm in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            vector(f"{block}{norm}.weight", _WIDTH)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"{block}{part}.weight", _WIDTH, _WIDTH)
        matrix(block + "ffn_gate.weight", feed_forward, _WIDTH)
        matrix(block + "ffn_up.weight", feed_forward, _WIDTH)
        matrix(block + "ffn_down.weight", _WIDTH, feed_forward)
    return _finish(writer, out)


def _begin(out: Path, architecture: str) -> GGUFWriter:
    writer = GGUFWriter(str(out), architecture)
    writer.add_name(f"random-{architecture}")
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(_VOCABULARY)
    writer.add_file_type(LlamaFileType.ALL_F32)
    return writer


def _tensors(writer: GGUFWriter) -> tuple[Tensor, Tensor]:
    """How to add a random matrix and a constant vector; the model's outer tensors are added."""
    rng = np.random.default_rng(7)

    def matrix(name: str, rows: int, columns: int, scale: float = 1.0) -> None:
        weights = rng.standard_normal((rows, columns), dtype=np.float32)
        writer.add_tensor(name, weights * np.float32(scale * columns**-0.5))

    def vector(name: str, length: int, value: float = 1.0) -> None:
        writer.add_tensor(name, np.full(length, value, dtype=np.float32))

    matrix("token_embd.weight", _VOCABULARY, _WIDTH, 3.0)
    vector("output_norm.weight", _WIDTH)
    return matrix, vector


def _finish(writer: GGUFWriter, out: Path) -> Path:
    write_vocabulary(writer, _VOCABULARY)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out
