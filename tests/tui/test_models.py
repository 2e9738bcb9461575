from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from dmr_tui.errors import EngineError, RegistryError, UnavailableError
from dmr_tui.screens.models.details import Details
from dmr_tui.widgets.table import Table
from tests.tui.conftest import LARGE, SMALL, gone, part, row_with, screen_text, see, type_in, until
from tests.tui.stage import SEVEN, StageClock, StageRunner, model, stage


def names(pilot: Pilot[None]) -> list[str]:
    table: Table[object] = pilot.app.screen.query_one(Table)
    return [row.name for row in table.rows]  # type: ignore[attr-defined]  # rows have names


async def test_the_first_frame_comes_before_the_runner(tmp_path: Path) -> None:
    shown: list[str] = []

    async def opened() -> None:
        shown.append(screen_text(app))
        raise UnavailableError("nobody there")

    app = stage(StageRunner(), tmp_path, opened=opened)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: shown)
        assert "[1 Models]" in shown[0]
        assert "Opening the model store" in shown[0]


async def test_the_table_shows_what_is_stored_and_what_is_loaded(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text", "82.3 GB on disk", "268 815 454 B")
        row = row_with(pilot.app, "▸ ● qwen3:8b")
        facts = ["8.2B", "Q4_K_M", "40K", "5.0G", "CPU", "6.9G", "2m"]
        assert row.split("│")[1].split()[3:] == facts
        assert "○ hf.co/…/qwen3-30b" in screen_text(pilot.app)
        assert "● qwen3:8b 6.9G" in screen_text(pilot.app).splitlines()[0]
        assert "embedded" in screen_text(pilot.app).splitlines()[0]


async def test_the_details_follow_the_cursor(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("end")
        await see(pilot, "docker.io/ai/smollm2:latest", "824 MB of 12.8 GB free", "Names")


async def test_a_small_screen_has_the_details_in_three_lines(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await see(pilot, "qwen3:8b · qwen3 · 8.2B · Q4_K_M · chat ✓ tools ✓ thinking ✓")
        await see(pilot, "ctx 8192: weights 5.0 + KV 1.0 + rest 0.5 = 6.6 of 12.8 GB → all on GPU")
        assert part(pilot.app, "Details").size.height == 3  # type: ignore[arg-type]  # DmrApp
        await pilot.resize_terminal(*LARGE)
        await see(pilot, "Memory at ctx 8 192")


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_z_gives_the_table_the_whole_screen(
    size: tuple[int, int], runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=size) as pilot:
        await see(pilot, "weights", "hf.co/…/qwen3-30b")
        await pilot.press("z")
        await gone(pilot, "weights")
        await see(pilot, "▸ ● qwen3:8b")
        await pilot.press("z")
        await see(pilot, "weights")


async def test_filter_and_back(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("slash", *"q4_k llama")
        await until(pilot, lambda: len(names(pilot)) == 3)
        assert "Models  3 of 7" in screen_text(pilot.app)
        await pilot.press("enter")
        await see(pilot, "esc All models")
        await pilot.press("escape")
        await until(pilot, lambda: len(names(pilot)) == 7)
        await pilot.press("slash", *"no such model", "escape")
        await until(pilot, lambda: len(names(pilot)) == 7)


async def test_sort_by_each_column_and_by_a_click_on_its_head(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        assert names(pilot)[0] == "qwen3:8b"
        await pilot.press("s")
        await until(pilot, lambda: names(pilot)[0] == "gemma3:27b-it-qat")
        await pilot.press("s")
        await until(pilot, lambda: names(pilot)[0] == "llama3.3:70b")
        await see(pilot, "PARAM↓")
        head = screen_text(pilot.app).splitlines()[2]
        await pilot.click(Table, offset=(head.index("SIZE") - 2, 0))
        await pilot.click(Table, offset=(head.index("SIZE") - 2, 0))
        await until(pilot, lambda: names(pilot)[0] == "smollm2")
        await see(pilot, "SIZE ↑")


async def test_load_and_unload(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "l Unload")
        await pilot.press("l")
        await see(pilot, "qwen3:8b is unloaded.", "○ no model", "l Load")
        await pilot.press("l")
        await see(pilot, "qwen3:8b is loaded", "l Unload")
        assert [call for call in runner.calls if call[0] in ("load", "unload")] == [
            ("unload", ["qwen3:8b"]),
            ("load", "qwen3:8b"),
        ]


async def test_a_load_that_fails_says_why(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        runner.failure = EngineError("bad magic in weights.gguf", "pull it again")
        await pilot.press("down", "l")
        await see(pilot, "bad magic in weights.gguf  pull it again")


async def test_delete_asks_once(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("end", "d")
        await see(pilot, "Delete smollm2, 269 MB?  d again deletes, esc keeps.", "esc Keep")
        await pilot.press("escape")
        await gone(pilot, "Delete smollm2")
        await pilot.press("d", "up")
        await gone(pilot, "Delete smollm2")
        await pilot.press("down", "d", "d")
        await see(pilot, "Deleted smollm2.")
        assert "smollm2" not in names(pilot)
        assert [call for call in runner.calls if call[0] == "remove"] == [("remove", "smollm2")]


async def test_deleting_one_of_two_names_says_so(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("d")
        await see(pilot, "Delete the name qwen3:8b; 1 more name keeps it?")


async def test_copy_the_name(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("y")
        await see(pilot, "Copied qwen3:8b.")
        assert pilot.app.clipboard == "qwen3:8b"


async def test_refresh_reads_the_models_again(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        runner.stored.append(model("phi4-mini"))
        await pilot.press("r")
        await see(pilot, "phi4-mini", "8 models")


async def test_a_pull_shows_its_layers_speed_and_time_left(
    runner: StageRunner, tmp_path: Path
) -> None:
    clock = StageClock()
    async with stage(runner, tmp_path, clock=clock).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("n", *"ai/gemma3:12b", "enter")
        runner.progress(1_000_000_000, 8_000_000_000)
        await see(pilot, "↓ gemma3:12b", "1 GB of 8 GB", "12%")
        clock.seconds = 10
        runner.progress(2_000_000_000, 8_000_000_000)
        await see(pilot, "100 MB/s", "1:00 left", "9c2fe1aa0b77  2 GB of 8 GB", "25% 1:00")
        assert "↓ gemma3:12b 25%" in screen_text(pilot.app).splitlines()[0]
        runner.arrive(model("gemma3:12b"))
        await see(pilot, "gemma3:12b is here.", "○ gemma3:12b")
        assert "Under way" not in screen_text(pilot.app)


async def test_a_cancelled_pull_keeps_what_it_has(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("n", *"gemma3:12b", "enter")
        runner.progress(1_000_000_000, 8_000_000_000)
        await see(pilot, "x Cancel", "1 GB of 8 GB")
        await pilot.press("x")
        await see(pilot, "Cancelled gemma3:12b; 1 GB are kept; a new pull goes on.")
        assert runner.stopped == ["pull"]


async def test_a_pull_that_fails_says_what_to_do(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("n", *"nothing", "enter")
        runner.fail(RegistryError("docker.io has no ai/nothing", "look for the name on the Hub"))
        await see(pilot, "docker.io has no ai/nothing  look for the name on the Hub")


async def test_the_line_for_a_name_can_be_left(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("n", "x")
        await see(pilot, "esc Close")
        await pilot.press("escape")
        await gone(pilot, "esc Close")
        assert pilot.app.focused is pilot.app.screen.query_one(Table)
        assert runner.stopped == []


async def test_an_empty_store_shows_the_machine_and_leads_to_a_chat(tmp_path: Path) -> None:
    runner = StageRunner()
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await see(
            pilot,
            "NVIDIA RTX 4090, 24 GB, 12.8 GB free",
            "54.9 GB free · 16 cores",
            "212 GB free on disk",
        )
        await see(pilot, "smollm2")
        assert isinstance(pilot.app.focused, Input)
        await pilot.press("down", "down", "down", "enter")
        await see(pilot, "[3 Chat]", "smollm2")
        runner.progress(100_000_000, 400_000_000)
        await type_in(pilot, "hello")
        await pilot.press("enter")
        await see(pilot, "“hello” waits for smollm2: 25%", "100 MB of 400 MB")
        runner.arrive(model("smollm2"))
        await until(pilot, lambda: runner.asked)
        assert runner.asked[0].messages[-1].content == "hello"


async def test_the_first_pull_can_be_cancelled_where_it_was_begun(tmp_path: Path) -> None:
    runner = StageRunner()
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await see(pilot, "Begin with")
        await pilot.press(*"gemma3", "enter")
        await see(pilot, "[3 Chat]")
        await pilot.press("alt+1")
        runner.progress(1_000_000, 4_000_000)
        await see(pilot, "25%", "1 MB of 4 MB", "esc Cancel")
        await pilot.press("escape")
        await see(pilot, "Cancelled gemma3")
        assert runner.stopped == ["pull"]


async def test_no_runner_is_a_panel_with_a_way_out(tmp_path: Path) -> None:
    failures = [UnavailableError("http://nowhere does not answer", "start it there")]

    async def opened() -> None:
        if failures:
            raise failures.pop()

    app = stage(StageRunner(SEVEN), tmp_path, opened=opened)
    async with app.run_test(size=SMALL) as pilot:
        await see(pilot, "http://nowhere does not answer", "start it there", "r tries again")
        assert "× no runner" in screen_text(app).splitlines()[0]
        await pilot.press("r")
        await see(pilot, "nomic-embed-text")


async def test_a_runner_that_goes_away_leaves_the_models_on_screen(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        runner.failure = UnavailableError("the runner does not answer")
        await pilot.press("r")
        await see(pilot, "× disconnected", "the runner does not answer", "nomic-embed-text")
        await pilot.press("r")
        await see(pilot, "embedded", "7 models")


@pytest.mark.parametrize("wanted", ["click", "enter"])
async def test_choosing_a_model_opens_the_chat(
    runner: StageRunner, tmp_path: Path, wanted: str
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        if wanted == "enter":
            await pilot.press("down", "enter")
        else:
            await pilot.click(Table, offset=(8, 2), times=2)
        await see(pilot, "[3 Chat]", "New chat · gemma3:27b-it-qat")


async def test_details_without_a_model_are_empty() -> None:
    details = Details()
    details.show(None)
    assert details.content_now().plain == ""


async def test_one_small_model_is_told_in_units_that_say_something(tmp_path: Path) -> None:
    tiny = model("tiny", "135M", "Q8_0", "140.00MiB", 2048)
    async with stage(StageRunner([tiny]), tmp_path).run_test(size=SMALL) as pilot:
        await see(pilot, "1 model ·", "MB of 12.8 GB")
        assert "0.0" not in screen_text(pilot.app)
        await pilot.press("ctrl+l")
        await see(pilot, "1 model, read again")
