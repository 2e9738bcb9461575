"""What a published model would take, by its header, by its name, and which variant is best."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmr_tui.engine.fit import estimate
from dmr_tui.engine.plan import Memory, Wish
from dmr_tui.runner.base import Published
from dmr_tui.runner.offers import weigh
from dmr_tui.runner.shapes import model_shape
from dmr_tui.runner.sketches import guess, sketch
from dmr_tui.store.facts import model_config
from dmr_tui.store.gguf import read_header
from dmr_tui.store.manifest import ModelConfig
from dmr_tui.store.transfer.found import Variant
from dmr_tui.store.transfer.labels import parameters_in, quantization_in

GB = 1000**3
BIG_CPU = Memory(free=28 * GB, total=32 * GB)
GPU = Memory(free=50 * GB, total=64 * GB, device=13 * GB)


def variant(tag: str, size: float, **facts: object) -> Variant:
    return Variant(
        f"coder:{tag}",
        tag,
        int(size * GB),
        quantization=quantization_in(tag),
        parameters=parameters_in(tag),
        **facts,  # type: ignore[arg-type]  # what a test says
    )


CODER = [
    variant("0.5B-Q8_0", 0.5),
    variant("3B-Q4_K_M", 1.9),
    variant("7B-Q4_K_M", 4.7, preferred=True),
    variant("7B-Q8_0", 8.1),
    variant("14B-Q4_K_M", 9.0),
    variant("32B-Q4_K_M", 19.9),
    variant("32B-Q8_0", 34.8),
]


def best(variants: list[Variant], memory: Memory | None, context: int = 8192) -> str:
    offers = weigh(variants, {}, memory, context=context)
    return next((offer.variant.tag for offer in offers if offer.best), "")


@pytest.mark.parametrize(
    ("memory", "tag"),
    [
        (GPU, "7B-Q8_0"),
        (Memory(50 * GB, 64 * GB, device=9 * GB), "7B-Q4_K_M"),
        (Memory(60 * GB, 64 * GB, device=48 * GB), "32B-Q8_0"),
        (BIG_CPU, "7B-Q4_K_M"),
        (Memory(5 * GB, 8 * GB), "3B-Q4_K_M"),
        (Memory(GB, GB), "0.5B-Q8_0"),
        (Memory(GB // 8, GB // 4), ""),
        (None, ""),
    ],
)
def test_the_best_one_leaves_room_and_is_quick(memory: Memory | None, tag: str) -> None:
    assert best(CODER, memory) == tag


def test_few_bits_make_a_large_model_worth_less() -> None:
    pair = [variant("8B-Q6_K", 6.0), variant("14B-IQ2_XXS", 5.9)]
    assert best(pair, GPU) == "8B-Q6_K"
    assert best([variant("8B-F16", 4.1), variant("8B-Q8_0", 4.0)], GPU) == "8B-Q8_0"


def test_more_context_takes_more_and_changes_the_choice() -> None:
    short, long = (weigh(CODER, {}, GPU, context=size)[3].fit for size in (4096, 65536))
    assert short is not None
    assert long is not None
    assert long.cache == 16 * short.cache
    assert best(CODER, GPU, context=65536) == "3B-Q4_K_M"


def test_without_a_known_memory_there_are_figures_and_no_verdict_of_best() -> None:
    offers = weigh(CODER, {}, None, context=8192)
    assert all(offer.fit and offer.fit.fits and not offer.best for offer in offers)


def test_what_has_no_size_or_is_no_gguf_has_no_fit() -> None:
    offers = weigh([variant("1B", 0), variant("safetensors", 3)], {}, GPU, context=8192)
    assert [offer.fit for offer in offers] == [None, None]


def test_a_header_makes_the_figures_sure(tiny_gguf: Path) -> None:
    header = read_header(tiny_gguf)
    config = model_config([header])
    published = Published("sha256:x", 0, config, header.size, header.size, vocabulary=0)
    (offer,) = weigh([variant("tiny", 0.1)], {"coder:tiny": published}, GPU, context=8192)
    assert offer.sure
    assert offer.fit is not None
    assert offer.fit.context <= 8192


def test_a_sketch_takes_what_the_file_itself_takes(tiny_gguf: Path) -> None:
    header = read_header(tiny_gguf)
    exact = model_shape([header])
    drawn = sketch(model_config([header]), header.size, vocabulary=exact.vocabulary)
    assert drawn is not None
    wish = Wish(1024, 1024)
    real, ours = (estimate(shape, wish, BIG_CPU) for shape in (exact, drawn))
    assert ours.cache == real.cache
    assert ours.compute == real.compute
    assert ours.layers == real.layers
    assert ours.host == pytest.approx(real.host, rel=0.01)


def test_a_sketch_knows_windows_and_lists() -> None:
    texts = {
        "gemma3.block_count": "12",
        "gemma3.embedding_length": "1152",
        "gemma3.attention.head_count": "4",
        "gemma3.attention.head_count_kv": "1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2",
        "gemma3.attention.key_length": "256",
        "gemma3.attention.value_length": "256",
        "gemma3.attention.sliding_window": "512",
        "gemma3.context_length": "32768",
        "gemma3.feed_forward_length": "6912",
    }
    shape = sketch(ModelConfig(architecture="gemma3", gguf=texts), 10**9)
    assert shape is not None
    assert [layer.window for layer in shape.layers] == ([512] * 5 + [0]) * 2
    assert shape.layers[-1].key_width == 512
    assert shape.trained_context == 32768


def test_a_sketch_knows_latent_attention() -> None:
    texts = {
        "deepseek2.block_count": "2",
        "deepseek2.embedding_length": "2048",
        "deepseek2.attention.kv_lora_rank": "512",
        "deepseek2.attention.key_length_mla": "192",
        "deepseek2.rope.dimension_count": "64",
    }
    shape = sketch(ModelConfig(architecture="deepseek2", gguf=texts), 10**9)
    assert shape is not None
    assert (shape.layers[0].key_width, shape.layers[0].value_width) == (576, 0)


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"x.block_count": "many", "x.embedding_length": "8"},
        {"x.block_count": "0", "x.embedding_length": "8"},
        {"x.block_count": "99999999", "x.embedding_length": "8"},
        {"x.block_count": "2", "x.embedding_length": "-8"},
    ],
)
def test_too_little_or_nonsense_is_no_sketch(texts: dict[str, str]) -> None:
    assert sketch(ModelConfig(architecture="x", gguf=texts), 1000) is None


def test_a_guess_is_near_what_such_models_take() -> None:
    # Llama 3.1 8B in Q4_K_M at 8192 tokens: 4.9 GB of weights, 1.07 GB of keys and values.
    fit = estimate(guess(4_920_000_000, 8_030_000_000), Wish(8192, 8192), BIG_CPU)
    assert fit.weights == pytest.approx(4.92e9, rel=0.01)
    assert fit.cache == pytest.approx(1.07e9, rel=0.15)
    unnamed = estimate(guess(4_920_000_000, 0), Wish(8192, 8192), BIG_CPU)
    assert unnamed.cache == fit.cache
