"""What is remembered of a model's speed."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from dmr_tui.engine.request import Delta, Finished, Loading, Started, Usage
from dmr_tui.runner import measured
from dmr_tui.runner.measured import Answered, Keeper, Measured, Measurements, Stopwatch

LONG = Usage(132, 101, 32, prompt_seconds=0.5, generation_seconds=2.0)


def answered(usage: Usage = LONG, first: float = 0.4, load: float = 0.0) -> Answered:
    return Answered(1000.0, usage, first, load)


def test_tokens_that_were_computed_count_and_no_others() -> None:
    known = Measured().after(answered())
    # 100 prompt tokens were new; the first of 101 came with the prompt.
    assert (known.prompt_rate, known.generation_rate) == (200.0, 50.0)
    assert (known.first_token, known.load, known.answers) == (0.4, 0.0, 1)
    assert known.last_used == 1000.0


def test_short_texts_say_nothing_of_speed() -> None:
    first = Measured().after(answered())
    short = Usage(20, 5, 0, prompt_seconds=5.0, generation_seconds=5.0)
    then = first.after(answered(short))
    assert (then.prompt_rate, then.generation_rate) == (200.0, 50.0)
    assert then.answers == 2


def test_newer_answers_count_for_more_but_not_for_all() -> None:
    slow = Usage(132, 101, 32, prompt_seconds=1.0, generation_seconds=4.0)
    then = Measured().after(answered()).after(answered(slow))
    assert then.generation_rate == pytest.approx(50 - 0.3 * 25)


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_the_stopwatch_tells_a_load_from_a_first_token() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    assert watch.note(Loading(0.1)) is None
    clock.seconds = 2.5
    watch.note(Started(prompt_tokens=5))
    clock.seconds = 3.0
    watch.note(Delta("x"))
    answer = watch.note(Finished("stop", LONG))
    assert answer is not None
    assert (answer.load, answer.first_token) == (2.5, 0.0)

    watch = Stopwatch(clock)
    watch.note(Started(prompt_tokens=5))
    clock.seconds = 3.25
    watch.note(Delta("x"))
    clock.seconds = 9.0
    watch.note(Delta("y"))
    answer = watch.note(Finished("stop", LONG))
    assert answer is not None
    assert (answer.load, answer.first_token) == (0.0, 0.25)


def test_two_programs_keep_what_both_have_measured(tmp_path: Path) -> None:
    file = tmp_path / "data" / "measured.json"
    one, two = Measurements(file), Measurements(file)
    one.note("a", answered())
    two.note("b", answered())
    assert set(one.all()) == {"a"}
    one.flush()
    two.flush()
    assert set(one.all()) == set(two.all()) == {"a", "b"}
    two.note("a", answered())
    two.flush()
    assert one.all()["a"].answers == 2


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    file.write_text("{")
    measurements = Measurements(file)
    assert measurements.all() == {}
    measurements.note("a", answered())
    measurements.flush()
    assert Measurements(file).all()["a"].answers == 1


async def test_what_was_noted_last_is_written_at_the_end(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "measured.json")
    keeper.note("a", answered())
    keeper.note("a", answered())
    assert (await keeper.all())["a"].answers == 2
    await keeper.close()
    assert Measurements(tmp_path / "measured.json").all()["a"].answers == 2


async def test_a_folder_that_cannot_be_written_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    keeper = Keeper(tmp_path / "data" / "measured.json")
    keeper.note("a", answered())
    await keeper.close()
    assert await keeper.all() == {}


async def test_what_is_noted_while_others_are_written_is_written_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "_WRITING_SECONDS", 0.0)
    file = tmp_path / "measured.json"
    keeper = Keeper(file)
    flush, writing, going_on = Measurements.flush, threading.Event(), threading.Event()

    def slow(measurements: Measurements) -> None:
        flush(measurements)
        writing.set()
        going_on.wait(10)

    monkeypatch.setattr(Measurements, "flush", slow)
    keeper.note("sha256:a", Answered(1.0, Usage(1, 1)))
    await asyncio.to_thread(writing.wait, 10)
    keeper.note("sha256:b", Answered(2.0, Usage(1, 1)))
    going_on.set()
    async with asyncio.timeout(10):
        while set(Measurements(file).all()) != {"sha256:a", "sha256:b"}:
            await asyncio.sleep(0.01)
    await keeper.close()
