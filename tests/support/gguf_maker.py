"""Small random-weight GGUF models with a working tokenizer, for tests, demos and benchmarks.

    python -m tests.support.gguf_maker out.gguf [--shape tiny|m135] [--seed 7]

The text such a model writes is noise; its shapes, tokenizer, chat template (ChatML) and speed are
real, and the same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, PoolingType, TokenType
from gguf.quants import quantize

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
END_OF_TEXT, _, END_OF_TURN = range(3)
FIRST_MARK = 1000
"""The first of a test's own control tokens; tokens from here on are of no other use."""


@dataclass(frozen=True)
class Shape:
    """The dimensions of a llama model."""

    layers: int
    embedding: int
    heads: int
    kv_heads: int
    feed_forward: int
    vocabulary: int
    context: int


SHAPES = {
    "tiny": Shape(2, 128, 4, 2, 256, 1024, 4096),
    "m135": Shape(30, 576, 9, 3, 1536, 49152, 8192),
}


def write_tiny_llama(
    out: Path,
    *,
    shape: Shape = SHAPES["tiny"],
    seed: int = 7,
    name: str = "random-tiny",
    chat_template: str | None = CHATML,
    tool_template: str | None = None,
    extra: Mapping[str, int] | None = None,
    marks: Sequence[str] = (),
) -> Path:
    """Write a llama model of random Q8_0 weights.

    Args:
        out: the file to write.
        shape: dimensions.
        seed: of the weights.
        name: `general.name`.
        chat_template: Jinja text, or None for a model without one.
        tool_template: another one, for conversations with tools.
        extra: more metadata, such as the ids of special tokens.
        marks: more control tokens, the first of which is `FIRST_MARK`.

    Returns:
        `out`.
    """
    writer = GGUFWriter(str(out), "llama")
    _write_header(writer, shape, name)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    if tool_template is not None:
        writer.add_string("tokenizer.chat_template.tool_use", tool_template)
    for key, value in (extra or {}).items():
        writer.add_uint32(key, value)
    types = write_vocabulary(writer, shape.vocabulary, marks)
    _write_tensors(writer, shape, np.random.default_rng(seed), types)
    _finish(writer)
    return out


def write_tiny_lora(
    out: Path, *, shape: Shape = SHAPES["tiny"], seed: int = 7, alpha: float = 64.0, rank: int = 4
) -> Path:
    """Write a LoRA adapter of random weights for a model of `write_tiny_llama`.

    Args:
        out: the file to write.
        shape: dimensions of the model.
        seed: of the weights.
        alpha: strength, in units of `rank`.
        rank: width of the adapter.

    Returns:
        `out`.
    """
    rng = np.random.default_rng(seed)
    width = shape.embedding
    writer = GGUFWriter(str(out), "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for layer in range(shape.layers):
        name = f"blk.{layer}.attn_output.weight"
        for part, rows, columns in (("lora_a", rank, width), ("lora_b", width, rank)):
            weights = rng.standard_normal((rows, columns), dtype=np.float32)
            writer.add_tensor(f"{name}.{part}", weights * np.float32(columns**-0.5))
    _finish(writer)
    return out


def write_tiny_projector(out: Path, *, shape: Shape = SHAPES["tiny"], seed: int = 7) -> Path:
    """Write a LLaVA-like projector of random weights for a model of `write_tiny_llama`.

    It sees images of 28 x 28 pixels as four patches, which become four tokens.

    Args:
        out: the file to write.
        shape: dimensions of the model that sees.
        seed: of the weights.

    Returns:
        `out`.
    """
    size, patch, width, feed_forward, layers = 28, 14, 32, 64, 2
    rng = np.random.default_rng(seed)
    writer = GGUFWriter(str(out), "clip")
    writer.add_string("general.type", "mmproj")
    writer.add_string("clip.projector_type", "mlp")
    for key in ("clip.has_vision_encoder", "clip.use_gelu"):
        writer.add_bool(key, True)
    numbers = {
        "image_size": size,
        "patch_size": patch,
        "embedding_length": width,
        "feed_forward_length": feed_forward,
        "block_count": layers,
        "projection_dim": shape.embedding,
        "attention.head_count": 4,
    }
    for key, value in numbers.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    for key in ("image_mean", "image_std"):
        writer.add_array(f"clip.vision.{key}", [0.5, 0.5, 0.5])

    def matrix(name: str, *dimensions: int) -> None:
        weights = rng.standard_normal(dimensions, dtype=np.float32)
        writer.add_tensor(name, weights * np.float32(dimensions[-1] ** -0.5))

    def linear(name: str, rows: int, columns: int) -> None:
        matrix(f"{name}.weight", rows, columns)
        writer.add_tensor(f"{name}.bias", np.zeros(rows, dtype=np.float32))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(width, dtype=np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(width, dtype=np.float32))

    matrix("v.class_embd", width)
    matrix("v.patch_embd.weight", width, 3, patch, patch)
    matrix("v.position_embd.weight", (size // patch) ** 2 + 1, width)
    norm("v.pre_ln")
    for layer in range(layers):
        block = f"v.blk.{layer}."
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            linear(block + part, width, width)
        linear(block + "ffn_up", feed_forward, width)
        linear(block + "ffn_down", width, feed_forward)
        norm(block + "ln1")
        norm(block + "ln2")
    linear("mm.0", shape.embedding, width)
    linear("mm.2", shape.embedding, shape.embedding)
    _finish(writer)
    return out


def write_tiny_bert(
    out: Path,
    *,
    pooling: PoolingType | None = PoolingType.MEAN,
    seed: int = 7,
    context: int = 512,
    ends: bool = False,
) -> Path:
    """Write an embedding model, or with `PoolingType.RANK` a reranking one, of random weights.

    Args:
        out: the file to write.
        pooling: how tokens become one vector; None leaves it unsaid.
        seed: of the weights.
        context: tokens it was "trained" on.
        ends: each text has an end token, as XLM-RoBERTa's have.

    Returns:
        `out`.
    """
    layers, width, heads, feed_forward = 2, 64, 4, 128
    rng = np.random.default_rng(seed)
    writer = GGUFWriter(str(out), "bert")
    writer.add_name("random-embed")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    if pooling is not None:
        writer.add_pooling_type(pooling)
    writer.add_file_type(LlamaFileType.ALL_F32)
    vocabulary = _write_word_pieces(writer)
    if ends:
        writer.add_add_eos_token(True)

    def vector(name: str, length: int, value: float) -> None:
        writer.add_tensor(name, np.full(length, value, dtype=np.float32))

    def norm(name: str) -> None:
        vector(f"{name}.weight", width, 1.0)
        vector(f"{name}.bias", width, 0.0)

    def matrix(name: str, rows: int, columns: int) -> None:
        weights = rng.standard_normal((rows, columns), dtype=np.float32)
        writer.add_tensor(f"{name}.weight", weights * np.float32(columns**-0.5))

    def linear(name: str, rows: int, columns: int) -> None:
        matrix(name, rows, columns)
        vector(f"{name}.bias", rows, 0.0)

    matrix("token_embd", vocabulary, width)
    matrix("token_types", 2, width)
    matrix("position_embd", context, width)
    norm("token_embd_norm")
    for layer in range(layers):
        block = f"blk.{layer}."
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            linear(block + part, width, width)
        norm(block + "attn_output_norm")
        linear(block + "ffn_up", feed_forward, width)
        linear(block + "ffn_down", width, feed_forward)
        norm(block + "layer_output_norm")
    if pooling == PoolingType.RANK:
        linear("cls", width, width)
        linear("cls.output", 1, width)
    _finish(writer)
    return out


def _write_word_pieces(writer: GGUFWriter) -> int:
    """A vocabulary as llama.cpp keeps WordPiece: U+2581 before a word's first piece."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    text = " ".join(topics[key] for key in sorted(topics)).lower()
    counted = collections.Counter(re.findall(r"[a-z]{2,}", text))
    words = [word for word, _ in counted.most_common(800)]
    tokens = specials + [f"\u2581{letter}" for letter in letters] + letters
    tokens += [f"\u2581{word}" for word in words]
    types = [int(TokenType.CONTROL)] * len(specials)
    types += [int(TokenType.NORMAL)] * (len(tokens) - len(specials))
    writer.add_vocab_size(len(tokens))
    writer.add_token_type_count(2)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)
    return len(tokens)


def _finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_header(writer: GGUFWriter, shape: Shape, name: str) -> None:
    writer.add_name(name)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.embedding)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.embedding // shape.heads)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)


def write_vocabulary(writer: GGUFWriter, size: int, marks: Sequence[str] = ()) -> list[int]:
    merges = _learn_merges(min(size - 256 - len(CONTROL), 600))
    tokens = CONTROL + _byte_alphabet() + list(dict.fromkeys("".join(pair) for pair in merges))
    types = [int(TokenType.CONTROL)] * len(CONTROL)
    types += [int(TokenType.NORMAL)] * (len(tokens) - len(CONTROL))
    while len(tokens) < size:
        tokens.append(f"<pad{len(tokens)}>")
        types.append(int(TokenType.UNUSED))
    for token, mark in enumerate(marks, FIRST_MARK):
        tokens[token], types[token] = mark, int(TokenType.CONTROL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(END_OF_TEXT)
    writer.add_eos_token_id(END_OF_TURN)
    writer.add_pad_token_id(END_OF_TEXT)
    writer.add_add_bos_token(False)
    return types


def _write_tensors(
    writer: GGUFWriter, shape: Shape, rng: np.random.Generator, types: list[int]
) -> None:
    width = shape.embedding
    kv = width // shape.heads * shape.kv_heads

    def matrix(name: str, rows: int, columns: int, scale: float, quiet: list[int]) -> None:
        weights = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(scale)
        weights[quiet] *= 1e-3
        kind = GGMLQuantizationType.Q8_0
        writer.add_tensor(name, quantize(weights, kind), raw_dtype=kind)

    def norm(name: str) -> None:
        writer.add_tensor(name, np.ones(width, dtype=np.float32))

    # A spread of about 3 makes logits as peaked as a real model's; no control token comes first.
    never = [token for token, kind in enumerate(types) if kind != int(TokenType.NORMAL)]
    matrix("token_embd.weight", shape.vocabulary, width, 3.0 / width**0.5, never)
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        norm(block + "attn_norm.weight")
        norm(block + "ffn_norm.weight")
        for part, rows, columns in (
            ("attn_q", width, width),
            ("attn_k", kv, width),
            ("attn_v", kv, width),
            ("attn_output", width, width),
            ("ffn_gate", shape.feed_forward, width),
            ("ffn_up", shape.feed_forward, width),
            ("ffn_down", width, shape.feed_forward),
        ):
            matrix(f"{block}{part}.weight", rows, columns, columns**-0.5, [])
    norm("output_norm.weight")


@cache
def _byte_alphabet() -> list[str]:
    """GPT-2's printable stand-in for each of the 256 bytes, in byte order."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


@cache
def _learn_merges(count: int) -> list[tuple[str, str]]:
    """Learn byte pairs from the reference text that ships with every CPython."""
    alphabet = _byte_alphabet()
    text = " ".join(topics[key] for key in sorted(topics))
    words = collections.Counter(re.findall(r" ?[A-Za-z]+| ?[0-9]+|\n+", text)).most_common(1000)
    split = [([alphabet[byte] for byte in word.encode()], seen) for word, seen in words]
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: collections.Counter[tuple[str, str]] = collections.Counter()
        for symbols, seen in split:
            for left, right in itertools.pairwise(symbols):
                pairs[left, right] += seen
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for symbols, _ in split:
            at = 0
            while at < len(symbols) - 1:
                if (symbols[at], symbols[at + 1]) == best:
                    symbols[at : at + 2] = ["".join(best)]
                at += 1
    return merges


def main() -> None:
    """Write one model as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="tiny")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    write_tiny_llama(asked.out, shape=SHAPES[asked.shape], seed=asked.seed)


if __name__ == "__main__":
    main()
