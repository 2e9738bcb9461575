from __future__ import annotations

import socket
from pathlib import Path

import httpx
from textual.pilot import Pilot
from textual.widgets import Input

from tests.tui.conftest import LARGE, gone, screen_text, see
from tests.tui.stage import StageRunner, stage


async def open_panel(pilot: Pilot[None]) -> None:
    await see(pilot, "nomic-embed-text", "9.1/64G")
    await pilot.press("E")
    await see(pilot, "Endpoint for other programs", "○ off")


def base_url(pilot: Pilot[None]) -> str:
    return screen_text(pilot.app).split("export OPENAI_BASE_URL=")[1].split()[0]


async def status_of(url: str, key: str = "") -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{url}/models", headers=headers)).status_code


async def test_on_and_off(runner: StageRunner, tmp_path: Path) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await open_panel(pilot)
        await pilot.press("enter")
        await see(pilot, "● on at http://127.0.0.1:", "serving 127.0.0.1:")
        base = base_url(pilot)
        assert await status_of(base) == 200
        await pilot.press("ctrl+y")
        assert app.clipboard == f"export OPENAI_BASE_URL={base}\nexport OPENAI_API_KEY=none\n"
        await pilot.press("enter")
        await see(pilot, "○ off")
        await pilot.press("escape")
        await gone(pilot, "Endpoint for other programs")
        await see(pilot, "The endpoint is off.")
        try:
            await status_of(base)
        except httpx.ConnectError:
            return
        raise AssertionError("it still answers")


async def test_a_key_is_asked_for_as_soon_as_it_is_set(runner: StageRunner, tmp_path: Path) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await open_panel(pilot)
        await pilot.press("enter")
        await see(pilot, "● on at")
        assert await status_of(base_url(pilot)) == 200
        await pilot.press("ctrl+k")
        await see(pilot, "changed, but it does not hold yet", "⏎ listen anew")
        assert await status_of(base_url(pilot)) == 200
        await pilot.press("enter")
        await see(pilot, "export OPENAI_API_KEY=dmr-", "⏎ on or off")
        await gone(pilot, "does not hold yet")
        key = app.screen.query_one("#endpoint-key", Input).value
        assert len(key) > 30
        assert await status_of(base_url(pilot)) == 401
        assert await status_of(base_url(pilot), "dmr-another") == 401
        assert await status_of(base_url(pilot), key) == 200
    again = stage(runner, tmp_path)
    async with again.run_test(size=LARGE) as pilot:
        # It was on when the program ended, so it is on again, with the same key.
        await see(pilot, "serving 127.0.0.1:")
        await pilot.press("E")
        await see(pilot, "● on at")
        assert again.screen.query_one("#endpoint-key", Input).value == key
        assert await status_of(base_url(pilot), key) == 200


async def test_a_change_that_was_given_up_is_told(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_panel(pilot)
        await pilot.press("escape")
        await gone(pilot, "Endpoint for other programs")
        assert "The endpoint is as it was" not in screen_text(pilot.app)
        await open_panel(pilot)
        await pilot.press("ctrl+k", "escape")
        await see(pilot, "The endpoint is as it was: ⏎ makes a change hold.")


async def test_what_cannot_be_is_said_in_the_panel(runner: StageRunner, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        app = stage(runner, tmp_path, port=port)
        async with app.run_test(size=LARGE) as pilot:
            await open_panel(pilot)
            await pilot.press("enter")
            await see(pilot, f"port {port} of 127.0.0.1 is in use")
            await pilot.press("ctrl+u", "enter")
            await see(pilot, "'' is no port")
            await pilot.press(*"99999", "enter")
            await see(pilot, "'99999' is no port")
            await pilot.press("ctrl+u", "0", "enter")
            await see(pilot, "● on at")
            pilot.app.screen.query_one("#endpoint-key", Input).value = "ключ"
            await pilot.press("enter")
            await see(pilot, "API key: a key cannot have", "● on at")
            await pilot.press("ctrl+k", "shift+tab", "ctrl+u", *"no.such.host", "enter")
            await see(pilot, "cannot listen on 'no.such.host'", "○ off")


async def test_the_open_network_is_warned_of(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_panel(pilot)
        await pilot.press("ctrl+y", "shift+tab", "ctrl+u", *"0.0.0.0", "enter")
        await see(pilot, "● on at http://127.0.0.1:", "Everybody who reaches this address may ask")
        await pilot.press("ctrl+k", "enter")
        await gone(pilot, "Everybody who reaches")


async def test_the_palette_switches_without_the_panel(runner: StageRunner, tmp_path: Path) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await app.run_action("app.toggle_endpoint")
        await see(pilot, "serving 127.0.0.1:")
        await app.run_action("app.toggle_endpoint")
        await see(pilot, "The endpoint is off.")
