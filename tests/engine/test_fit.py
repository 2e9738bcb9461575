"""What people are told of a load that has not happened."""

from __future__ import annotations

from dataclasses import replace

from dmr_tui.engine.fit import Fit, estimate, room_for
from dmr_tui.engine.plan import RESERVE, Memory, Wish, host_need, make_plan
from tests.engine.test_plan import ASKED, GIB, LLAMA_8B, PLENTY, UNASKED


def test_the_parts_add_up_and_the_largest_context_is_told() -> None:
    fit = estimate(LLAMA_8B, ASKED, PLENTY)
    assert fit.fits
    assert (fit.context, fit.layers, fit.gpu_layers, fit.missing) == (8192, 33, 0, 0)
    assert fit.weights + fit.cache + fit.compute + fit.overhead == fit.total == fit.host
    assert fit.cache == GIB
    assert fit.largest_context == LLAMA_8B.trained_context


def test_one_byte_too_little_is_missing_and_the_largest_context_is_smaller() -> None:
    need = host_need(LLAMA_8B, ASKED, 8192, 0).total
    fit = estimate(LLAMA_8B, ASKED, Memory(need - 1, PLENTY.total))
    assert (fit.fits, fit.missing, fit.host_free) == (False, 1, need - 1)
    assert fit.largest_context == 8192 - 256
    hopeless = estimate(LLAMA_8B, ASKED, Memory(GIB, PLENTY.total))
    assert hopeless.largest_context == 0


def test_a_default_context_is_told_as_it_would_be_loaded() -> None:
    free = host_need(LLAMA_8B, UNASKED, 6144, 0).total
    fit = estimate(LLAMA_8B, UNASKED, Memory(free, PLENTY.total))
    assert (fit.fits, fit.context, fit.largest_context) == (True, 6144, 6144)


def test_a_gpu_that_is_too_small_for_all_takes_some_layers() -> None:
    fit = estimate(LLAMA_8B, ASKED, replace(PLENTY, device=4 * GIB))
    assert fit.fits
    assert 0 < fit.gpu_layers < fit.layers
    assert fit.device <= 4 * GIB < fit.device + 200 * 1024**2
    assert fit.total == fit.host + fit.device


def test_idle_models_give_their_memory_back_and_mapped_weights_are_not_free() -> None:
    loaded = make_plan(LLAMA_8B, Wish(8192, 8192), replace(PLENTY, device=2 * GIB))
    memory = Memory(free=20 * GIB, total=32 * GIB, device=GIB)
    left = room_for(memory, [], [loaded])
    assert left.free == 20 * GIB + loaded.host.anonymous - RESERVE
    assert left.device == GIB + loaded.device.total
    stays = room_for(memory, [loaded], [])
    assert stays.free == 20 * GIB - loaded.host.weights - RESERVE
    assert stays.device == GIB


def test_something_is_missing_of_every_model_that_does_not_fit() -> None:
    fit = Fit(8192, False, 33, 0, 1, 1, 1, 1, 4, 0, 4, 0, 0, 8192)
    assert fit.missing == 1
