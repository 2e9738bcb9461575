"""A runner that goes away and comes back, and workers that crash: seen on every screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from dmr_tui.app import DmrApp
from dmr_tui.errors import UnavailableError
from dmr_tui.screens.shell import ShellScreen
from tests.tui.conftest import LARGE, SMALL, gone, screen_text, see, until
from tests.tui.stage import NOW, SEVEN, StageClock, StageRunner, model, stage


def away(monkeypatch: pytest.MonkeyPatch, runner: StageRunner) -> None:
    """From now on the runner does not answer."""

    async def nobody() -> None:
        raise UnavailableError("http://127.0.0.1:12434 does not answer", "start it: dmr serve")

    monkeypatch.setattr(runner, "running", nobody)


async def look(pilot: Pilot[None]) -> None:
    """As the clockwork does it."""
    app = pilot.app
    assert isinstance(app, DmrApp)
    await app.workspace.look()
    await pilot.pause()


async def test_a_runner_that_goes_away_is_told_once_and_its_data_stay(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = StageClock()
    async with stage(runner, tmp_path, clock=clock).run_test(
        size=LARGE, notifications=True
    ) as pilot:
        await see(pilot, "nomic-embed-text")
        with monkeypatch.context() as patch:
            away(patch, runner)
            await look(pilot)
            await see(pilot, "does not answer", "What you see is from before")
            clock.seconds += 8
            await look(pilot)
            await see(pilot, "× disconnected 8 s ago, retrying", "nomic-embed-text")
            app = pilot.app
            assert isinstance(app, DmrApp)
            app.workspace.fail(UnavailableError("nobody to ask", "start one: dmr serve"))
            await see(pilot, "nobody to ask")
            assert len(app._notifications) == 1
        runner.stored.append(model("phi4"))
        await look(pilot)
        # What has changed meanwhile is there, too.
        await see(pilot, "The runner is back", "phi4", "● qwen3:8b")
        await gone(pilot, "nobody to ask")
        assert "disconnected" not in screen_text(pilot.app).splitlines()[0]


async def test_a_narrow_header_says_it_in_short(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = StageClock()
    async with stage(runner, tmp_path, clock=clock).run_test(
        size=SMALL, notifications=True
    ) as pilot:
        await see(pilot, "nomic-embed-text")
        away(monkeypatch, runner)
        await look(pilot)
        clock.seconds += 100
        await look(pilot)
        await see(pilot, "disconnected 2 min ago")


async def test_who_was_not_there_at_the_start_is_found_later(tmp_path: Path) -> None:
    there = False

    async def opened() -> None:
        if not there:
            raise UnavailableError("http://127.0.0.1:12434 does not answer", "start it: dmr serve")

    async with stage(StageRunner(SEVEN), tmp_path, opened=opened).run_test(
        size=LARGE, notifications=True
    ) as pilot:
        await see(pilot, "does not answer")
        await look(pilot)
        await see(pilot, "does not answer")
        there = True
        await look(pilot)
        await see(pilot, "nomic-embed-text")
        await gone(pilot, "does not answer")


@pytest.mark.parametrize("key", ["1", "4", "5"])
async def test_a_crash_is_a_notification_on_every_screen(
    runner: StageRunner, tmp_path: Path, key: str
) -> None:
    runner.journal.tell("crash", "smollm2", "an old one", level="error")
    async with stage(runner, tmp_path).run_test(size=LARGE, notifications=True) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, ShellScreen))
        runner.now = NOW + 60
        runner.journal.tell(
            "crash", "docker.io/ai/qwen3:8b", "its worker was killed (signal 9)", level="error",
            hint="is there enough memory?",
        )  # fmt: skip
        await see(pilot, "▌ qwen3:8b has crashed", "was killed (signal 9)", "memory?")
        assert "an old one" not in [each.message for each in pilot.app._notifications]
        assert len(pilot.app._notifications) == 1


async def test_models_that_others_get_and_remove_are_seen(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        runner.stored = [model("ai/newcomer:latest")]
        for _ in range(5):
            await look(pilot)
        await see(pilot, "newcomer")
        await gone(pilot, "nomic-embed-text")
        runner.stored = []
        for _ in range(5):
            await look(pilot)
        await see(pilot, "Welcome")
        runner.stored = [model("ai/newcomer:latest")]
        for _ in range(5):
            await look(pilot)
        await see(pilot, "newcomer")
