"""What the memory plan learns from a GGUF header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from dmr_tui.engine.plan import LayerShape
from dmr_tui.errors import InvalidRequestError
from dmr_tui.runner.shapes import model_shape, read_shape
from dmr_tui.store.gguf import Array, GGUFHeader, Tensor, Value
from tests.support.gguf_maker import SHAPES

F32, F16 = 0, 1


def header(architecture: str, tensors: Mapping[str, tuple[int, ...]], **facts: Value) -> GGUFHeader:
    """A header as a file of half-precision tensors has it; `__` in a key stands for a dot."""
    metadata: dict[str, Value] = {"general.architecture": architecture}
    metadata |= {f"{architecture}.{key.replace('__', '.')}": value for key, value in facts.items()}
    listed = tuple(Tensor(f"{name}.weight", shape, F16, 0) for name, shape in tensors.items())
    return GGUFHeader(Path("x.gguf"), 3, metadata, listed, 0)


def test_a_real_file(tiny_gguf: Path) -> None:
    shape = read_shape(tiny_gguf)
    tiny = SHAPES["tiny"]
    width = tiny.embedding // tiny.heads * tiny.kv_heads
    assert [(layer.key_width, layer.value_width) for layer in shape.layers] == [(width, width)] * 2
    assert (shape.embedding, shape.feed_forward) == (tiny.embedding, tiny.feed_forward)
    assert (shape.vocabulary, shape.trained_context) == (tiny.vocabulary, tiny.context)
    # Q8_0: 34 bytes for 32 numbers.
    assert shape.input_weights == tiny.vocabulary * tiny.embedding * 34 // 32
    assert shape.output_weights == 4 * tiny.embedding
    whole = shape.input_weights + shape.output_weights + sum(x.weights for x in shape.layers)
    assert 0 < tiny_gguf.stat().st_size - whole < 30_000


def test_shards_are_one_model() -> None:
    first = header("llama", {"token_embd": (8, 10), "blk.0.attn_k": (8, 4)}, embedding_length=8)
    second = header("llama", {"blk.1.attn_k": (8, 4), "output": (8, 10)})
    shape = model_shape([first, second])
    assert len(shape.layers) == 2
    assert (shape.input_weights, shape.output_weights) == (160, 160)


def test_keys_and_values_in_one_tensor_are_counted_by_their_heads() -> None:
    facts: dict[str, Value] = {"embedding_length": 64, "attention__head_count": 8}
    fused = {"blk.0.attn_qkv": (64, 192)}
    (layer,) = model_shape([header("gpt2", fused, **facts)]).layers
    assert (layer.key_width, layer.value_width) == (64, 64)
    facts |= {"attention__head_count_kv": 2, "attention__key_length": 16}
    (layer,) = model_shape([header("phi3", fused, **facts)]).layers
    assert (layer.key_width, layer.value_width) == (32, 16)


def test_latent_attention_keeps_little() -> None:
    tensors = {"blk.0.attn_kv_a_mqa": (5120, 576), "blk.0.attn_k_b": (128, 512, 128)}
    facts = {
        "embedding_length": 5120,
        "attention__head_count": 128,
        "attention__head_count_kv": 1,
        "attention__key_length": 576,
        "attention__value_length": 512,
        "attention__key_length_mla": 192,
        "attention__value_length_mla": 128,
        "attention__kv_lora_rank": 512,
    }
    (layer,) = model_shape([header("deepseek2", tensors, **facts)]).layers
    # As llama.cpp keeps them: values are read from the keys.
    assert (layer.key_width, layer.value_width) == (576, 0)


def test_latent_keys_of_an_older_file_are_kept_at_length() -> None:
    tensors = {"blk.0.attn_kv_a_mqa": (2048, 576), "blk.0.attn_kv_b": (512, 4096)}
    facts = {
        "embedding_length": 2048,
        "attention__head_count": 16,
        "attention__head_count_kv": 16,
        "attention__key_length": 192,
        "attention__value_length": 128,
        "attention__kv_lora_rank": 512,
    }
    (layer,) = model_shape([header("deepseek2", tensors, **facts)]).layers
    assert (layer.key_width, layer.value_width) == (16 * 192, 16 * 128)


def test_a_layer_of_delta_attention_has_a_state() -> None:
    tensors = {"blk.0.ssm_beta": (64, 4), "blk.0.attn_k": (64, 64), "blk.0.attn_v": (64, 64)}
    facts: dict[str, Value] = {
        "embedding_length": 64,
        "attention__head_count": 4,
        "attention__head_count_kv": Array(1, (0,)),
        "kda__head_dim": 16,
        "ssm__conv_kernel": 4,
    }
    (layer,) = model_shape([header("kimi-linear", tensors, **facts)]).layers
    assert layer.state == 4 * (3 * 3 * 4 * 16 + 16 * 16 * 4)
    assert layer.key_width == layer.value_width == 0


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_what_is_no_number_is_not_said(number: float) -> None:
    tensors = {"blk.0.attn_k": (8, 8), "blk.0.attn_v": (8, 8)}
    facts = {"embedding_length": 8, "context_length": number}
    assert model_shape([header("llama", tensors, **facts)]).trained_context == 0


def test_each_layer_of_a_hybrid_is_what_its_tensors_are() -> None:
    tensors = {
        "blk.0.ssm_in": (64, 256),
        "blk.1.attn_k": (64, 16),
        "blk.1.attn_v": (64, 16),
    }
    facts = {
        "embedding_length": 64,
        "ssm__conv_kernel": 4,
        "ssm__inner_size": 128,
        "ssm__state_size": 16,
        "ssm__group_count": 2,
    }
    recurrent, attention = model_shape([header("granitehybrid", tensors, **facts)]).layers
    assert recurrent == LayerShape(
        weights=2 * 64 * 256,
        key_width=0,
        value_width=0,
        state=4 * (3 * (128 + 2 * 2 * 16) + 16 * 128),
    )
    assert (attention.key_width, attention.state) == (16, 0)


@pytest.mark.parametrize(
    ("architecture", "pattern", "windows"),
    [
        ("gemma3", None, [9, 9, 9, 9, 9, 0, 9]),
        ("gpt-oss", None, [9, 0, 9, 0, 9, 0, 9]),
        ("phi3", None, [9] * 7),
        ("llama", None, [0] * 7),
        ("gemma3", 2, [9, 0, 9, 0, 9, 0, 9]),
        ("gemma4", Array(7, (True, False) * 3 + (True,)), [9, 0, 9, 0, 9, 0, 9]),
    ],
)
def test_windows(architecture: str, pattern: Value | None, windows: list[int]) -> None:
    tensors = {f"blk.{index}.attn_k": (8, 8) for index in range(7)}
    facts: dict[str, Value] = {"embedding_length": 8, "attention__sliding_window": 9}
    if pattern is not None:
        facts["attention__sliding_window_pattern"] = pattern
    shape = model_shape([header(architecture, tensors, **facts)])
    assert [layer.window for layer in shape.layers] == windows


def test_layers_that_use_others_keys_keep_none() -> None:
    tensors = {f"blk.{index}.{part}": (8, 8) for index in range(4) for part in ("attn_k", "attn_v")}
    facts = {"embedding_length": 8, "attention__shared_kv_layers": 3}
    shape = model_shape([header("gemma3n", tensors, **facts)])
    assert [layer.key_width for layer in shape.layers] == [8, 0, 0, 0]


def test_an_encoder_keeps_nothing() -> None:
    tensors = {"blk.0.attn_k": (8, 8), "blk.0.attn_v": (8, 8)}
    shape = model_shape([header("bert", tensors, embedding_length=8, attention__causal=False)])
    assert shape.layers[0].key_width == 0
    assert shape.pools
    assert model_shape([header("qwen3", tensors, embedding_length=8, pooling_type=3)]).pools
    assert not model_shape([header("qwen3", tensors, embedding_length=8, pooling_type=0)]).pools


def test_only_the_experts_that_work_are_counted() -> None:
    facts = {
        "embedding_length": 8,
        "feed_forward_length": 64,
        "expert_used_count": 8,
        "expert_feed_forward_length": 16,
    }
    assert model_shape([header("qwen3moe", {"blk.0.attn_k": (8, 8)}, **facts)]).feed_forward == 128


@pytest.mark.parametrize(
    ("tensors", "facts"),
    [
        ({}, {"embedding_length": 8}),
        ({"blk.0.attn_k": (8, 8)}, {}),
        ({"blk.999999999.attn_k": (8, 8)}, {"embedding_length": 8}),
    ],
)
def test_a_header_that_says_too_little(
    tensors: Mapping[str, tuple[int, ...]], facts: dict[str, Value]
) -> None:
    with pytest.raises(InvalidRequestError, match="how large its model is"):
        model_shape([header("llama", tensors, **facts)])
