"""Two models side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot

from dmr_tui.errors import EngineError
from dmr_tui.screens.models.compare import CompareScreen
from tests.tui.conftest import LARGE, SMALL, gone, screen_text, see, type_in, until
from tests.tui.stage import StageRunner, stage


async def opened(pilot: Pilot[None]) -> CompareScreen:
    """The screen with the first and the third model."""
    await see(pilot, "nomic-embed-text")
    await pilot.press("g", "space", "down", "space")
    await see(pilot, "2 marked", "c Compare")
    await pilot.press("c")
    await see(pilot, "What you write below goes")
    screen = pilot.app.screen
    assert isinstance(screen, CompareScreen)
    return screen


async def ask(pilot: Pilot[None], text: str) -> None:
    await type_in(pilot, text)
    await pilot.press("enter")


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_both_answer_one_after_the_other(
    size: tuple[int, int], runner: StageRunner, tmp_path: Path
) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        await ask(pilot, "Who are you?")
        await until(pilot, lambda: screen_text(app).count("Who are you?") == 2)
        await see(pilot, "waiting …", "esc Stop")
        runner.say("I am the first.")
        runner.finish()
        await see(pilot, "I am the first.")
        runner.say("And I the other.")
        runner.finish()
        await see(pilot, "I am the first.", "And I the other.", "Both are among your chats.")
        models = [each.model for each in screen._conversations]
        assert [chat.model for chat in await app.workspace.sessions.chats()] in (
            models,
            models[::-1],
        )
        await pilot.press("escape")
        await see(pilot, "▸*", "c Compare")


async def test_a_failure_of_one_leaves_the_other_its_answer(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await opened(pilot)
        await ask(pilot, "Hi")
        await see(pilot, "waiting …")
        runner.fail(EngineError("the worker died", "ask again"))
        await see(pilot, "the worker died", "The other model is asked all the")
        runner.say("Still here.")
        runner.finish()
        await see(pilot, "Still here.", "the worker died")


async def test_escape_stops_first_and_keeps_what_is_written(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await opened(pilot)
        await ask(pilot, "Hi")
        runner.say("Half an ans")
        await see(pilot, "Half an ans")
        await ask(pilot, "more")
        await see(pilot, "Not while they answer: esc stops.")
        await pilot.press("escape")
        await see(pilot, "Half an ans", "stopped", "esc Close")
        await gone(pilot, "waiting …")
        await pilot.press("escape")
        await see(pilot, "esc again closes this")
        await pilot.press("escape")
        await see(pilot, "▸*", "c Compare")


async def test_what_nobody_answered_is_in_the_prompt_again(
    runner: StageRunner, tmp_path: Path
) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        screen = await opened(pilot)
        pilot.app.post_message(events.Paste("two\r\nlines"))
        await until(pilot, lambda: screen._prompt.text == "two\nlines")
        await pilot.press("enter")
        await until(pilot, lambda: runner.asked)
        await type_in(pilot, "more")
        await pilot.press("escape")
        await until(pilot, lambda: screen._prompt.text == "two\nlines\nmore")
        assert not await app.workspace.sessions.chats()
        await pilot.press("ctrl+u", "backspace", "ctrl+u", "backspace", "ctrl+u", "up")
        await until(pilot, lambda: screen._prompt.text == "two\nlines")


async def test_a_command_is_not_sent_as_a_message(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        screen = await opened(pilot)
        await ask(pilot, "/think off")
        await see(pilot, "Commands are for the Chat screen: messages alone go here.")
        assert screen._prompt.text == "/think off"
        assert not runner.asked


async def test_ctrl_c_stops_the_answers(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await opened(pilot)
        await ask(pilot, "Hi")
        runner.say("Half an ans")
        await see(pilot, "Half an ans")
        await pilot.press("ctrl+c")
        await see(pilot, "stopped", "esc Close")
        assert "Press ^c again" not in screen_text(pilot.app)


async def test_it_takes_two(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        assert "c Compare" not in screen_text(pilot.app)
        await pilot.press("c")
        await see(pilot, "Mark two models with space; c then compares them.")
