"""Keys that come in one packet, as over a slow line: each goes to what the one before it opened."""

from __future__ import annotations

from pathlib import Path

from textual import events
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


async def test_what_follows_a_filters_key_is_typed_into_it(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        at_once(pilot, *"/ddd")
        box = pilot.app.screen.query_one("#filter", Input)
        await until(pilot, lambda: box.value == "ddd")
        assert len(await runner.models()) == 7


async def test_a_paste_waits_for_its_line_too(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        at_once(pilot, "/")
        pilot.app.post_message(events.Paste("qwen"))
        at_once(pilot, "3")
        box = pilot.app.screen.query_one("#filter", Input)
        await until(pilot, lambda: box.value == "qwen3")


async def test_what_follows_the_palettes_key_is_searched_for(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        at_once(pilot, *":zoo")
        await until(pilot, lambda: [box.value for box in pilot.app.screen.query(Input)] == ["zoo"])


async def test_what_follows_the_key_of_a_pane_is_typed_into_its_search(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await pilot.press("3")
        await see(pilot, "New chat")
        at_once(pilot, "f2", *"/dragon")
        box = pilot.app.screen.query_one("#find", Input)
        await until(pilot, lambda: box.value == "dragon")
