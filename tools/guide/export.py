"""Write the trained network as a GGUF file that llama.cpp runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from gguf.quants import quantize
from torch import Tensor

from guide.corpus import fixed_answers
from guide.dialogue import CHAT_TEMPLATE, CONTROL, END_OF_TEXT, TURN_END
from guide.network import Llama, Shape
from guide.tokenizer import Tokenizer
from guide.vocabulary import ANSWERS

_NAMES = {
    "attention_norm": "attn_norm",
    "attention.q": "attn_q",
    "attention.k": "attn_k",
    "attention.v": "attn_v",
    "attention.output": "attn_output",
    "feed_forward_norm": "ffn_norm",
    "feed_forward.gate": "ffn_gate",
    "feed_forward.up": "ffn_up",
    "feed_forward.down": "ffn_down",
}

_SHARPNESS = 4.0
"""The logits are so many times as large as they were learned. At the temperature that people have
if they choose none, 0.8, chance would now and then take another answer than the likeliest one."""


def export(network: Llama, tokenizer: Tokenizer, out: Path) -> None:
    """Write the GGUF: matrices as Q8_0, norms as F32; the same weights give the same bytes."""
    writer = GGUFWriter(str(out), "llama")
    _write_header(writer, network.shape)
    _write_vocabulary(writer, tokenizer)
    writer.add_array(ANSWERS, list(fixed_answers()))
    for name, weight in network.state_dict().items():
        _write_tensor(writer, gguf_name(name), _for_llama_cpp(name, weight, network.shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_header(writer: GGUFWriter, shape: Shape) -> None:
    writer.add_name("dmr guide")
    writer.add_description("A tiny guide to dmr that runs offline")
    writer.add_license("mit")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_chat_template(CHAT_TEMPLATE)


def _write_vocabulary(writer: GGUFWriter, tokenizer: Tokenizer) -> None:
    spare = [f"<unused{number}>" for number in range(tokenizer.unused)]
    answers = [f"<|answer_{number}|>" for number in range(tokenizer.answers)]
    normal = len(tokenizer.tokens) - len(CONTROL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*tokenizer.tokens, *spare, *answers])
    writer.add_token_types(
        [int(TokenType.CONTROL)] * len(CONTROL)
        + [int(TokenType.NORMAL)] * normal
        + [int(TokenType.UNUSED)] * len(spare)
        + [int(TokenType.CONTROL)] * len(answers)
    )
    writer.add_token_merges([" ".join(pair) for pair in tokenizer.merges])
    writer.add_bos_token_id(tokenizer.control(END_OF_TEXT))
    writer.add_eos_token_id(tokenizer.control(TURN_END))
    writer.add_pad_token_id(tokenizer.control(END_OF_TEXT))
    writer.add_add_bos_token(False)


def gguf_name(name: str) -> str:
    """What llama.cpp calls a weight of the network."""
    module = name.removesuffix(".weight")
    if module == "embedding":
        return "token_embd.weight"
    if module == "norm":
        return "output_norm.weight"
    _, layer, part = module.split(".", 2)
    return f"blk.{layer}.{_NAMES[part]}.weight"


def _for_llama_cpp(name: str, weight: Tensor, shape: Shape) -> npt.NDArray[np.float32]:
    values: npt.NDArray[np.float32] = weight.detach().float().numpy()
    if heads := _turned(name, shape):
        # llama.cpp turns neighbours (2i, 2i + 1) where the network turns (i, i + half).
        halves = values.reshape(heads, 2, shape.head // 2, shape.width)
        values = halves.swapaxes(1, 2).reshape(values.shape)
    if name == "norm.weight":
        values = values * np.float32(_SHARPNESS)
    return np.ascontiguousarray(values)


def for_network(name: str, weight: Tensor, shape: Shape) -> Tensor:
    """A weight of a file as the network has it."""
    if heads := _turned(name, shape):
        pairs = weight.view(heads, shape.head // 2, 2, shape.width)
        weight = pairs.transpose(1, 2).reshape(weight.shape)
    return weight / _SHARPNESS if name == "norm.weight" else weight


def _turned(name: str, shape: Shape) -> int:
    """How many heads a weight makes that are turned by their positions; 0 if it makes none."""
    heads = {"attention.q": shape.heads, "attention.k": shape.kv_heads}
    return next((count for part, count in heads.items() if f"{part}." in name), 0)


def _write_tensor(writer: GGUFWriter, name: str, values: npt.NDArray[np.float32]) -> None:
    if values.ndim == 1:
        writer.add_tensor(name, values)
        return
    kind = GGMLQuantizationType.Q8_0
    writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)
