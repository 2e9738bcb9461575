"""No key does nothing: each one that a screen shows is pressed, and something is seen to happen."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from dmr_tui.actions import ACTIONS, MODES, display_key, find_action
from dmr_tui.app import DmrApp
from dmr_tui.widgets.keybar import KeyBar
from tests.tui.conftest import screen_text, see
from tests.tui.stage import SEVEN, StageRunner, stage

WIDE = (400, 36)
"""A key bar that shows all that would do something."""
_ATTEMPTS = 30


async def open_screen(pilot: Pilot[None], mode: str) -> None:
    await see(pilot, "nomic-embed-text", "9.1/64G")
    if mode != "models":
        action = find_action(f"app.show_{mode}")
        await pilot.press(action.keys[0])
        await see(pilot, f"[{action.key} {action.title}]", "9.1/64G")
    await pilot.pause()


def shown(app: DmrApp) -> dict[str, str]:
    """The keys in the last row, in Textual's names, and what they are said to do."""
    keys = {display_key(key): key for action in ACTIONS for key in action.keys}
    return {keys[hint.key]: hint.title for hint in app.screen.query_one(KeyBar).hints}


def state(app: DmrApp, runner: StageRunner) -> tuple[object, ...]:
    """Whatever a key may change."""
    return (
        app._exit,
        screen_text(app),
        app.focused,
        list(runner.calls),
        app.clipboard,
        len(app._notifications),
    )


async def does_something(mode: str, key: str, folder: Path) -> bool:
    """Press a key on a screen that was just opened."""
    runner = StageRunner(SEVEN)
    runner.run(SEVEN[0])
    app = stage(runner, folder)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await open_screen(pilot, mode)
        before = state(app, runner)
        await pilot.press(key)
        for _ in range(_ATTEMPTS):
            if state(app, runner) != before:
                return True
            await pilot.pause(0.05)
    return False


@pytest.mark.parametrize("mode", MODES)
async def test_every_key_that_is_shown_does_something(mode: str, tmp_path: Path) -> None:
    runner = StageRunner(SEVEN)
    runner.run(SEVEN[0])
    app = stage(runner, tmp_path / "look")
    async with app.run_test(size=WIDE) as pilot:
        await open_screen(pilot, mode)
        keys = shown(app)
    assert keys
    idle = [
        f"{display_key(key)} {title}"
        for number, (key, title) in enumerate(keys.items())
        if not await does_something(mode, key, tmp_path / str(number))
    ]
    assert idle == []


def test_every_action_has_a_key_or_a_place_in_the_palette() -> None:
    assert [action.id for action in ACTIONS if not (action.keys or action.palette)] == []
