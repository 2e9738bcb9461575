"""What a worker counts, and when it tells."""

from __future__ import annotations

import pytest

from dmr_tui.engine.llamacpp.tally import INTERVAL, Tally


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_totals_and_speeds(clock: Clock) -> None:
    tally = Tally(clock)
    tally.shared(30)
    tally.passed(400, 0, 0.5)
    tally.passed(100, 2, 0.5)
    tally.passed(0, 3, 0.5)
    told = tally.report(busy=2, waiting=1, kv_used=77)
    assert (told.busy, told.waiting, told.kv_used, told.passes) == (2, 1, 77, 3)
    assert (told.prompt_tokens, told.cached_tokens, told.generated_tokens) == (500, 30, 5)
    # The pass with both counts for both.
    assert (told.prompt_seconds, told.generation_seconds) == (1.0, 1.0)
    assert (told.prompt_speed, told.generation_speed) == (500.0, 5.0)


def test_a_speed_is_of_the_last_work_and_stays_while_there_is_none(clock: Clock) -> None:
    tally = Tally(clock)
    tally.passed(500, 0, 1.0)
    tally.report(busy=1, waiting=0, kv_used=0)
    tally.passed(0, 10, 1.0)
    told = tally.report(busy=1, waiting=0, kv_used=0)
    assert (told.prompt_speed, told.generation_speed) == (500.0, 10.0)
    tally.passed(0, 30, 1.0)
    told = tally.report(busy=1, waiting=0, kv_used=0)
    assert (told.prompt_speed, told.generation_speed) == (500.0, 30.0)


def test_too_little_work_changes_no_speed(clock: Clock) -> None:
    tally = Tally(clock)
    tally.passed(0, 10, 1.0)
    tally.report(busy=1, waiting=0, kv_used=0)
    tally.passed(0, 1, 0.001)
    assert tally.report(busy=1, waiting=0, kv_used=0).generation_speed == 10.0


def test_first_tokens_of_the_last_hundred_requests(clock: Clock) -> None:
    tally = Tally(clock)
    assert tally.report(busy=0, waiting=0, kv_used=0).first_token_p50 is None
    for _ in range(50):
        tally.first_token(9.0)
    for number in range(100):
        tally.first_token(number / 100)
    told = tally.report(busy=0, waiting=0, kv_used=0)
    assert (told.first_token_p50, told.first_token_p95) == (0.5, 0.95)


def test_it_is_due_an_interval_after_the_report_before(clock: Clock) -> None:
    tally = Tally(clock)
    assert tally.seconds_left == INTERVAL
    clock.now += 5
    assert tally.seconds_left == 0
    tally.report(busy=0, waiting=0, kv_used=0)
    assert tally.seconds_left == INTERVAL


def test_what_was_told_as_busy_has_to_be_told_as_idle(clock: Clock) -> None:
    tally = Tally(clock)
    assert not tally.untold
    tally.passed(1, 1, 0.1)
    assert tally.untold
    tally.report(busy=1, waiting=0, kv_used=0)
    assert tally.untold
    tally.report(busy=0, waiting=0, kv_used=0)
    assert not tally.untold
