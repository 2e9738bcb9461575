"""Figures over time, and how they are drawn."""

from __future__ import annotations

import pytest

from dmr_tui.engine.profile import RunningModel
from dmr_tui.engine.stats import Stats
from dmr_tui.screens.history import (
    CPU,
    GENERATED,
    KEEP,
    MEMORY,
    NETWORK_IN,
    PROMPTS,
    History,
    Series,
    gpu_load,
    gpu_memory,
)
from dmr_tui.system.gpu import GpuReading
from dmr_tui.system.memory import MemoryReading
from dmr_tui.system.sampler import Reading
from dmr_tui.system.traffic import Traffic
from dmr_tui.widgets.graph import chart, round_up, spark


def series(*samples: tuple[float, float]) -> Series:
    made = Series()
    for at, value in samples:
        made.note(at, value)
    return made


def test_a_column_is_the_mean_of_its_span() -> None:
    some = series((0.5, 10), (1.0, 2), (1.5, 4), (3.5, 8))
    assert some.columns(3.9, 4, 4) == [10, 3, None, 8]
    assert some.columns(3.9, 4, 2) == [16 / 3, 8]


def test_columns_stand_still_while_time_goes_on() -> None:
    some = series(*((second + 0.3, float(second)) for second in range(20)))
    assert some.columns(19.0, 10, 5) == some.columns(19.9, 10, 5)
    assert some.columns(20.0, 10, 5)[:-1] == some.columns(19.9, 10, 5)[1:]


def test_a_value_holds_for_a_while_and_then_is_not_known() -> None:
    some = series((0.5, 7), (5.5, 9))
    assert some.columns(5.9, 6, 6, hold=2.0) == [7, 7, 7, None, None, 9]
    # Also one from before the window.
    assert some.columns(8.9, 3, 3, hold=3.0) == [9, 9, 9]
    assert some.columns(8.9, 3, 3, hold=0.1) == [None, None, None]


def test_old_values_are_forgotten() -> None:
    some = series((0, 1), (KEEP, 2), (KEEP + 1, 3))
    assert some.since(0) == [2, 3]
    assert some.latest == 3
    assert Series().latest == 0.0


def test_a_reading_is_noted_by_its_parts() -> None:
    history = History()
    gpu = GpuReading("card", 24, 6, None)
    reading = Reading(22.0, MemoryReading(100, 60), (gpu,), network=Traffic(5.0, 6.0))
    history.note(1.0, reading)
    assert (history[CPU].latest, history[MEMORY].latest) == (22.0, 0.4)
    assert history[NETWORK_IN].latest == 5.0
    assert history[gpu_memory(0)].latest == 0.25
    assert history[gpu_load(0)].since(0) == []


def running(stats: Stats | None, *, progress: float | None = None, pid: int = 1) -> RunningModel:
    return RunningModel(
        id="a", name="a", backend="llama.cpp", mode="completion", state="ready", in_use=0,
        keep_alive=1, last_used=None, context_size=1, memory=1, gpu_layers=0, pid=pid,
        progress=progress, stats=stats,
    )  # fmt: skip


def test_tokens_per_second_are_those_of_who_works() -> None:
    history = History()
    told = [
        Stats(busy=1, generated_tokens=100, prompt_tokens=50, generation_speed=20, prompt_speed=9),
        # More of both.
        Stats(busy=1, generated_tokens=120, prompt_tokens=60, generation_speed=20, prompt_speed=9),
    ]
    # Nothing new, but it works; then it has ended with some more; then it rests.
    told += [told[-1]]
    told += [Stats(generated_tokens=125, prompt_tokens=60, generation_speed=18, prompt_speed=9)]
    told += [told[-1]]
    for at, stats in enumerate(told):
        history.note_running(float(at), [running(stats)])
    assert history[GENERATED].since(0) == [0, 20, 20, 18, 0]
    assert history[PROMPTS].since(0) == [0, 9, 0, 0, 0]


def test_a_new_worker_of_a_model_counts_anew() -> None:
    history = History()
    history.note_running(0.0, [running(Stats(generated_tokens=100, generation_speed=5))])
    history.note_running(1.0, [running(Stats(generated_tokens=300, generation_speed=5), pid=2)])
    assert history[GENERATED].since(0) == [0, 0]


def test_how_long_a_load_will_take() -> None:
    history = History()
    early, late = running(None, progress=0.1), running(None, progress=0.3)
    history.note_running(10.0, [early])
    assert history.load_seconds_left(10.0, early) is None
    history.note_running(14.0, [late])
    assert history.load_seconds_left(14.0, late) == pytest.approx(14.0)
    history.note_running(15.0, [])
    assert history.load_seconds_left(15.0, late) is None


def test_one_row_of_blocks() -> None:
    assert spark([None, 0, 1, 4, 8, 99, -3], 8).plain == " ▁▁▄██▁"
    assert spark([1.0], 0).plain == " "


def test_a_chart_is_scaled_to_what_it_shows() -> None:
    rows, top = chart([None, 0, 10, 30, 50], 2)
    assert top == 50
    assert [row.plain for row in rows] == ["   ▂█", " ▁▃██"]
    assert chart([], 1)[1] == 1


@pytest.mark.parametrize(
    ("value", "edge"), [(0, 1), (1, 1), (1.1, 1.5), (46.2, 50), (52, 60), (0.25, 0.3), (1840, 2000)]
)
def test_edges_are_easy_to_read(value: float, edge: float) -> None:
    assert round_up(value) == pytest.approx(edge)
