"""The arithmetic of memory, without a model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmr_tui.engine.plan import (
    CELLS,
    LayerShape,
    Memory,
    ModelShape,
    Outcome,
    Wish,
    device_need,
    host_need,
    make_plan,
)

MIB = 1024**2
GIB = 1024**3

LLAMA_8B = ModelShape(
    layers=(LayerShape(weights=130 * MIB, key_width=1024, value_width=1024),) * 32,
    embedding=4096,
    feed_forward=14336,
    vocabulary=128256,
    trained_context=131072,
    input_weights=280 * MIB,
    output_weights=410 * MIB,
)
PLENTY = Memory(free=64 * GIB, total=64 * GIB)
UNASKED = Wish(context=8192, smallest=4096)
ASKED = Wish(context=8192, smallest=8192)


def test_each_part_of_an_8b_model() -> None:
    need = host_need(LLAMA_8B, ASKED, 8192, 0)
    assert need.weights == (32 * 130 + 280 + 410) * MIB
    # Two numbers of two bytes for each of 32 layers of 1024: the known 1 GiB for 8192 tokens.
    assert need.cache == GIB
    assert need.total == need.weights + need.cache + need.compute + need.overhead
    assert need.anonymous == need.total - need.weights


def test_what_fits_is_taken_whole() -> None:
    verdict = make_plan(LLAMA_8B, ASKED, PLENTY)
    assert (verdict.outcome, verdict.context, verdict.gpu_layers) == (Outcome.FITS, 8192, 0)
    assert verdict.memory is PLENTY


def test_one_byte_decides() -> None:
    need = host_need(LLAMA_8B, ASKED, 8192, 0).total
    assert make_plan(LLAMA_8B, ASKED, Memory(need, PLENTY.total)).fits
    assert not make_plan(LLAMA_8B, ASKED, Memory(need - 1, PLENTY.total)).fits


def test_a_context_nobody_asked_for_shrinks_to_what_fits() -> None:
    free = host_need(LLAMA_8B, UNASKED, 6144, 0).total
    verdict = make_plan(LLAMA_8B, UNASKED, Memory(free, PLENTY.total))
    assert (verdict.outcome, verdict.context) == (Outcome.SMALLER_CONTEXT, 6144)
    assert verdict.host.total == free


def test_a_context_that_was_asked_for_does_not_shrink() -> None:
    free = host_need(LLAMA_8B, ASKED, 6144, 0).total
    verdict = make_plan(LLAMA_8B, ASKED, Memory(free, PLENTY.total))
    assert (verdict.outcome, verdict.context) == (Outcome.TOO_LARGE, 8192)


def test_nothing_shrinks_below_what_is_of_use() -> None:
    free = host_need(LLAMA_8B, UNASKED, 4096, 0).total - 1
    verdict = make_plan(LLAMA_8B, UNASKED, Memory(free, PLENTY.total))
    assert (verdict.outcome, verdict.context) == (Outcome.TOO_LARGE, 4096)


def test_a_gpu_with_room_takes_every_layer() -> None:
    verdict = make_plan(LLAMA_8B, ASKED, replace(PLENTY, device=24 * GIB))
    assert (verdict.outcome, verdict.gpu_layers) == (Outcome.FITS, 33)
    assert verdict.device.weights == (32 * 130 + 410) * MIB
    assert verdict.host.weights == 280 * MIB
    assert verdict.host.cache == 0


def test_a_small_gpu_takes_as_many_layers_as_fit() -> None:
    room = device_need(LLAMA_8B, ASKED, 8192, 17).total
    verdict = make_plan(LLAMA_8B, ASKED, replace(PLENTY, device=room))
    assert (verdict.outcome, verdict.gpu_layers) == (Outcome.FEWER_GPU_LAYERS, 17)
    # Every layer is in one place, and nothing is in none.
    assert verdict.host.weights + verdict.device.weights == (32 * 130 + 280 + 410) * MIB
    assert verdict.host.cache + verdict.device.cache == GIB


def test_layers_that_somebody_counted_are_not_moved() -> None:
    room = device_need(LLAMA_8B, ASKED, 8192, 17).total
    memory = replace(PLENTY, device=room)
    assert make_plan(LLAMA_8B, replace(ASKED, gpu_layers=5), memory).gpu_layers == 5
    verdict = make_plan(LLAMA_8B, replace(ASKED, gpu_layers=20), memory)
    assert (verdict.outcome, verdict.gpu_layers) == (Outcome.TOO_LARGE, 20)


def test_without_a_gpu_there_are_no_gpu_layers() -> None:
    assert make_plan(LLAMA_8B, replace(ASKED, gpu_layers=20), PLENTY).gpu_layers == 0


def test_an_output_that_is_the_input_is_there_twice() -> None:
    tied = replace(LLAMA_8B, output_weights=0)
    assert device_need(tied, ASKED, 8192, 1).weights == LLAMA_8B.input_weights


def test_a_window_saves_what_lies_behind_it() -> None:
    windowed = LayerShape(weights=0, key_width=1024, value_width=1024, window=1024)
    shape = replace(LLAMA_8B, layers=(windowed, LLAMA_8B.layers[0]) * 16)
    wish = replace(ASKED, sequences=1)
    assert host_need(shape, wish, 8192, 0).cache == GIB
    # 1024 tokens and a batch of 512, instead of 8192, in half of the layers.
    saving = replace(wish, whole_window=False)
    assert host_need(shape, saving, 8192, 0).cache == GIB / 2 + GIB / 2 * 1536 / 8192


def test_recurrent_state_does_not_grow_with_the_context() -> None:
    layer = LayerShape(weights=0, key_width=0, value_width=0, state=MIB)
    shape = replace(LLAMA_8B, layers=(layer,) * 4)
    for context in (256, 65536):
        assert host_need(shape, ASKED, context, 0).cache == 4 * 16 * MIB


@pytest.mark.parametrize(("kind", "share"), [("f32", 2.0), ("q8_0", 34 / 64), ("q4_0", 18 / 64)])
def test_a_quantized_cache_is_smaller(kind: str, share: float) -> None:
    wish = replace(ASKED, cache_type=kind)
    assert host_need(LLAMA_8B, wish, 8192, 0).cache == GIB * share


def test_two_thousand_million_tokens_are_absurd() -> None:
    wish = Wish(context=2_000_000_000, smallest=2_000_000_000)
    verdict = make_plan(LLAMA_8B, wish, PLENTY)
    assert verdict.absurd
    assert not verdict.fits
    assert not make_plan(LLAMA_8B, ASKED, replace(PLENTY, free=0)).absurd


@given(
    context=st.integers(1, 200_000),
    smallest=st.integers(1, 200_000),
    free=st.integers(0, 40 * GIB),
    device=st.integers(0, 40 * GIB),
    layers=st.integers(-1, 50),
)
def test_a_plan_keeps_its_word(
    context: int, smallest: int, free: int, device: int, layers: int
) -> None:
    wish = Wish(context, min(smallest, context), layers)
    memory = Memory(free, 64 * GIB, device)
    verdict = make_plan(LLAMA_8B, wish, memory)
    assert verdict.host == host_need(LLAMA_8B, wish, verdict.context, verdict.gpu_layers)
    assert verdict.device == device_need(LLAMA_8B, wish, verdict.context, verdict.gpu_layers)
    within = verdict.host.total <= free and verdict.device.total <= device
    assert verdict.fits == within
    if verdict.outcome is Outcome.SMALLER_CONTEXT:
        assert wish.smallest <= verdict.context < context
        larger = host_need(LLAMA_8B, wish, verdict.context + CELLS, verdict.gpu_layers)
        room = device_need(LLAMA_8B, wish, verdict.context + CELLS, verdict.gpu_layers)
        assert larger.total > free or room.total > device or verdict.context + CELLS >= context
