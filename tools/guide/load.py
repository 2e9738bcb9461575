"""Read a GGUF file that `guide.export` wrote, to learn more from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from torch import Tensor

from guide.corpus import fixed_answers
from guide.export import for_network, gguf_name
from guide.network import Llama, Shape
from guide.tokenizer import Tokenizer
from guide.vocabulary import places, read_vocabulary


def load(path: Path) -> tuple[Llama, Tokenizer]:
    """The network of a file and its tokenizer, with a token for each answer that there is today.

    An answer that the file has as well, if in slightly other words, keeps its token. One that is
    new to it has yet to be learned: its token begins as the mean of all.

    Raises:
        ValueError: the file is none of `guide.export`.
    """
    theirs, learned = read_vocabulary(path)
    answers = list(fixed_answers())
    tokenizer = Tokenizer(theirs.merges, theirs.answer(len(answers)), len(answers))
    reader = GGUFReader(path)
    layers = int(reader.fields["llama.block_count"].contents())
    shape = replace(Shape(), vocabulary=tokenizer.size, layers=layers)
    weights = {
        tensor.name: torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type)))
        for tensor in reader.tensors
    }
    network = Llama(shape)
    state = {
        name: for_network(name, weights[gguf_name(name)], shape) for name in network.state_dict()
    }
    state["embedding.weight"] = _with_answers(state["embedding.weight"], learned, answers)
    network.load_state_dict(state)
    return network, tokenizer


def _with_answers(embedding: Tensor, learned: list[str], answers: list[str]) -> Tensor:
    """The embedding with the tokens of the answers that were learned put where they are today."""
    words, old = embedding[: -len(learned)], embedding[-len(learned) :]
    rows = [old.mean(0) if at is None else old[at] for at in places(learned, answers)]
    return torch.cat([words, torch.stack(rows)])
