"""What the keys of the Models screen do to models."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from dmr_tui.actions import actions
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import Sampling
from dmr_tui.engine.stats import Stats
from dmr_tui.errors import ConflictError, RegistryError
from dmr_tui.runner.base import Published
from dmr_tui.runner.measured import Measured
from dmr_tui.screens.models.settings_fields import inherited
from dmr_tui.settings import Settings
from dmr_tui.store.manifest import ModelConfig
from dmr_tui.store.transfer.progress import TransferProgress
from tests.tui.conftest import LARGE, SMALL, gone, part, row_with, screen_text, see, until
from tests.tui.stage import NOW, SEVEN, StageRunner, stage
from tests.tui.test_models import names


def _trained(context: int) -> ModelConfig:
    return ModelConfig(architecture="llama", gguf={"llama.context_length": str(context)})


def calls(runner: StageRunner, *kinds: str) -> list[tuple[object, ...]]:
    return [call for call in runner.calls if call[0] in kinds]


async def ready(pilot: Pilot[None]) -> None:
    await see(pilot, "nomic-embed-text", "NO   −18.5G")


async def test_the_fit_of_every_model_is_shown(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        assert "SPLIT 2/33" in row_with(pilot.app, "gemma3:27b")
        assert "GPU   788M" in row_with(pilot.app, "nomic-embed")
        assert "CPU   6.9G" in row_with(pilot.app, "▸ ● qwen3:8b")


async def test_brackets_change_the_context_and_the_memory_moves(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await see(pilot, "Memory at ctx 8 192", "KV cache    1.0 GB", "6.6 GB of 12.8 GB free")
        await pilot.press("]")
        await see(
            pilot, "Memory at ctx 16 384", "KV cache    2.1 GB", "largest ctx that fits 40 960"
        )
        await pilot.press("[", "[")
        await see(pilot, "Memory at ctx 4 096", "KV cache    515 MB")


async def test_marks_are_deleted_together_and_asked_about_once(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("G", "space", "k", "space")
        await see(pilot, "2 marked: 543 MB.  d deletes", "*○ smollm2", "space Unmark")
        await pilot.press("g", "d")
        await see(pilot, "Delete 2 models, 543 MB?  d again deletes, esc keeps.", "esc Keep")
        await pilot.press("escape")
        await gone(pilot, "Delete 2 models")
        await pilot.press("d", "j", "d")
        await see(pilot, "Deleted 2 models.")
        assert calls(runner, "remove") == [("remove", "nomic-embed-text"), ("remove", "smollm2")]
        assert len(names(pilot)) == 5


async def test_a_question_that_is_no_longer_on_the_screen_is_asked_again(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("d")
        await see(pilot, "d again deletes", "esc Keep")
        await pilot.press("T")
        await see(pilot, "Theme: ")
        await gone(pilot, "esc Keep")
        await pilot.press("d")
        await see(pilot, "d again deletes")
        await pilot.press("4", "1")
        await see(pilot, "[1 Models]")
        await gone(pilot, "esc Keep")
        await pilot.press("d")
        await see(pilot, "d again deletes")
        assert not calls(runner, "remove")


async def test_a_file_that_two_models_share_is_there_once(
    runner: StageRunner, tmp_path: Path
) -> None:
    whole, twin = SEVEN[0], SEVEN[4]
    runner.contents = {each.id: {each.id: 1_000_000} for each in SEVEN}
    runner.contents[whole.id] = {"weights": 5_000_000_000, "config": 10_000}
    runner.contents[twin.id] = {"weights": 5_000_000_000, "another config": 20_000}
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await see(pilot, "5.0 GB on disk", "5 GB shared: deleting frees 10 KB")
        await pilot.press("G", "d")
        await see(pilot, "Delete smollm2, 20 KB?")
        await pilot.press("escape", "asterisk")
        await see(pilot, "7 marked: 5.0 GB.")


async def test_ranges_all_and_none(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("v", "j", "j", "v", "G")
        await see(pilot, "3 marked")
        await pilot.press("asterisk")
        await see(pilot, "7 marked: 82.3 GB")
        await pilot.press("d")
        await see(pilot, "Delete 6 models, 77.3 GB and 1 names of models that keep others?")
        await pilot.press("escape", "backslash")
        await gone(pilot, "marked")
        await pilot.press("space")
        await see(pilot, "1 marked")
        await pilot.press("escape")
        await gone(pilot, "marked")


async def test_marked_models_are_loaded_and_unloaded_together(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("space", "G", "space", "l")
        await see(pilot, "smollm2 is loaded", "In memory 2", "l Unload")
        await pilot.press("l")
        await see(pilot, "2 models are unloaded.")
        assert calls(runner, "load", "unload") == [
            ("load", "smollm2"),
            ("unload", ["qwen3:8b", "smollm2"]),
        ]


async def test_a_load_shows_how_far_it_is(runner: StageRunner, tmp_path: Path) -> None:
    runner.loads = asyncio.Event()
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("G", "l")
        await see(pilot, "loading 41%", "◐ smollm2")
        runner.loads.set()
        await see(pilot, "smollm2 is loaded")
        assert "loading" not in screen_text(pilot.app)


async def test_a_pinned_model_stays_until_it_is_unpinned(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await see(pilot, "unloads in 2:50")
        await pilot.press("P")
        await see(pilot, "qwen3:8b stays in memory until", "pinned")
        await pilot.press("P")
        await see(pilot, "qwen3:8b is no longer pinned: it leaves 5 min after", "unloads in")
        assert calls(runner, "load") == [
            ("load", "qwen3:8b", Profile(keep_alive=-1.0)),
            ("load", "qwen3:8b", Profile(keep_alive=300.0)),
        ]


async def test_settings_are_saved_all_at_once(runner: StageRunner, tmp_path: Path) -> None:
    before = Profile(threads=3, sampling=Sampling(typical_p=0.5, top_p=0.9))
    runner.profiles[SEVEN[0].id] = before
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await ready(pilot)
        await pilot.press("e")
        await see(pilot, "Settings of qwen3:8b")
        fields = pilot.app.screen
        assert fields.query_one("#setting-threads", Input).value == "3"
        fields.query_one("#setting-context_size", Input).value = "32k"
        fields.query_one("#setting-keep_alive", Input).value = "1h30m"
        fields.query_one("#setting-temperature", Input).value = "0.2"
        fields.query_one("#setting-threads", Input).value = ""
        await pilot.press("enter")
        await see(pilot, "The settings of qwen3:8b hold from its next load on.")
        wanted = Profile(
            context_size=32768,
            keep_alive=5400.0,
            sampling=Sampling(typical_p=0.5, top_p=0.9, temperature=0.2),
        )
        assert calls(runner, "configure") == [("configure", "qwen3:8b", wanted)]
        await pilot.resize_terminal(*LARGE)
        await see(pilot, "ctx 32 768 · keep-alive 90 min", "temperature 0.2 · top_p 0.9")


async def test_what_fits_is_shown_anew_after_the_settings_were_saved(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("down")
        await until(pilot, lambda: "SPLIT" in row_with(pilot.app, "▸ ○ gemma3:27b"))
        await pilot.press("e")
        await see(pilot, "Settings of gemma3:27b")
        runner.free_device = runner.free_host = 1
        await pilot.press("enter")
        await see(pilot, "hold from its next load on")
        await until(pilot, lambda: "NO   −" in row_with(pilot.app, "▸ ○ gemma3:27b"))


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("context_size", "many", "context: 'many' is not a whole number"),
        ("keep_alive", "soon", "keep-alive: 'soon' is not use 30s, 5m, 1h30m, 0 or -1"),
        ("backend", "ollama", "engine: 'ollama' is not llama.cpp or llama-server"),
        ("threads", "0", "threads: '0' is not 1 or more"),
        ("top_p", "1.5", "top_p must be between 0 and 1, not 1.5"),
    ],
)
async def test_settings_that_make_no_sense_are_refused_where_they_are(
    runner: StageRunner, tmp_path: Path, field: str, text: str, words: str
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("e")
        await see(pilot, "Settings of qwen3:8b")
        box = pilot.app.screen.query_one(f"#setting-{field}", Input)
        box.value = text
        await pilot.press("enter")
        await see(pilot, words)
        assert pilot.app.focused is box
        await pilot.press("escape")
        await gone(pilot, "Settings of")
        assert calls(runner, "configure") == []


async def test_a_context_of_0_counts_as_not_set(runner: StageRunner, tmp_path: Path) -> None:
    runner.profiles[SEVEN[0].id] = Profile(context_size=0, threads=4)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await see(pilot, "threads 4")
        assert "ctx 0" not in screen_text(pilot.app)
        await pilot.press("e")
        await see(pilot, "Settings of qwen3:8b", "context        8192 (default)")
        await pilot.press("enter")
        await gone(pilot, "Settings of qwen3:8b")
        assert runner.profiles[SEVEN[0].id] == Profile(threads=4)


async def test_settings_that_the_runner_refuses_stay_in_the_form(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("e")
        await see(pilot, "Settings of qwen3:8b")
        await pilot.press("down", "up", *"4096")
        runner.failure = ConflictError("qwen3:8b is answering a request", "try again when idle")
        await pilot.press("enter")
        await see(pilot, "qwen3:8b is answering a request  try again when idle")
        await pilot.press("enter")
        await gone(pilot, "Settings of")
        assert runner.profiles[SEVEN[0].id] == Profile(context_size=4096)


async def test_a_context_that_was_looked_at_is_proposed(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("]", "e")
        await see(pilot, "Settings of qwen3:8b")
        assert pilot.app.screen.query_one("#setting-context_size", Input).value == "16384"


async def test_an_empty_field_shows_what_holds_then(runner: StageRunner, tmp_path: Path) -> None:
    app = stage(runner, tmp_path)
    app.workspace.settings = Settings(context_size=16_384, keep_alive=60.0, threads=6)
    async with app.run_test(size=SMALL) as pilot:
        await ready(pilot)
        await pilot.press("e")
        await see(
            pilot,
            "context        16384 (settings)",
            "keep-alive     1m (settings)",
            "engine         llama.cpp (default)",
            "threads        6 (settings)",
            "GPU layers     as many as fit",
            "temperature    0.8 (default)",
            "seed           random (default)",
        )


@pytest.mark.parametrize(
    ("config", "settings", "pools", "context"),
    [
        (ModelConfig(), Settings(), False, "8192 (default)"),
        (_trained(4096), Settings(), False, "4096 (default)"),
        (_trained(4096), Settings(context_size=2048), False, "2048 (settings)"),
        (ModelConfig(context_size=-1), Settings(context_size=2048), False, "trained (package)"),
        (_trained(512), Settings(), True, "512 (default)"),
        (ModelConfig(), Settings(), True, "2048 (default)"),
        (_trained(4096), None, False, "its server's"),
        (ModelConfig(context_size=1024), None, False, "1024 (package)"),
    ],
)
def test_the_context_where_none_is_set(
    config: ModelConfig, settings: Settings | None, pools: bool, context: str
) -> None:
    assert inherited(config, settings, pools=pools)["context_size"] == context


async def test_one_more_name(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("G", "t")
        await see(pilot, "One more name for it", "⏎ Name it", "esc Close")
        await pilot.press(*"me/tiny:v1", "enter")
        await see(pilot, "smollm2 is also called me/tiny:v1 now.", "docker.io/me/tiny:v1")
        assert calls(runner, "tag") == [("tag", "smollm2", "me/tiny:v1")]


async def test_a_name_that_means_nothing_stays_in_the_line(
    runner: StageRunner, tmp_path: Path
) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await ready(pilot)
        line = part(app, "#line")
        assert isinstance(line, Input)
        for key in ("t", "n"):
            await pilot.press(key, *"a", "space", *"b", "enter")
            await see(pilot, "'a b' is no model's name")
            assert (line.value, line.has_focus) == ("a b", True)
            await pilot.press("escape")
            await until(pilot, lambda: not line.has_focus)
            app.workspace.say("")
        assert calls(runner, "pull") == []


async def test_a_push_asks_where_to_and_shows_how_far_it_is(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("p")
        await see(
            pilot, "Push to docker.io/ai/qwen3:8b (t gives it a name of your own)?", "p again"
        )
        await pilot.press("j")
        await gone(pilot, "p again pushes")
        await pilot.press("k", "p", "p")
        runner.progress(1_000_000_000, 4_000_000_000)
        await see(pilot, "↑ qwen3:8b", "1 GB of 4 GB", "25%", "x Cancel")
        runner._lines.put_nowait(TransferProgress("success", "Model pushed successfully"))
        await see(pilot, "Pushed qwen3:8b.")
        assert calls(runner, "push") == [("push", "qwen3:8b")]
        assert "Under way" not in screen_text(pilot.app)


async def test_a_push_can_be_cancelled_and_can_fail(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("p", "p")
        runner.progress(1_000_000_000, 4_000_000_000)
        await see(pilot, "1 GB of 4 GB")
        await pilot.press("x")
        await see(pilot, "Cancelled the push of qwen3:8b")
        assert runner.stopped == ["push"]
        await pilot.press("p", "p")
        runner.fail(RegistryError("docker.io refuses the push", "dmr login"))
        await see(pilot, "docker.io refuses the push  dmr login")


async def test_an_update_is_found_and_fetched(runner: StageRunner, tmp_path: Path) -> None:
    runner.newer["smollm2"] = "sha256:" + "f" * 64
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("u")
        await see(pilot, "qwen3:8b is up to date.")
        await pilot.press("U")
        await see(pilot, "1 are newer in the registry: u gets it.", "! smollm2")
        await pilot.press("f", "f", "f")
        await until(pilot, lambda: names(pilot) == ["smollm2"])
        await see(pilot, "u Get update", "! newer in its registry")
        await pilot.press("u")
        await see(pilot, "Getting smollm2")
        assert ("pull", "smollm2") in runner.calls


async def test_what_could_not_be_compared_is_not_called_up_to_date(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = runner.look
    reached = {"smollm2", "qwen3:8b"}

    async def sometimes(name: str) -> Published:
        if name not in reached:
            raise RegistryError("cannot reach registry-1.docker.io")
        return await look(name)

    monkeypatch.setattr(runner, "look", sometimes)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("U")
        await see(pilot, "2 of 7 are up to date. Of 5 the registry did not tell.")
        reached.clear()
        await pilot.press("U")
        await see(pilot, "None could be compared: cannot reach registry-1.docker.io")


async def test_the_view_cycles_and_is_remembered(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("f")
        await see(pilot, "Models  6 of 7 · Fits", "esc All models")
        await pilot.press("f")
        await see(pilot, "Models  1 of 7 · Loaded")
        await pilot.press("s", "S")
        await see(pilot, "NAME ↑")
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "Models  1 of 7 · Loaded", "NAME ↑")
        await pilot.press("escape")
        await until(pilot, lambda: len(names(pilot)) == 7)
        assert names(pilot)[0] == "smollm2"


async def test_the_filter_knows_what_fits_and_says_what_it_does_not_understand(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await ready(pilot)
        await pilot.press("slash", *"size:<")
        await see(pilot, "size: needs a comparison, as in size:<8g")
        await pilot.press(*"8g fits cap:tools")
        await until(pilot, lambda: sorted(names(pilot)) == ["llama3.2:3b", "qwen3:8b", "smollm2"])
        assert "needs a comparison" not in screen_text(pilot.app)


async def test_a_benchmark_measures_and_can_be_stopped(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("b")
        await until(pilot, lambda: runner.asked)
        runner.say("once", " upon")
        await see(pilot, "Measuring qwen3:8b", "round 1 of 3", "x Cancel")
        await pilot.press("x")
        await see(pilot, "The measurement of qwen3:8b was stopped.")
        assert runner.stopped == ["answer"]
        await pilot.press("b")
        for number in range(2, 5):
            await until(pilot, lambda number=number: len(runner.asked) == number)  # type: ignore[misc]
            runner.say("once")
            runner.finish(tokens=91)
        await see(pilot, "qwen3:8b here: prompt 84 tok/s · gen 20 tok/s.")
        firsts = {str(request.messages[-1].content)[:40] for request in runner.asked}
        assert len(firsts) == 4


async def test_measured_speeds_and_last_use_are_shown(runner: StageRunner, tmp_path: Path) -> None:
    runner.speeds[SEVEN[2].id] = Measured(NOW - 4000, 12, 1840.0, 47.1, 0.31, 2.4)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        assert row_with(pilot.app, "llama3.2:3b").split("││")[0].split()[-1] == "1h"
        await pilot.press("j")
        await see(pilot, "Speed here (measured, 12 answers)", "prompt 1 840 tok/s · gen 47 tok/s")
        await see(pilot, "first token 0.31 s · load 2.4 s")


async def test_what_is_in_memory_is_told_with_its_work(runner: StageRunner, tmp_path: Path) -> None:
    stats = Stats(busy=1, kv_used=2540, generation_speed=47.1)
    runner.run(SEVEN[0], in_use=1, slots=4, stats=stats, gpu_layers=33)
    runner.run(SEVEN[1], keep_alive=-1, gpu_layers=20)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await see(
            pilot, "33/33 on GPU", "31% of 8 192", "1 of 4 slots busy", "47 tok/s", "answering"
        )
        await see(pilot, "20/33 on GPU", "pinned", "In memory 2")
        assert "SPLIT 20/33" in row_with(pilot.app, "▸ ● nomic-embed-text")
        await pilot.resize_terminal(*SMALL)
        await see(
            pilot, "● qwen3:8b 6.9G KV 31% 47 tok/s answering   ● nomic-embed-text 6.9G pinned"
        )


async def test_everything_about_a_model_can_be_read_and_copied(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await ready(pilot)
        await pilot.press("i")
        await see(pilot, "chat ✓ tools ✓ thinking ✓ vision –", "y copies all")
        await pilot.press("G")
        await see(pilot, "Chat template", "<think>{{ messages }}")
        await pilot.press("g")
        await see(pilot, "Memory at ctx")
        await pilot.press("y")
        await until(pilot, lambda: "qwen3.attention.head_count" in pilot.app.clipboard)
        assert SEVEN[0].id in pilot.app.clipboard
        await pilot.press("escape", "down", "Y")
        await see(pilot, "Copied the details of gemma3:27b-it-qat.")
        assert SEVEN[3].id in pilot.app.clipboard


async def test_only_the_models_in_view_are_asked_about(tmp_path: Path) -> None:
    from tests.tui.stage import model

    many = [model(f"m{number:03}") for number in range(300)]
    runner = StageRunner(many)
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await see(pilot, "GPU   8")
        await pilot.pause(0.2)
        asked = {each for call in calls(runner, "fits") for each in call[1]}  # type: ignore[attr-defined]
        assert len(asked) < 40
        await pilot.press("G")
        await until(pilot, lambda: any(many[299].id in call[1] for call in calls(runner, "fits")))  # type: ignore[operator]
        await pilot.press("f")
        await see(pilot, "300 models · Fits")


WALK = [key for action in actions("models") for key in action.keys]


@pytest.mark.parametrize("key", WALK)
async def test_no_key_does_nothing(runner: StageRunner, tmp_path: Path, key: str) -> None:
    """Each key changes what is on the screen, the clipboard, or what the runner was asked for."""
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await ready(pilot)
        await pilot.press("space", "d", "escape")  # so that there is something to leave
        if key == "x":
            await pilot.press("p", "p")
            runner.progress(1_000_000_000, 4_000_000_000)
            await see(pilot, "1 GB of 4 GB")
        before = (screen_text(pilot.app), pilot.app.clipboard, len(runner.calls))
        await pilot.press(key)
        await until(
            pilot,
            lambda: (screen_text(pilot.app), pilot.app.clipboard, len(runner.calls)) != before,
        )
