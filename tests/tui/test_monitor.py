"""Monitor: what it shows, and every key of it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from dmr_tui.actions import actions
from dmr_tui.app import DmrApp
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.stats import Stats
from dmr_tui.errors import ConflictError
from dmr_tui.runner.activity.records import RequestRecord
from dmr_tui.screens.logs.screen import LogsScreen
from dmr_tui.screens.monitor.clients import clients
from dmr_tui.screens.monitor.screen import INTERVALS, WINDOWS, MonitorScreen
from dmr_tui.screens.monitor.throughput import totals
from dmr_tui.widgets.keybar import KeyBar
from tests.tui.conftest import LARGE, SMALL, gone, row_with, screen_text, see, until
from tests.tui.scenes.monitor import ask
from tests.tui.stage import NOW, SEVEN, StageClock, StageMeter, StageRunner, stage

QWEN, NOMIC = SEVEN[:2]


def monitor(pilot: Pilot[None]) -> MonitorScreen:
    screen: Screen[object] = pilot.app.screen
    assert isinstance(screen, MonitorScreen)
    return screen


async def opened(pilot: Pilot[None]) -> MonitorScreen:
    """The screen, having looked around once."""
    await see(pilot, "nomic-embed-text")
    await pilot.press("4")
    await see(pilot, "[4 Monitor]", "Models in memory")
    await look(pilot)
    return monitor(pilot)


async def look(pilot: Pilot[None]) -> None:
    monitor(pilot).sample()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def test_what_a_model_does(runner: StageRunner, tmp_path: Path) -> None:
    runner.run(
        QWEN, in_use=1, memory=900_000_000, layers=36, gpu_layers=37, slots=16,
        planned=6_800_000_000,
        stats=Stats(busy=3, waiting=2, kv_used=2540, prompt_speed=1840, generation_speed=46.21,
                    first_token_p50=0.31, first_token_p95=0.48),
    )  # fmt: skip
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await opened(pilot)
        cells = row_with(pilot.app, "▸ ● qwen3:8b").replace("▕", " ").replace("▏", " ").split()
        shown = [cell for cell in cells if not set(cell) & set("│█▉▊▋▌▍▎")]
        # Its memory is that of the process and that on the GPU.
        assert shown[2:] == [
            "qwen3:8b", "36/36", "6.9G", "31%", "3/16", "2", "1", "840", "46.2", "0.31", "s",
            "0.48", "s", "in", "use",
        ]  # fmt: skip
        await see(pilot, "plan and reality  qwen3:8b 6.8G → 6.9G (+1%)")
        await see(pilot, "qwen3:8b 6G ▏ others 5.2G", "61 °C · 212/450 W", "load 3.1")


async def test_an_idle_model_counts_down_and_a_pinned_one_stays(
    runner: StageRunner, tmp_path: Path
) -> None:
    clock = StageClock()
    runner.run(NOMIC, keep_alive=-1.0)
    async with stage(runner, tmp_path, clock=clock).run_test(size=SMALL) as pilot:
        await opened(pilot)
        assert "2:50" in row_with(pilot.app, "● qwen3")
        assert "pinned" in row_with(pilot.app, "● nomic")
        clock.seconds = 100
        await look(pilot)
        assert "1:10" in row_with(pilot.app, "● qwen3")


async def test_pin_and_unpin(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, float | None]] = []

    async def load(model: str, *, profile: Profile | None = None) -> None:
        assert profile is not None
        asked.append((model, profile.keep_alive))
        runner.run(QWEN, keep_alive=profile.keep_alive or 0.0)

    monkeypatch.setattr(runner, "load", load)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await opened(pilot)
        await see(pilot, "P Pin")
        await pilot.press("P")
        await see(pilot, "qwen3:8b stays in memory", "pinned", "P Unpin")
        await pilot.press("P")
        await see(pilot, "leaves 5 min after its last answer", "P Pin")
        assert asked == [("docker.io/ai/qwen3:8b", -1.0), ("docker.io/ai/qwen3:8b", 300.0)]


async def test_unload(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await opened(pilot)
        await pilot.press("l")
        await see(pilot, "qwen3:8b is unloaded.", "No model is in memory")
        assert ("unload", ["docker.io/ai/qwen3:8b"]) in runner.calls
        assert "l Unload" not in screen_text(pilot.app)


async def test_a_load_is_called_off(runner: StageRunner, tmp_path: Path) -> None:
    runner.run(NOMIC, state="loading", progress=0.3)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await opened(pilot)
        await pilot.press("g")
        await see(pilot, "▸ ◐ nomic-embed-text", "x Stop")
        await pilot.press("x")
        await see(pilot, "nomic-embed-text is unloaded.")
        assert ("unload", ["docker.io/ai/nomic-embed-text:latest"]) in runner.calls
        await gone(pilot, "x Stop")


async def test_settings_of_the_selected_model(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await opened(pilot)
        await see(pilot, "e Settings")
        await pilot.press("e")
        await see(pilot, "Settings of qwen3:8b")
        await pilot.press(*"4096", "enter")
        await see(pilot, "The settings of qwen3:8b hold from its next load on.")
        assert runner.profiles[QWEN.id].context_size == 4096


async def test_an_event_with_a_remedy_is_mended_from_here(
    runner: StageRunner, tmp_path: Path
) -> None:
    ask(runner.journal, "python-openai 2.8", 9214, 0, 400)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await opened(pilot)
        pilot.app.screen.query_one("#monitor-events").focus()
        await see(pilot, "e Load it again")
        await pilot.press("e")
        await see(pilot, "qwen3:8b is loaded.  ⏎ shows the request.")


async def test_the_speed_is_measured_and_that_can_be_stopped(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = asyncio.Event()

    async def endless(*args: object, **options: object) -> None:
        started.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("dmr_tui.screens.models.benchmark.measure_speeds", endless)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await opened(pilot)
        await pilot.press("b")
        await started.wait()
        await see(pilot, "Measuring qwen3:8b, x stops it", "x Stop")
        await pilot.press("x")
        await see(pilot, "The measurement of qwen3:8b was stopped.")


async def test_zoom_shows_one_table_alone(runner: StageRunner, tmp_path: Path) -> None:
    runner.journal.tell("load", "ai/qwen3:8b", "loaded in 2.4 s")
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await opened(pilot)
        await see(pilot, "loaded in 2.4 s", "cpu")
        await pilot.press("z")
        await gone(pilot, "loaded in 2.4 s")
        await see(pilot, "● qwen3:8b", "esc All panes")
        await pilot.press("escape")
        await see(pilot, "loaded in 2.4 s")
        pilot.app.screen.query_one("#monitor-events").focus()
        await pilot.press("z")
        await gone(pilot, "Models in memory")
        await see(pilot, "loaded in 2.4 s")


async def test_sort_by_memory_and_by_speed_at_once(runner: StageRunner, tmp_path: Path) -> None:
    runner.run(NOMIC, memory=8_000_000_000)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        await pilot.press("m")
        await see(pilot, "MEM ↓", "Sorted by memory")
        await pilot.press("t")
        await see(pilot, "Sorted by tokens per second")
        assert screen.workspace.memory.order("monitor", "name") == ("generated", False)


async def test_what_cannot_be_unloaded_says_why(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(models: object) -> int:
        raise ConflictError("qwen3:8b is in use", "try again when it is idle")

    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await opened(pilot)
        monkeypatch.setattr(runner, "unload", refuse)
        await pilot.press("l")
        await see(pilot, "qwen3:8b is in use  try again when it is idle")


async def test_the_requests_of_a_row_are_shown_in_the_logs(
    runner: StageRunner, tmp_path: Path
) -> None:
    runner.now = NOW - 5
    ask(runner.journal, "curl 8.5", 100, 0, 400)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        app = pilot.app
        assert isinstance(app, DmrApp)
        await opened(pilot)
        await see(pilot, "curl 8.5")
        (record,) = app.workspace.feed.requests.values()
        for table, expression in (
            ("#monitor-models", 'model:"qwen3:8b"'),
            ("#monitor-clients", 'client:"curl 8.5"'),
            ("#monitor-events", f"id:{record.id}"),
        ):
            monitor(pilot).query_one(table).focus()
            await pilot.pause()
            await pilot.press("enter")
            await see(pilot, "[5 Logs]")
            logs = app.screen
            assert isinstance(logs, LogsScreen)
            assert logs.expression == expression
            await pilot.press("4")
            await see(pilot, "[4 Monitor]")


async def test_the_rate_and_the_window(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        await see(pilot, "1 s ‹60 s›")
        await pilot.press("greater_than_sign")
        await see(pilot, "2 s ‹60 s›", "Looking every 2 s.")
        assert [timer._interval for timer in screen._clockwork] == [2.0]
        for _ in INTERVALS:
            await pilot.press("less_than_sign")
        await see(pilot, "0.5 s ‹60 s›", "as far as it goes")
        await pilot.press("right_curly_bracket")
        await see(pilot, "‹5 min›", "−5 min")
        for _ in WINDOWS:
            await pilot.press("left_curly_bracket")
        await see(pilot, "‹30 s›", "that is as far as it goes")


async def test_a_frozen_screen_keeps_what_it_shows(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await opened(pilot)
        await pilot.press("space")
        await see(pilot, "frozen ‹60 s›", "space Go on")
        runner.run(NOMIC)
        await look(pilot)
        assert "nomic-embed-text" not in screen_text(pilot.app)
        await pilot.press("space")
        await see(pilot, "nomic-embed-text", "1 s ‹60 s›")


async def test_warnings_only(runner: StageRunner, tmp_path: Path) -> None:
    runner.journal.tell("load", "ai/qwen3:8b", "loaded in 2.4 s")
    runner.journal.tell("crash", "ai/qwen3:8b", "killed (signal 9)", level="error", hint="memory?")
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await opened(pilot)
        await see(pilot, "loaded in 2.4 s", "killed (signal 9)  memory?")
        await pilot.press("w")
        await until(pilot, lambda: "loaded in 2.4 s" not in screen_text(pilot.app))
        await see(pilot, "Events  warnings only", "killed (signal 9)", "w All events")
        await pilot.press("w")
        await see(pilot, "loaded in 2.4 s")


async def test_sort_and_reverse_are_remembered(runner: StageRunner, tmp_path: Path) -> None:
    runner.run(NOMIC, memory=8_000_000_000)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        screen = await opened(pilot)

        def names() -> list[str]:
            text = screen_text(pilot.app)
            return sorted(["● qwen3:8b", "● nomic"], key=lambda name: text.rindex(name))

        assert names()[0] == "● nomic"
        await pilot.press("S")
        await until(pilot, lambda: names()[0] == "● qwen3:8b")
        await see(pilot, "MODEL ↑")
        await pilot.press("s")
        await see(pilot, "MEM ↓")
        assert screen.workspace.memory.order("monitor", "name") == ("memory", False)


async def test_a_load_tells_how_far_it_is(runner: StageRunner, tmp_path: Path) -> None:
    clock = StageClock()
    async with stage(runner, tmp_path, clock=clock).run_test(size=LARGE) as pilot:
        await opened(pilot)
        for progress in (0.1, 0.3):
            clock.seconds += 4
            runner.run(NOMIC, state="loading", progress=progress, planned=10_000_000_000)
            await look(pilot)
        await see(pilot, "loading", "30%  3/10G  ~14 s left")
        runner.run(NOMIC, state="unloading")
        await look(pilot)
        await see(pilot, "unloading …")


async def test_it_rests_while_another_screen_is_shown(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        timers = screen._clockwork
        assert all(timer._active.is_set() for timer in timers)
        await pilot.press("1")
        await see(pilot, "[1 Models]")
        assert not any(timer._active.is_set() for timer in timers)
        await pilot.press("4")
        await see(pilot, "[4 Monitor]")
        assert all(timer._active.is_set() for timer in timers)


async def test_the_machine_is_never_read_on_the_loop(runner: StageRunner, tmp_path: Path) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await opened(pilot)
        meter = app.workspace._meter
        assert isinstance(meter, StageMeter)
        assert meter.threads
        assert threading.main_thread().name not in meter.threads


async def test_every_key_does_something(runner: StageRunner, tmp_path: Path) -> None:
    """Whatever the line of keys offers changes what is seen or asked."""
    runner.run(NOMIC)
    runner.journal.tell("load", "ai/qwen3:8b", "loaded in 2.4 s")
    for action in actions("monitor"):
        async with stage(runner, tmp_path / action.name).run_test(size=LARGE) as pilot:
            screen = await opened(pilot)
            if screen.hint(action) is None:
                continue
            before, calls = screen_text(pilot.app), len(runner.calls)
            await pilot.press(*action.keys[:1])
            await until(
                pilot,
                lambda: screen_text(pilot.app) != before or len(runner.calls) > calls,  # noqa: B023
            )
        runner.run(QWEN)
        runner.run(NOMIC)


def record(number: int, client: str, age: float, **facts: object) -> RequestRecord:
    usual: dict[str, object] = {"status": 200, "seconds": 0.0, "completion_tokens": 10}
    return RequestRecord(id=str(number), time=NOW - age, client=client, **{**usual, **facts})  # type: ignore[arg-type]  # facts are its fields


def test_clients_are_those_of_the_last_minutes() -> None:
    rows = clients(
        [
            record(1, "old", 400),
            record(2, "slow", 400, seconds=200.0, completion_tokens=7),
            record(3, "curl", 60, status=404, completion_tokens=None),
            record(4, "curl", 30, status=499),
            record(5, "", 20),
            record(6, "busy", 900, status=0, seconds=None),
        ],
        NOW,
    )
    assert [(row.name, row.requests, row.tokens, row.errors, row.age) for row in rows] == [
        ("busy", 1, 10, 0, 0.0),
        ("unnamed", 1, 10, 0, 20.0),
        ("curl", 2, 10, 1, 30.0),
        ("slow", 1, 7, 0, 200.0),
    ]


def test_totals_of_today() -> None:
    told = [record(1, "a", 100, prompt_tokens=5), record(2, "a", 10, prompt_tokens=7)]
    assert totals(told, NOW - 50) == (7, 10)
    assert totals([], NOW) == (0, 0)


@pytest.mark.parametrize("size", [(80, 20), (80, 12), (120, 15), (30, 8)])
async def test_a_low_screen_keeps_its_keys_and_scrolls_the_panes(
    runner: StageRunner, tmp_path: Path, size: tuple[int, int]
) -> None:
    runner.journal.tell("load", "docker.io/ai/qwen3:8b", "asked for by zed")
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("4")
        await see(pilot, "asked for by zed")
        screen = monitor(pilot)
        await pilot.resize_terminal(*size)
        await until(pilot, lambda: screen.query_one(KeyBar).region.bottom == size[1])
        assert screen.max_scroll_y == 0
        await pilot.press("shift+tab")
        events = screen.query_one("#monitor-events")
        await until(pilot, lambda: events.has_focus and events.region.bottom < size[1])
