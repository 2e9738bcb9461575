from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from dmr_tui.errors import RegistryError, StoreError
from dmr_tui.runner.base import Importable
from dmr_tui.screens.models.suggestions import suggestions
from dmr_tui.system.gpu import GpuReading
from dmr_tui.system.memory import MemoryReading
from dmr_tui.system.sampler import Machine
from tests.tui.conftest import LARGE, SMALL, screen_text, see, until
from tests.tui.stage import GB, StageRunner, model, stage


async def _shown(pilot: Pilot[None], text: str) -> str:
    await see(pilot, text)
    return screen_text(pilot.app)


def machine(memory: int, *, gpu: int = 0, disk: int = 200) -> Machine:
    gpus = (GpuReading("a GPU", gpu * GB, 0, 0.0),) if gpu else ()
    return Machine(8, disk * GB, MemoryReading(memory * GB, memory * GB), gpus)


@pytest.mark.parametrize(
    ("here", "names"),
    [
        (machine(64, gpu=24), ["gpt-oss", "gemma3", "smollm2"]),
        (machine(64, gpu=12), ["phi4", "gemma3", "smollm2"]),
        # What does not fit the GPU is read from memory, and there large ones are slow.
        (machine(64, gpu=2), ["qwen3", "gemma3", "smollm2"]),
        (machine(64), ["qwen3", "gemma3", "smollm2"]),
        (machine(4), ["gemma3", "smollm2"]),
        (machine(2), ["qwen3:0.6B-Q4_K_M", "smollm2"]),
        (machine(1), ["smollm2"]),
        (machine(0), []),
        (machine(64, gpu=24, disk=7), ["qwen3", "gemma3", "smollm2"]),
        (machine(64, disk=1), []),
    ],
)
def test_what_suits_a_machine_is_suggested(here: Machine, names: list[str]) -> None:
    assert [each.name for each in suggestions(here)] == names


async def test_one_key_begins_a_chat_with_the_built_in_model(tmp_path: Path) -> None:
    runner = StageRunner()
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await see(pilot, "Begin with", "dmr/guide", "smollm2")
        await pilot.press("enter")
        await see(pilot, "[3 Chat]")
        runner.arrive(model("dmr/guide"))
        await see(pilot, "dmr/guide")
        await pilot.press(*"hi", "enter")
        await until(pilot, lambda: runner.asked)
    assert ("pull", "dmr/guide") in runner.calls


async def test_the_key_is_called_what_it_does(tmp_path: Path) -> None:
    runner = StageRunner()
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await see(pilot, "Begin with", "smollm2", "⏎ Chat")
        await pilot.press("down")
        await see(pilot, "⏎ Get it and chat")
        await pilot.press("up")
        await see(pilot, "⏎ Chat")
        await pilot.press(*"phi4")
        await see(pilot, "⏎ Get it and chat")
        await pilot.press("f1")
        help_text = await _shown(pilot, "Help · Models")
        assert help_text.index("Without a model yet") < help_text.index("Chat with this model")


async def test_a_first_model_that_cannot_be_had_is_said_in_its_chat(tmp_path: Path) -> None:
    runner = StageRunner()
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await see(pilot, "Begin with", "smollm2")
        await pilot.press("down", "enter")
        await see(pilot, "[3 Chat]", "Getting")
        runner.fail(RegistryError("cannot reach the registry", "check the network"))
        await see(
            pilot,
            "is not here",
            "cannot reach the registry",
            "alt+2 tries again on Get",
            "dmr/guide needs no network",
        )
        assert "Write below" not in screen_text(pilot.app)


async def test_the_cursor_goes_up_and_down_and_a_click_takes(tmp_path: Path) -> None:
    runner = StageRunner()
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "smollm2", "gemma3")
        await pilot.press("down", "down", "up", "up", "up")
        choices = pilot.app.screen.query_one(OptionList)
        assert choices.highlighted == choices.option_count - 1  # round the end
        await pilot.click(OptionList, offset=(5, 2))
        await see(pilot, "[3 Chat]")
        await until(pilot, lambda: ("pull", "gemma3") in runner.calls)


async def test_models_of_other_programs_are_taken_in(tmp_path: Path) -> None:
    runner = StageRunner()
    runner.foreign = [
        Importable("ollama/llama3.2:1b", "ollama", 1_300_000_000),
        Importable("ollama/qwen3:4b", "ollama", 2_600_000_000),
        Importable("lmstudio/phi-4-mini", "lmstudio", 2_490_000_000),
    ]
    app = stage(runner, tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await see(pilot, "from Ollama", "2 models, 3.9 GB", "from LM Studio", "lmstudio/phi-4-mini")
        await pilot.press("up", "up", "enter")
        await see(pilot, "Imported 2 models.", "ollama/qwen3:4b")
        assert "[1 Models]" in screen_text(app)
    taken = [call for call in runner.calls if call[0] == "adopt"]
    assert taken == [("adopt", "ollama/llama3.2:1b"), ("adopt", "ollama/qwen3:4b")]


async def test_one_that_fails_is_said_and_the_others_come(tmp_path: Path) -> None:
    runner = StageRunner()
    names = ["ollama/one", "ollama/two"]
    runner.foreign = [Importable(name, "ollama", 1_000_000) for name in names]
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await see(pilot, "from Ollama")
        runner.failure = StoreError("the disk is full", "make room")
        await pilot.press("up", "enter")
        await see(pilot, "the disk is full  make room", "ollama/two")


async def test_the_keys_of_the_tabs_work_until_something_is_typed(tmp_path: Path) -> None:
    runner = StageRunner()
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await see(pilot, "Begin with", "smollm2")
        await pilot.press("2")
        await see(pilot, "[2 Get]")
        await pilot.press("alt+1")
        await see(pilot, "Begin with")
        await pilot.press(*"phi4")
        await see(pilot, "│  phi4 ")
