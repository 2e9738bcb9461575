"""How often a transfer speaks, and when it gives up waiting."""

from __future__ import annotations

import threading
import time
from email.utils import formatdate

import msgspec
import pytest

from dmr_tui.errors import StoppedError
from dmr_tui.store.transfer import progress
from dmr_tui.store.transfer.meter import Meter
from dmr_tui.store.transfer.progress import LayerProgress, Reporter, TransferProgress
from dmr_tui.store.transfer.retry import Persistence, TransientError

MIB = 1 << 20


class Clock:
    """A monotonic clock that a test moves."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_lines_come_with_each_mebibyte_and_each_tenth_of_a_second(clock: Clock) -> None:
    lines: list[TransferProgress] = []
    tell = Reporter(lines.append, "pull", 10 * MIB).layer("sha256:a", 10 * MIB)
    for current in (0, 1000, MIB - 1, MIB, MIB + 5):
        tell(current)
    clock.now += 0.125
    tell(MIB + 6)
    tell(MIB + 7)
    tell(3)
    tell(10 * MIB)
    assert [line.layer.current for line in lines] == [0, MIB, MIB + 6, 3, 10 * MIB]


def test_a_line_is_that_of_docker_model_runner() -> None:
    lines: list[TransferProgress] = []
    Reporter(lines.append, "push", 7).layer("sha256:a", MIB)(MIB)
    assert lines == [
        TransferProgress(
            "progress", "Uploaded: 1.00 MB", 7, LayerProgress("sha256:a", MIB, MIB), "push"
        )
    ]
    assert msgspec.json.encode(lines[0]) == (
        b'{"type":"progress","message":"Uploaded: 1.00 MB","total":7,'
        b'"layer":{"id":"sha256:a","size":1048576,"current":1048576},"mode":"push"}'
    )


def test_waits_grow_and_end() -> None:
    told: list[str] = []
    attempts = Persistence(threading.Event(), told.append, attempts=3, first=0.001).begin()
    error = TransientError("broken")
    attempts.failed(error)
    attempts.failed(error)
    with pytest.raises(TransientError):
        attempts.failed(error)
    assert told == ["broken; trying again in 0 s"] * 2


def test_progress_gives_new_patience() -> None:
    attempts = Persistence(threading.Event(), attempts=2, first=0.001).begin()
    error = TransientError("broken")
    for _ in range(5):
        attempts.failed(error)
        attempts.progressed()
    attempts.failed(error)
    with pytest.raises(TransientError):
        attempts.failed(error)


def test_a_cancel_ends_a_wait() -> None:
    cancelled = threading.Event()
    attempts = Persistence(cancelled, lambda _: cancelled.set(), first=3600.0, longest=7200).begin()
    with pytest.raises(StoppedError):
        attempts.failed(TransientError("broken"))


@pytest.mark.parametrize(
    ("retry_after", "gives_up"),
    [
        ("61", True),
        ("0", False),
        ("soon", False),
        ("-5", False),
        ("Mon, 01 Jan 0001 00:00:00 -0000", False),
        ("9" * 5000, True),
        (formatdate(time.time() + 3600, usegmt=True), True),
        (formatdate(time.time() - 3600, usegmt=True), False),
    ],
)
def test_retry_after_is_a_number_or_a_date(retry_after: str, gives_up: bool) -> None:
    attempts = Persistence(threading.Event(), first=0.001).begin()
    error = TransientError("busy", retry_after=retry_after)
    if gives_up:
        with pytest.raises(TransientError):
            attempts.failed(error)
    else:
        attempts.failed(error)


def line(digest: str, size: int, current: int, total: int = 1000) -> TransferProgress:
    return TransferProgress("progress", "", total, LayerProgress(digest, size, current))


def test_a_meter_tells_the_speed_of_what_comes_and_not_of_what_was_there() -> None:
    meter = Meter()
    meter.note(line("a", 600, 200), 10.0)
    assert (meter.done, meter.total, meter.speed, meter.seconds_left) == (200, 1000, 0.0, None)
    meter.note(line("a", 600, 400), 12.0)
    assert (meter.speed, meter.seconds_left) == (100.0, 6.0)
    meter.note(line("b", 400, 300), 12.0)
    assert (meter.done, meter.speed, meter.seconds_left) == (700, 100.0, 3.0)
    meter.note(line("b", 400, 400), 14.0)
    assert meter.speed == 75.0


def test_a_meter_forgets_the_past_and_bears_a_new_beginning() -> None:
    meter = Meter()
    for second in range(20):
        meter.note(line("a", 1000, 10 * second), float(second))
    for second in range(20, 40):
        meter.note(line("a", 1000, 190), float(second))
    assert meter.speed == 0.0
    assert meter.seconds_left is None
    meter.note(line("a", 1000, 0), 41.0)
    assert meter.speed == 0.0
    meter.note(TransferProgress("warning", "no layer"), 41.5)
    assert meter.done == 0
