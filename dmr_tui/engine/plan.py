"""Will it fit? How much memory a model needs, and what to load of it when that is too much.

Pure arithmetic over facts that others read: a model's shape from its header, and what is free. The
sums follow llama.cpp's own allocations: weights as they are in the file, one key and one value per
layer and token, a compute buffer for the widest moment of a batch, and logits for each answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dmr_tui.engine.context import BATCH_TOKENS, IDS, SEQUENCES

CELLS = 256
"""llama.cpp rounds the context up to multiples of this."""

SMALLEST_CONTEXT = 4096
"""Tokens below which a context is not shrunk: the answers would be of little use."""

CACHE_BYTES = {"f32": 4.0, "f16": 2.0, "q8_0": 34 / 32, "q5_0": 22 / 32, "q4_0": 18 / 32}
"""Bytes of one number of the KV cache, by its type."""

_FLOAT = 4
_MASK = 2
"""Bytes of the attention mask for one token of a batch and one of the context (f16)."""

_WIDTHS = 4
_FEED_FORWARD_WIDTHS = 3
"""Activations that are alive in a layer's widest moment, in units of its two widths."""

_PROCESS = 36 * 1024**2
_PER_TOKEN_OF_VOCABULARY = 128
"""Bytes of a worker without a model (Python, llama.cpp's code), and of its tokenizer's tables."""

RESERVE = 256 * 1024**2
"""Bytes of main memory that are left to everything else."""

_DEVICE_RESERVE = 512 * 1024**2
"""Bytes of a GPU's memory that its driver takes for a process."""


@dataclass(frozen=True)
class LayerShape:
    """One layer of a model.

    Attributes:
        weights: bytes.
        key_width: numbers that one token adds to the keys; 0 for a layer without attention.
        value_width: the same of the values.
        window: tokens that the layer looks back; 0: all.
        state: bytes that each sequence takes, however long it is (recurrent layers).
    """

    weights: int
    key_width: int
    value_width: int
    window: int = 0
    state: int = 0


@dataclass(frozen=True)
class ModelShape:
    """What a model's header says of its size.

    Attributes:
        layers: first to last.
        embedding: width of a token between layers.
        feed_forward: width inside a layer's feed-forward part, of all experts that work at a time.
        vocabulary: tokens.
        trained_context: tokens.
        input_weights: bytes of what stays in main memory: the token embeddings.
        output_weights: bytes of what turns the last layer's result into logits.
        pools: it makes vectors of whole texts and draws no tokens.
        ranks: such a vector is one number: how well a text answers another.
    """

    layers: tuple[LayerShape, ...]
    embedding: int
    feed_forward: int
    vocabulary: int
    trained_context: int
    input_weights: int
    output_weights: int
    pools: bool = False
    ranks: bool = False

    @property
    def mode(self) -> str:
        """What the model is for: `completion`, `embedding` or `reranking`."""
        return ("reranking" if self.ranks else "embedding") if self.pools else "completion"


@dataclass(frozen=True)
class Wish:
    """What somebody wants to load.

    Attributes:
        context: tokens.
        smallest: fewest tokens that will do; equal to `context` when that was asked for.
        gpu_layers: how many, the output counting as one; negative: as many as fit.
        sequences: answers at a time.
        outputs: tokens of a pass that there is room for logits of.
        batch: tokens of one pass.
        cache_type: of the KV cache, see `CACHE_BYTES`.
        whole_window: layers with a window keep all tokens, so that prefixes can be shared.
        extras: bytes of a projector and of LoRA adapters; what a GPU has of the layers, it has of
            these.
    """

    context: int
    smallest: int
    gpu_layers: int = -1
    sequences: int = SEQUENCES
    outputs: int = IDS
    batch: int = BATCH_TOKENS
    cache_type: str = "f16"
    whole_window: bool = True
    extras: int = 0


@dataclass(frozen=True)
class Memory:
    """What there is, in bytes.

    Attributes:
        free: main memory that can be had without taking it from others.
        total: main memory and swap of the machine.
        device: free memory of the GPU that would be used; 0 when there is none.
    """

    free: int
    total: int
    device: int = 0


@dataclass(frozen=True)
class Need:
    """What a load takes of one kind of memory, in bytes.

    Attributes:
        weights: read-only; on disk, too.
        cache: keys, values and recurrent state.
        compute: buffers of a pass, and logits.
        overhead: the process itself, or the driver's share.
        extras: a projector and LoRA adapters, which are copied into memory.
    """

    weights: int = 0
    cache: int = 0
    compute: int = 0
    overhead: int = 0
    extras: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.anonymous

    @property
    def anonymous(self) -> int:
        """What cannot be read again from the file, so that it must be in memory or swap."""
        return self.cache + self.compute + self.overhead + self.extras


class Outcome(Enum):
    """How a plan came out."""

    FITS = "fits"
    FEWER_GPU_LAYERS = "fits with fewer layers on the GPU"
    SMALLER_CONTEXT = "fits with a smaller context"
    TOO_LARGE = "does not fit"


@dataclass(frozen=True)
class Verdict:
    """What to load, and why; for `TOO_LARGE`, what the least that will do would need.

    Attributes:
        outcome: in one word.
        context: tokens.
        gpu_layers: layers on the GPU.
        host: main memory needed.
        device: GPU memory needed.
        memory: what there was.
    """

    outcome: Outcome
    context: int
    gpu_layers: int
    host: Need
    device: Need
    memory: Memory

    @property
    def fits(self) -> bool:
        """It can be loaded as planned."""
        return self.outcome is not Outcome.TOO_LARGE

    @property
    def absurd(self) -> bool:
        """It could not be loaded even with the whole machine to itself."""
        return self.host.anonymous > self.memory.total


def make_plan(shape: ModelShape, wish: Wish, memory: Memory) -> Verdict:
    """Decide what to load.

    As many layers as fit go to the GPU; when main memory is too small for the rest, the context
    shrinks to what fits, but not below `wish.smallest`.
    """
    first = _place(shape, wish, wish.context, memory)
    if first.fits:
        return first
    low, high = _cells(min(wish.smallest, wish.context)), _cells(wish.context)
    least = _place(shape, wish, low * CELLS, memory)
    if not least.fits or low >= high:
        return least
    # Memory grows with the context: halve the gap between what fits and what does not.
    while high - low > 1:
        middle = (low + high) // 2
        if _place(shape, wish, middle * CELLS, memory).fits:
            low = middle
        else:
            high = middle
    best = _place(shape, wish, low * CELLS, memory)
    return Verdict(
        Outcome.SMALLER_CONTEXT, best.context, best.gpu_layers, best.host, best.device, memory
    )


def host_need(shape: ModelShape, wish: Wish, context: int, gpu_layers: int) -> Need:
    """Main memory of a load with so many layers on the GPU."""
    staying = len(shape.layers) + 1 - gpu_layers
    layers = shape.layers[:staying]
    weights = shape.input_weights + sum(layer.weights for layer in layers)
    compute = _logits(shape, wish)
    if staying > 0:
        compute += _compute(shape, wish, context)
        weights += shape.output_weights if gpu_layers == 0 else 0
    overhead = _PROCESS + shape.vocabulary * _PER_TOKEN_OF_VOCABULARY
    extras = wish.extras * len(layers) // max(len(shape.layers), 1)
    return Need(weights, _cache(layers, wish, context), compute, overhead, extras)


def device_need(shape: ModelShape, wish: Wish, context: int, gpu_layers: int) -> Need:
    """GPU memory of a load with so many layers there: the output first, then the last layers."""
    if gpu_layers == 0:
        return Need()
    layers = shape.layers[len(shape.layers) + 1 - gpu_layers :]
    # A model without an output of its own uses its input's weights, which are then there twice.
    weights = shape.output_weights or shape.input_weights
    weights += sum(layer.weights for layer in layers)
    compute = _compute(shape, wish, context)
    extras = wish.extras * len(layers) // max(len(shape.layers), 1)
    return Need(weights, _cache(layers, wish, context), compute, _DEVICE_RESERVE, extras)


def _place(shape: ModelShape, wish: Wish, context: int, memory: Memory) -> Verdict:
    """The best place for every layer at one size of the context."""
    every = len(shape.layers) + 1
    wanted = every if wish.gpu_layers < 0 else min(wish.gpu_layers, every)
    most = wanted if memory.device else 0
    # A number that somebody chose is theirs to answer for.
    fewest = most if wish.gpu_layers >= 0 else 0
    chosen = next(
        (
            count
            for count in range(most, fewest, -1)
            if device_need(shape, wish, context, count).total <= memory.device
        ),
        fewest,
    )
    host = host_need(shape, wish, context, chosen)
    device = device_need(shape, wish, context, chosen)
    if host.total > memory.free or device.total > max(memory.device, 0):
        outcome = Outcome.TOO_LARGE
    else:
        outcome = Outcome.FITS if chosen == most else Outcome.FEWER_GPU_LAYERS
    return Verdict(outcome, context, chosen, host, device, memory)


def _cache(layers: tuple[LayerShape, ...], wish: Wish, context: int) -> int:
    cells = _cells(context) * CELLS
    width = CACHE_BYTES[wish.cache_type]
    total = 0.0
    for layer in layers:
        kept = cells
        if layer.window and not wish.whole_window:
            kept = min(cells, _cells(layer.window * wish.sequences + wish.batch) * CELLS)
        total += kept * (layer.key_width + layer.value_width) * width
        total += layer.state * wish.sequences
    return int(total)


def _compute(shape: ModelShape, wish: Wish, context: int) -> int:
    """The buffer of a whole batch: its activations, and the mask of its attention."""
    batch = context if shape.pools else min(wish.batch, context)
    widths = _WIDTHS * shape.embedding + _FEED_FORWARD_WIDTHS * shape.feed_forward
    activations = batch * widths * _FLOAT
    return max(activations, _logits(shape, wish)) + batch * _cells(context) * CELLS * _MASK


def _logits(shape: ModelShape, wish: Wish) -> int:
    return 0 if shape.pools else wish.outputs * shape.vocabulary * _FLOAT


def _cells(tokens: int) -> int:
    return -(-max(tokens, 1) // CELLS)
