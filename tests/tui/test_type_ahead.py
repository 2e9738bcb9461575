"""Keys that come in one packet, as over a slow line: each goes to what the one before it opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from textual.app import ScreenStackError
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.widgets import Input

from tests.tui.conftest import LARGE, see, until
from tests.tui.stage import StageRunner, stage


def at_once(pilot: Pilot[None], *keys: str) -> None:
    """Press keys without waiting: single characters, or names such as `f2`."""
    for key in keys:
        character = key if len(key) == 1 else None
        name = _character_to_key(key) if character else key
        pilot.app.post_message(events.Key(name, character))


@pytest.mark.parametrize(
    ("before", "keys", "typed"),
    [
        ([], [*"/ddd"], "ddd"),
        ([], [*":zoo"], "zoo"),
        (["3"], ["f2", *"/dragon"], "dragon"),
    ],
)
async def test_what_follows_the_key_that_opens_a_box_is_typed_into_it(
    runner: StageRunner, tmp_path: Path, before: list[str], keys: list[str], typed: str
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press(*before)
        await until(pilot, lambda: pilot.app.screen.focused)
        at_once(pilot, *keys)
        await until(pilot, lambda: box(pilot) == typed)
        assert len(await runner.models()) == 7


async def test_a_paste_waits_for_its_line_too(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        at_once(pilot, "/")
        pilot.app.post_message(events.Paste("qwen"))
        at_once(pilot, "3")
        await until(pilot, lambda: box(pilot) == "qwen3")


async def test_keys_go_on_where_the_effect_of_one_cannot_be_followed(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_pump: object) -> None:
        raise ScreenStackError

    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        monkeypatch.setattr("dmr_tui.widgets.type_ahead._drained", fails)
        await pilot.press("slash", "d", "e")
        await until(pilot, lambda: box(pilot) == "de")


def box(pilot: Pilot[None]) -> str:
    """What is in the box that has the focus."""
    focused = pilot.app.screen.focused
    return focused.value if isinstance(focused, Input) else ""
