from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from dmr_tui.app import DmrApp
from dmr_tui.errors import ModelNotFoundError, RegistryError, UnavailableError
from dmr_tui.screens.get.pages import page_of
from dmr_tui.screens.get.queue import Queue
from dmr_tui.screens.get.screen import GetScreen
from dmr_tui.screens.pulls import Pull
from dmr_tui.widgets.table import Table
from tests.tui.conftest import LARGE, SMALL, gone, row_with, screen_text, see, type_in, until
from tests.tui.stage import StageClock, StageRunner, model, stage


def app_of(pilot: Pilot[None]) -> DmrApp:
    assert isinstance(pilot.app, DmrApp)
    return pilot.app


def table(pilot: Pilot[None], name: str) -> Table[Any]:
    return pilot.app.screen.query_one(f"#{name}", Table)


def states(pilot: Pilot[None]) -> dict[str, str]:
    return {pull.name: pull.state for pull in app_of(pilot).workspace.pulls.all}


def pull_of(pilot: Pilot[None], name: str) -> Pull:
    return next(pull for pull in app_of(pilot).workspace.pulls.all if pull.name == name)


async def at_get(pilot: Pilot[None], *, results: bool = True) -> None:
    """Get, with what is popular; by default in the table of results."""
    await see(pilot, "nomic-embed-text")
    await pilot.press("2")
    await see(pilot, "[2 Get]", "Found 5", "7B Q8_0")
    if results:
        await pilot.press("down")
        await until(pilot, lambda: table(pilot, "families").has_focus)


async def test_it_begins_with_what_is_popular_and_ready_to_type(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot, results=False)
        assert isinstance(pilot.app.focused, Input)
        assert runner.searched == [("", "dockerhub"), ("", "huggingface")]
        assert row_with(pilot.app, "qwen2.5-coder  ").split()[2:] != []
        await see(pilot, "14.2M", "hf.co/…/Qwen3-", "NO  ~−228G")


async def test_typing_searches_after_a_pause_and_both_places_at_once(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot, results=False)
        runner.searched.clear()
        await pilot.press(*"gemma")
        await see(pilot, "Found 1", "codegemma")
        assert runner.searched == [("gemma", "dockerhub"), ("gemma", "huggingface")]
        await pilot.press("escape")
        await see(pilot, "Found 5")


async def test_the_enter_key_in_the_box_does_not_wait_for_the_pause(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot, results=False)
        await pilot.press(*"gemma", "enter")
        await until(pilot, lambda: table(pilot, "families").has_focus)
        await see(pilot, "Found 1")
        await pilot.press("slash")
        assert isinstance(pilot.app.focused, Input)


async def test_the_variants_tell_size_memory_and_which_is_best(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot)
        best = row_with(pilot.app, "★ 7B-Q8_0").split("││")[1].split()
        assert best[:4] == ["▸", "★", "7B-Q8_0", "8.1G"]
        assert best[-2] == "GPU"
        assert "SPLIT" in row_with(pilot.app, "32B-Q4_K_M")
        await see(pilot, "★ Best here: the most that stays on the GPU", "leaves 204 GB of disk")
        # After a rest the header has been looked at: the figures are sure, the licence is known.
        await see(pilot, "apache-2.0", "32K context", "weights 8.6G")
        assert runner.looked_at == ["qwen2.5-coder:7B-Q8_0"]
        assert "~" not in row_with(pilot.app, "★ 7B-Q8_0").split("││")[1]


async def test_a_look_that_fails_is_not_repeated(runner: StageRunner, tmp_path: Path) -> None:
    runner.published.clear()
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot)
        await until(pilot, lambda: runner.looked_at)
        await pilot.pause(1.2)
        assert runner.looked_at == ["qwen2.5-coder:7B-Q8_0"]
        await see(pilot, "its size")


async def test_another_context_changes_memory_and_choice(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot)
        await pilot.press("right_square_bracket", "right_square_bracket", "right_square_bracket")
        await see(pilot, "MEM@64K", "★ 3B-Q4_K_M")
        await pilot.press(*["left_square_bracket"] * 9)
        await see(pilot, "MEM@2K", "★ 14B-Q4_K_M")


async def test_only_what_fits(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot)
        await see(pilot, "NO  ~−228G")
        await pilot.press("f")
        await see(pilot, "Found 4 of 5", "f shows 1 more that do not fit", "f fits ✓")
        await pilot.press("f")
        await see(pilot, "Found 5")


async def test_sorting_is_remembered(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot)
        await pilot.press("s")
        await see(pilot, "NAME ↓")
        assert table(pilot, "families").rows[0].name == "ai/codegemma"
        await pilot.click("#families", offset=(40, 0))
        await see(pilot, "SIZE ↓")
    async with stage(StageRunner(), tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "[2 Get]", "NAME ↓")


@pytest.mark.parametrize(("key", "title", "left"), [("H", "Docker Hub –", 2), ("F", "Face –", 3)])
async def test_places_can_be_left_out(
    runner: StageRunner, tmp_path: Path, key: str, title: str, left: int
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot)
        await pilot.press(key)
        await see(pilot, title, f"Found {left}")
        await pilot.press(key)
        await see(pilot, "Found 5")
        await pilot.press("H", "F")
        await see(pilot, "Nobody is asked: H is Docker Hub, F Hugging Face.")


async def test_one_place_that_fails_leaves_the_other(runner: StageRunner, tmp_path: Path) -> None:
    runner.hits["dockerhub"] = RegistryError("failed to search Docker Hub: it is away")
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("2")
        await see(pilot, "! Docker Hub: it is away  ^l tries again", "Found 2", "H Docker Hub ×")
        runner.hits["dockerhub"] = []
        await pilot.press("down", "r")
        await gone(pilot, "it is away")
        await see(pilot, "H Docker Hub ✓")


async def test_offline_is_said_with_what_still_works(runner: StageRunner, tmp_path: Path) -> None:
    for source in ("dockerhub", "huggingface"):
        runner.hits[source] = RegistryError(f"cannot reach {source}", "check the network")
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("2")
        await see(pilot, "× Neither Docker Hub nor Hugging Face answers", "check the network")
        await see(pilot, "What still works without them")
        runner.hits["dockerhub"] = runner.hits["huggingface"] = []
        await pilot.press("ctrl+l")
        await see(pilot, "Nothing was found.")


async def test_variants_that_cannot_be_had_say_why(runner: StageRunner, tmp_path: Path) -> None:
    refusal = ModelNotFoundError("hf.co/a/b is gated", "accept its terms")
    runner.catalogue["ai/qwen2.5-coder"] = refusal
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("2", "down")
        await see(pilot, "not to be had", "hf.co/a/b is gated", "accept its terms")


async def test_get_and_chat(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot)
        await see(pilot, "⏎ Get & chat")
        await pilot.press("enter")
        await see(pilot, "[3 Chat]", "Getting qwen2.5-coder:7B-Q8_0")
        await until(pilot, lambda: ("pull", "qwen2.5-coder:7B-Q8_0") in runner.calls)
        await type_in(pilot, "hello")
        await pilot.press("enter")
        await see(pilot, "“hello” waits for qwen2.5-coder:7B-Q8_0")
        runner.arrive(model("qwen2.5-coder:7B-Q8_0"))
        await until(pilot, lambda: runner.asked)
        await pilot.press("alt+2")
        await see(pilot, "✓ qwen2.5-coder:7B-Q8_0")


async def test_a_variant_is_got_without_leaving(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot)
        await pilot.press("right", "home", "p")
        await see(pilot, "↓ qwen2.5-coder:0.5B-Q8_0", "↓ 0.5B-Q8_0", "Pulls 1")
        assert ("pull", "qwen2.5-coder:0.5B-Q8_0") in runner.calls
        runner.progress(200_000_000, 500_000_000)
        await see(pilot, "40%", "200/500M", "300 MB to come")
        runner.arrive(model("qwen2.5-coder:0.5B-Q8_0"))
        await see(pilot, "✓ 0.5B-Q8_0", "qwen2.5-coder:0.5B-Q8_0 is here.")
        # What is here is only chatted with.
        await see(pilot, "⏎ Chat")
        await pilot.press("enter")
        await see(pilot, "[3 Chat]", "qwen2.5-coder:0.5B-Q8_0")
        assert len([call for call in runner.calls if call[0] == "pull"]) == 1


async def test_a_name_in_the_box_is_got_as_it_is(runner: StageRunner, tmp_path: Path) -> None:
    name = "hf.co/Qwen/Qwen2.5-Coder-14B-Instruct-GGUF:Q8_0"
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot, results=False)
        pilot.app.screen.query_one(Input).value = name
        await see(pilot, "Found 1", "▸   Q8_0")
        await pilot.press("enter")
        await see(pilot, "[3 Chat]")
        await until(pilot, lambda: ("pull", name) in runner.calls)


async def test_a_tag_that_is_not_there_is_told_beside_those_that_are(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot, results=False)
        await pilot.press(*"qwen2.5-coder:9B")
        await see(pilot, "no 9B", "It has no 9B; it has these:", "32B-Q8_0")


async def test_a_file_is_chatted_with_where_it_lies(
    runner: StageRunner, tmp_path: Path, tiny_gguf: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot, results=False)
        pilot.app.screen.query_one(Input).value = str(tiny_gguf)
        await see(pilot, tiny_gguf.name, "chats with it where it lies", "⏎ Chat")
        await pilot.press("enter")
        await see(pilot, "[3 Chat]", tiny_gguf.name)
        await pilot.press("alt+2")
        pilot.app.screen.query_one(Input).value = "/nowhere/x.gguf"
        await see(pilot, "× /nowhere/x.gguf: No such file")
        pilot.app.screen.query_one(Input).value = str(tmp_path)
        await see(pilot, "is no .gguf file")


async def three_pulls(pilot: Pilot[None], runner: StageRunner) -> None:
    """Two that run and one that waits; the queue has the focus."""
    await at_get(pilot)
    runner.apart("a", "b", "c")
    for name in ("a", "b", "c"):
        app_of(pilot).workspace.pull(name)
    runner.progress(50, 100, of="a")
    await until(pilot, lambda: states(pilot)["a"] == "running" and pull_of(pilot, "a").done)
    await pilot.press("tab", "tab")
    await until(pilot, lambda: pilot.app.screen.query_one(Queue).has_focus)


async def test_the_queue_is_paused_moved_and_cancelled(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await three_pulls(pilot, runner)
        await see(pilot, "Pulls 2 · 1 queued", "queued · starts after b")
        await pilot.press("space")
        await see(pilot, "paused · 50 B kept", "a is paused; what has come is kept.")
        await until(pilot, lambda: states(pilot) == {"a": "paused", "b": "running", "c": "running"})
        await see(pilot, "space Go on")
        await pilot.press("space")
        await see(pilot, "a goes on.")
        assert states(pilot)["a"] == "queued"
        await pilot.press("J", "J")
        await until(pilot, lambda: list(states(pilot)) == ["b", "c", "a"])
        await pilot.press("K")
        await until(pilot, lambda: list(states(pilot)) == ["b", "a", "c"])
        await pilot.press("x")
        await see(pilot, "▸ – a", "cancelled, 50 B kept · ⏎ goes on · x forgets it", "x Forget")
        await pilot.press("enter")
        await until(pilot, lambda: states(pilot).get("a") == "queued")
        await see(pilot, "▸ · a", "queued · starts after c")  # it is still the one that is meant
        await pilot.press("x", "x")
        await until(pilot, lambda: "a" not in states(pilot))


async def test_the_queue_is_steered_from_the_results_too(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await three_pulls(pilot, runner)
        await pilot.press("escape", "space")
        assert table(pilot, "families").has_focus
        await until(pilot, lambda: states(pilot)["a"] == "paused")


async def test_a_failed_pull_can_be_tried_again_or_renamed(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await three_pulls(pilot, runner)
        runner.fail(ModelNotFoundError("no such tag", "it has: Q4_0"), of="a")
        await until(pilot, lambda: states(pilot)["a"] == "failed")
        await pilot.press("G")
        await see(pilot, "× a", "no such tag", "it has: Q4_0", "⏎ tries again · e edits the name")
        await pilot.press("e")
        assert pilot.app.screen.query_one(Input).value == "a"
        await pilot.press("shift+tab")
        await until(pilot, lambda: pilot.app.screen.query_one(Queue).has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: states(pilot)["a"] == "queued")


async def test_the_enter_key_on_a_pull_leads_to_its_chat(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await three_pulls(pilot, runner)
        await pilot.press("space")
        await until(pilot, lambda: states(pilot)["a"] == "paused")
        await pilot.press("enter")
        await until(pilot, lambda: states(pilot)["a"] == "queued")
        await pilot.press("down", "enter")
        await see(pilot, "[3 Chat]", "Getting b")


async def test_layers_are_shown_of_the_pull_under_the_cursor(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await three_pulls(pilot, runner)
        runner.progress(7, 7, "sha256:1d0c3d56c5d1ff", of="a")
        await see(pilot, "↓ 9c2fe1aa0b77 50/100B   ✓ 1d0c3d56c5d1 7/7B", "1/2 parts")
        await pilot.press("down")
        await gone(pilot, "9c2fe1aa0b77")


async def test_the_end_is_told_for_all_pulls_together(runner: StageRunner, tmp_path: Path) -> None:
    clock = StageClock()
    async with stage(runner, tmp_path, clock=clock).run_test(size=LARGE) as pilot:
        await at_get(pilot)
        await pilot.press("p")
        for second in range(4):
            clock.seconds = float(second)
            runner.progress((1 + second) * 100_000_000, 12_400_000_000)
            await see(pilot, f"{(1 + second) / 10:.1f}/12.4G")
        await see(pilot, "100 MB/s", "2:00", "12 GB to come", "done about 10:33", "200 GB after")


async def test_the_queue_comes_back_with_the_program(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await three_pulls(pilot, runner)
        await pilot.press("space")
        await until(pilot, lambda: states(pilot)["a"] == "paused")
    again = StageRunner(runner.stored)
    async with stage(again, tmp_path).run_test(size=LARGE) as pilot:
        # It is the screen that was shown last.
        await see(pilot, "Pulls 2 · 1 paused", "paused · 50 B kept")
        assert states(pilot) == {"a": "paused", "b": "running", "c": "running"}
        await until(pilot, lambda: [call for call in again.calls if call[0] == "pull"])


async def test_copy_and_page(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot)
        await pilot.press("y")
        await see(pilot, "Copied qwen2.5-coder:7B-Q8_0.")
        assert pilot.app.clipboard == "qwen2.5-coder:7B-Q8_0"
        await pilot.press("o")
        await see(pilot, "https://hub.docker.com/r/ai/qwen2.5-coder")
        await until(pilot, lambda: opened == ["https://hub.docker.com/r/ai/qwen2.5-coder"])


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("hf.co/Org/Repo:Q4_0", "https://huggingface.co/Org/Repo"),
        ("gemma3:4b", "https://hub.docker.com/r/ai/gemma3"),
        ("registry.example.com/me/m:v1", "https://registry.example.com/me/m"),
        ("no name", ""),
    ],
)
def test_pages(name: str, page: str) -> None:
    assert page_of(name) == page


async def test_panes_go_round(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot, results=False)
        seen = []
        for key in ("tab", "right", "tab", "tab", "shift+tab", "left", "left", "left", "left"):
            await pilot.press(key)
            focused = pilot.app.focused
            seen.append(focused.id if focused else None)
        # In the box the arrow keys move the cursor.
        there = ["families", "offers", "queue", "wish"]
        assert seen == [*there, "queue", "offers", "families", "wish", "wish"]


async def test_the_palette_gets_what_is_typed(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("ctrl+p")
        pilot.app.screen.query_one(Input).value = "gemma3:12b"
        await see(pilot, "Get gemma3:12b")
        await pilot.press("enter")
        await see(pilot, "[2 Get]", "↓ gemma3:12b")
        assert ("pull", "gemma3:12b") in runner.calls
        await pilot.press("ctrl+p")
        pilot.app.screen.query_one(Input).value = "get tiny coder"
        await see(pilot, "Look for “tiny coder” on Get")
        await pilot.press("escape", "alt+1")
        await see(pilot, "[1 Models]")
        await pilot.press("colon")
        pilot.app.screen.query_one(Input).value = "pull qwen3:8b"
        await see(pilot, "Get qwen3:8b")
        await pilot.press("escape", "ctrl+p")
        pilot.app.screen.query_one(Input).value = "zebra coder"
        await see(pilot, "Look for “zebra coder” on Get")
        await pilot.press("enter")
        await see(pilot, "Nothing is called “zebra coder”.")


async def test_the_palette_knows_the_actions(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("ctrl+p")
        pilot.app.screen.query_one(Input).value = "only models that fit"
        await see(pilot, "Show only models that fit, or all")
        await pilot.press("enter")
        await see(pilot, "[2 Get]", "f fits ✓")


async def test_without_a_runner_it_says_so_and_tries_again(tmp_path: Path) -> None:
    failures = [UnavailableError("http://nowhere does not answer", "start it there")]

    async def opened() -> None:
        if failures:
            raise failures.pop()

    app = stage(StageRunner(), tmp_path, opened=opened)
    async with app.run_test(size=SMALL) as pilot:
        await see(pilot, "nowhere does not answer")
        await pilot.press("2")
        await see(pilot, "[2 Get]", "× No runner", "start it there", "^l Try again")
        await pilot.press("ctrl+l")
        await see(pilot, "7B Q8_0")


async def test_a_runner_elsewhere_gets_figures_but_no_verdict(
    runner: StageRunner, tmp_path: Path
) -> None:
    runner.memory = None
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("2")
        await see(pilot, "7B Q4_K_M", "4.7 GB to fetch")
        assert "★" not in screen_text(pilot.app)
        assert "free" not in screen_text(pilot.app)


async def test_an_answer_that_comes_late_does_not_take_the_place_of_a_newer_one(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await at_get(pilot, results=False)
        runner.open = asyncio.Event()
        await pilot.press(*"gemma")
        await until(pilot, lambda: ("gemma", "huggingface") in runner.searched)
        await see(pilot, "H Docker Hub …")
        late, runner.open = runner.open, None
        await pilot.press("escape", *"star")
        await see(pilot, "starcoder2", "Found 1")
        late.set()
        await pilot.pause(0.1)
        await see(pilot, "Found 1", "starcoder2", "H Docker Hub ✓")


async def test_every_size_down_to_a_tiny_one_can_be_drawn(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await three_pulls(pilot, runner)
        for size in ((20, 6), (60, 15), (200, 60), SMALL):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert screen_text(pilot.app)
        assert isinstance(pilot.app.screen, GetScreen)
