from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import msgspec
import pytest
from textual._compositor import LayoutUpdate
from textual.app import ComposeResult
from textual.driver import Driver
from textual.widgets import Input, OptionList

from dmr_tui.screens.models.shelf import Shelf
from dmr_tui.widgets.header import Header
from dmr_tui.widgets.keybar import KeyBar
from tests.tui.conftest import LARGE, SMALL, gone, screen_text, see, type_in, until
from tests.tui.stage import SEVEN, StageClock, StageMeter, StageRunner, stage


async def test_keys_and_clicks_go_to_the_screens(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("3")
        await see(pilot, "[3 Chat]")
        await pilot.press("escape", "minus")
        await see(pilot, "[1 Models]")
        await pilot.press("minus")
        await see(pilot, "[3 Chat]")
        await pilot.click(Header, offset=(10, 0))
        await see(pilot, "[1 Models]")


async def test_the_keys_at_the_bottom_are_buttons(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text", "s Sort")
        keys = screen_text(pilot.app).splitlines()[-1]
        await pilot.click(KeyBar, offset=(keys.index("Sort"), 0))
        await see(pilot, "NAME ↓")


async def test_all_is_drawn_again_when_a_shell_brings_the_program_back(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        drawn: list[object] = []
        monkeypatch.setattr(pilot.app, "_display", lambda screen, what: drawn.append(what))
        pilot.app.post_message(Driver.SignalResume())
        await until(pilot, lambda: any(isinstance(each, LayoutUpdate) for each in drawn))


@pytest.mark.parametrize("key", ["question_mark", "f1"])
async def test_help_is_made_from_the_registry(
    runner: StageRunner, tmp_path: Path, key: str
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press(key)
        await see(pilot, "Help · Models", "Delete this model or all marked ones; asks once.")
        await pilot.press("end")
        await see(pilot, "Everywhere", "Go to your models.")
        await pilot.press("escape")
        await gone(pilot, "Help · Models")
        await pilot.press("3", "f1")
        await see(pilot, "Help · Chat", "Send the message")


async def test_the_palette_runs_actions_of_any_screen(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("3", "ctrl+p")
        await see(pilot, "Search for commands")
        await type_in(pilot, "sort the models")
        await see(pilot, "Sort by the next column.")
        await pilot.press("down", "enter")
        await see(pilot, "[1 Models]", "NAME ↓")


async def test_the_palette_offers_every_model(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("ctrl+p")
        await type_in(pilot, "smollm")
        await see(pilot, "Chat with smollm2")
        await pilot.press("down", "enter")
        await see(pilot, "New chat · smollm2")


@pytest.mark.parametrize("key", ["ctrl+p", "ctrl+o"])
async def test_a_model_is_found_by_each_of_its_names(
    runner: StageRunner, tmp_path: Path, key: str
) -> None:
    tags = [*SEVEN[4].tags, "docker.io/me/zebra:v1"]
    runner.stored[4] = msgspec.structs.replace(SEVEN[4], tags=tags)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press(key)
        await see(pilot, "🔎")
        pilot.app.screen.query_one(Input).value = "zebra"  # at once: there is one search
        found = pilot.app.screen.query_one(OptionList)
        await until(pilot, lambda: found.option_count == 1)
        await see(pilot, "smollm2  also me/zebra:v1")
        await pilot.press("down", "enter")
        await see(pilot, "New chat · smollm2")


async def test_themes_take_turns(runner: StageRunner, tmp_path: Path) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        seen = [app.theme]
        for _ in range(3):
            await pilot.press("T")
            await see(pilot, "Theme: ")
            seen.append(app.theme)
        assert seen == ["dark", "light", "contrast", "dark"]


async def test_without_colour_nothing_is_lost(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "▸ ● qwen3:8b", "[1 Models]", "cpu ▕█▊")


async def test_gauges_with_and_without_a_gpu(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "cpu ▕█▊      ▏  22%", "ram ▕█▏      ▏ 9.1/64G", "vram", "11.2/24G 61%")
        await pilot.resize_terminal(*SMALL)
        await see(pilot, "cpu 22%   ram 9.1/64G   vram 11.2/24G 61%")
    async with stage(runner, tmp_path, gpus=False).run_test(size=LARGE) as pilot:
        await see(pilot, "ram ▕")
        assert "vram" not in screen_text(pilot.app)


async def test_readings_rest_while_help_covers_the_screen(
    runner: StageRunner, tmp_path: Path
) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await see(pilot, "9.1/64G")
        await pilot.press("f1")
        await see(pilot, "Help · Models")
        shell = app.workspace
        timers = app._shells["models"]._clockwork
        assert timers
        assert not any(timer._active.is_set() for timer in timers)
        await pilot.press("escape")
        await until(pilot, lambda: all(timer._active.is_set() for timer in timers))
        assert isinstance(shell._meter, StageMeter)


async def test_ctrl_c_stops_an_answer_then_asks_then_quits(
    runner: StageRunner, tmp_path: Path
) -> None:
    clock = StageClock()
    app = stage(runner, tmp_path, clock=clock)
    async with app.run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("3", *"hi", "enter")
        runner.say("some")
        await see(pilot, "some", "esc stops")
        await pilot.press("ctrl+c")
        await see(pilot, "stopped")
        await pilot.press("ctrl+c")
        await see(pilot, "Press ^c again to quit.")
        clock.seconds = 60
        await pilot.press("ctrl+c")
        assert app._exit is False
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app._exit)
    assert runner.closed


async def test_ctrl_c_copies_what_is_selected_in_the_prompt(
    runner: StageRunner, tmp_path: Path
) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("3", *"hello", "shift+left", "shift+left", "ctrl+c")
        await see(pilot, "Copied.")
        assert app.clipboard == "lo"


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_quitting_keeps_pulls_and_closes_the_runner(
    runner: StageRunner, tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("n", *"phi4", "enter")
        runner.progress(1_000_000_000, 8_000_000_000)
        await see(pilot, "1 GB of 8 GB")
        await pilot.press(key)
        await until(pilot, lambda: app._exit)
    assert runner.stopped == ["pull"]
    assert runner.closed
    assert (
        "phi4 (1 GB kept) is not here yet: `dmr` goes on with it, or `dmr pull phi4`."
        in capsys.readouterr().err
    )


async def test_a_remote_runner_is_named_and_not_served_twice(
    runner: StageRunner, tmp_path: Path
) -> None:
    runner.kind, runner.endpoint = "remote", "http://127.0.0.1:12434"
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        assert "127.0.0.1:12434  ·  ● qwen3:8b" in screen_text(pilot.app).splitlines()[0]
        await pilot.press("E")
        await see(pilot, "another dmr serves at http://127.0.0.1:12434")
        await see(pilot, "OPENAI_BASE_URL=http://127.0.0.1:12434/engines/v1")
        await pilot.press("enter")
        await see(pilot, "another dmr serves your models already")


async def test_what_nobody_foresaw_is_said_and_ends_nothing(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE, notifications=True) as pilot:
        await see(pilot, "nomic-embed-text")

        async def broken(models: object = None) -> int:
            raise RuntimeError("surprise")

        monkeypatch.setattr(runner, "unload", broken)
        await pilot.press("l")
        await see(pilot, "Something unexpected went wrong", "RuntimeError: surprise")
        await pilot.press("s")
        await see(pilot, "NAME ↓")


async def test_every_size_down_to_a_tiny_one_can_be_drawn(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        for key in ("1", "3"):
            await pilot.press("escape", key)
            for size in ((20, 6), (60, 15), (200, 60), SMALL):
                await pilot.resize_terminal(*size)
                await pilot.pause()
                assert screen_text(pilot.app)


async def test_names_that_are_not_resolved_hold_nothing_up(
    runner: StageRunner, tmp_path: Path
) -> None:
    resolved = threading.Event()
    async with stage(runner, tmp_path).run_test(size=SMALL):
        lookups = [asyncio.create_task(asyncio.to_thread(resolved.wait)) for _ in range(40)]
        await asyncio.sleep(0)  # They begin.
        try:
            async with asyncio.timeout(20):
                assert await asyncio.to_thread(lambda: "read") == "read"
        finally:
            resolved.set()
            await asyncio.gather(*lookups)


async def test_the_program_may_end_while_its_first_screen_comes(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What Textual composes for a widget that is being closed is not mounted.
    compose = Shelf.compose

    def closing(shelf: Shelf) -> ComposeResult:
        yield from compose(shelf)
        shelf.app.exit()
        monkeypatch.setattr(shelf, "_pruning", True)

    monkeypatch.setattr(Shelf, "compose", closing)
    app = stage(runner, tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
    assert app.return_code == 0
