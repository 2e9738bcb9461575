"""Lanes that hang or crawl while others get on."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from threading import Event

import pytest

from dmr_tui.store.transfer import pace
from dmr_tui.store.transfer.pace import Lane, Watch, latest
from dmr_tui.store.transfer.pieces import CELL, PieceMap, Run
from tests.store.transfer.conftest import Transfers
from tests.support.stand_in import Request, StandIn, digest_of, pause

WEIGHTS = random.Random(9).randbytes(12 * CELL)
DIGEST = digest_of(WEIGHTS)
BLOB = f"GET .*/blobs/{DIGEST}"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("dmr_tui.store.transfer.pace.time.monotonic", clock)
    return clock


def lanes(count: int) -> list[Lane]:
    return [Lane(Run(0, 1 << 30, alone=False)) for _ in range(count)]


def seen(watch: Watch, clock: Clock, work: list[tuple[Lane, int]], seconds: int) -> set[Lane]:
    """Let lanes bring so many bytes a second each, and tell which of them were found too slow."""
    found: set[Lane] = set()
    for _ in range(seconds):
        clock.now += 1
        for lane, speed in work:
            if speed:
                lane.bring(speed)
        found |= set(watch.laggards([lane for lane, _ in work], sum(x.brought for x, _ in work)))
    return found


@pytest.mark.parametrize(
    ("speeds", "slow"),
    [
        ([100, 100, 100, 100], []),
        ([100, 90, 0], [2]),
        ([100, 0], [1]),
        ([1000, 1000, 900, 100], [3]),
        ([1000, 1000, 900, 200], []),
        ([100, 0, 0, 0], [1, 2, 3]),
        ([5, 6, 7], []),
    ],
)
def test_who_is_slow_is_told_by_the_others(
    clock: Clock, speeds: list[int], slow: list[int]
) -> None:
    watch, work = Watch(clock), lanes(len(speeds))
    found = seen(watch, clock, list(zip(work, speeds, strict=True)), 12)
    assert found == {work[number] for number in slow}


def test_when_all_stand_still_one_is_tried(clock: Clock) -> None:
    watch, work = Watch(clock), lanes(3)
    assert len(seen(watch, clock, [(lane, 0) for lane in work], 6)) == 1


def test_the_last_lane_is_compared_with_those_that_are_done(clock: Clock) -> None:
    watch, (lane,) = Watch(clock), lanes(1)
    assert seen(watch, clock, [(lane, 10)], 12) == set()
    watch.finished.extend([900.0, 1000.0])
    assert seen(watch, clock, [(lane, 10)], 12) == {lane}


def test_one_that_is_begun_anew_gets_more_time_each_time(clock: Clock) -> None:
    watch, (good, bad) = Watch(clock), lanes(2)
    moments = []
    for second in range(60):
        if seen(watch, clock, [(good, 100), (bad, 0)], 1):
            moments.append(second)
            bad.restart()
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert len(gaps) >= 2
    assert gaps[1] >= 1.8 * gaps[0]


def test_who_holds_others_up_is_the_one_that_needs_longest() -> None:
    quick, slow = lanes(2)
    for lane, brought in ((quick, 1 << 30), (slow, 1 << 20)):
        lane.brought, lane.begun = brought, 0.0
    assert latest([quick, slow], now=1.0) is slow
    assert latest([quick], now=10.0) is None or quick.seconds_left(10.0) > 1
    assert latest([], now=10.0) is None


def test_half_of_a_run_goes_to_another_lane() -> None:
    counters = PieceMap(9 * CELL)
    run = counters.claim(1)
    assert run is not None
    stop = run.stop
    run.position = run.start + 100
    half = counters.split(run)
    assert half is not None
    assert half.start % CELL == 0
    assert (run.stop, half.stop) == (half.start, stop)
    assert abs(run.left - half.left) <= 2 * CELL
    run.position = run.stop - CELL
    assert counters.split(run) is None


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_PATIENCE", 0.6)
    monkeypatch.setattr(pace, "_LOOK", 0.1)


@pytest.fixture
def go_on() -> Iterator[Event]:
    """Ends the answers that hang."""
    event = Event()
    yield event
    event.set()


@pytest.mark.usefixtures("impatient")
def test_a_lane_that_hangs_is_replaced(server: StandIn, transfers: Transfers, go_on: Event) -> None:
    server.model(WEIGHTS)
    server.fault(BLOB, *[pause(server, 1 << 20, go_on)] * 3)
    transfers.pull(server.name)
    assert not go_on.is_set()
    assert transfers.store.blobs.path(DIGEST).read_bytes() == WEIGHTS
    assert transfers.warnings == []
    starts = [request.start for request in server.asked(BLOB)]
    assert {start + (1 << 20) for start in starts[:3]} <= set(starts)


@pytest.mark.usefixtures("impatient")
def test_a_lane_that_never_answers_is_replaced(
    server: StandIn, transfers: Transfers, go_on: Event
) -> None:
    server.model(WEIGHTS)

    def silent(request: Request) -> None:
        if request.start == 0:
            server.obey(request)
        else:
            go_on.wait(30)
            request.hang_up()

    server.fault(BLOB, *[silent] * 3)
    transfers.pull(server.name)
    assert not go_on.is_set()
    assert transfers.store.blobs.path(DIGEST).read_bytes() == WEIGHTS


def test_idle_lanes_help_the_last_one(server: StandIn, transfers: Transfers, go_on: Event) -> None:
    """One lane crawls; the others take half of what it has left, again and again."""
    server.model(WEIGHTS)

    def crawl(request: Request) -> None:
        part = request.begin(WEIGHTS)
        for at in range(0, len(part), 16 << 10):
            request.write(part[at : at + (16 << 10)])
            if go_on.wait(0.02):
                return

    server.fault(f"{BLOB}", crawl)
    transfers.pull(server.name)
    assert transfers.store.blobs.path(DIGEST).read_bytes() == WEIGHTS
    first = server.asked(BLOB)[0]
    assert first.sent < CELL * 3 // 2
