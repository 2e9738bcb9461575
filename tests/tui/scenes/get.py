"""Get."""

from __future__ import annotations

import asyncio

from dmr_tui.errors import ModelNotFoundError, RegistryError
from dmr_tui.screens.get.screen import GetScreen
from tests.tui.conftest import see, until
from tests.tui.scenes.models import models
from tests.tui.scenes.scene import Picture, Scene
from tests.tui.stage import model

NAMES = ("gemma3:12b", "llama3.3:70b", "qwen3:14b", "smollm2:360m", "bad:tag", "phi4")


async def get(scene: Scene) -> None:
    """What is popular, before a word is typed."""
    await models(scene)
    await scene.pilot.press("2")
    await see(scene.pilot, "[2 Get]", "7B Q8_0", "204 GB of disk", "9.1/64G")
    # The model under the cursor has been looked at.
    await until(scene.pilot, lambda: scene.runner.looked_at)
    await see(scene.pilot, "32K context", "  9.9G")


async def results(scene: Scene) -> None:
    await get(scene)
    await scene.pilot.press(*"coder")
    await until(scene.pilot, lambda: ("coder", "huggingface") in scene.runner.searched)
    await scene.pilot.press("enter", "right")
    await see(scene.pilot, "Found 4", "esc Back")


async def searching(scene: Scene) -> None:
    await models(scene)
    scene.runner.open = asyncio.Event()
    await scene.pilot.press("2")
    await see(scene.pilot, "asking Docker Hub and Hugging Face", "9.1/64G", "212 GB free")


async def nothing(scene: Scene) -> None:
    await get(scene)
    await scene.pilot.press(*"zebra")
    await see(scene.pilot, "Nothing is called “zebra”.")


async def named(scene: Scene) -> None:
    await get(scene)
    screen = scene.pilot.app.screen
    assert isinstance(screen, GetScreen)
    screen.find("hf.co/Qwen/Qwen2.5-Coder-14B-Instruct-GGUF:Q8_0")
    await see(scene.pilot, "Found 1", "15.7G", "SPLIT")


async def partly(scene: Scene) -> None:
    scene.runner.hits["huggingface"] = RegistryError(
        "failed to search HuggingFace: rate limited by HuggingFace, please try again later"
    )
    await models(scene)
    await scene.pilot.press("2")
    await see(scene.pilot, "! HuggingFace: rate limited", "9.1/64G", "^l tries again")
    await until(scene.pilot, lambda: scene.runner.looked_at)
    await see(scene.pilot, "  9.9G", "32K context")


async def offline(scene: Scene) -> None:
    for source, name, host in (
        ("dockerhub", "Docker Hub", "hub.docker.com"),
        ("huggingface", "HuggingFace", "huggingface.co"),
    ):
        scene.runner.hits[source] = RegistryError(  # type: ignore[index]  # both are sources
            f"failed to search {name}: cannot reach {host}: Name or service not known",
            "check the network, and try again later",
        )
    await models(scene)
    await scene.pilot.press("2")
    await see(scene.pilot, "Neither Docker Hub nor Hugging Face answers", "9.1/64G")
    await see(scene.pilot, "212 GB free")


async def pulling(scene: Scene) -> None:
    """Two run, one waits, one is halted, one is here, one has failed."""
    pilot, runner = scene.pilot, scene.runner
    await get(scene)
    workspace = pilot.app.workspace  # type: ignore[attr-defined]  # it is a DmrApp
    pulls = workspace.pulls
    runner.apart(*NAMES)
    started = {name: workspace.pull(name) for name in NAMES}
    for second, share in enumerate((0, 2, 5, 9, 12, 16, 20, 24)):
        scene.clock.seconds = float(second)
        current = 4_000_000_000 + share * 30_000_000
        runner.progress(11_358, 11_358, "sha256:1d0c3d56c5d1", of="gemma3:12b")
        runner.progress(current, 8_100_000_000, of="gemma3:12b")
        await until(pilot, lambda: started["gemma3:12b"].done == current + 11_358)  # noqa: B023  # waited for at once
    runner.progress(6_900_000_000, 42_500_000_000, of="llama3.3:70b")
    await until(pilot, lambda: started["llama3.3:70b"].done)
    pulls.pause(started["llama3.3:70b"])
    await until(pilot, lambda: started["llama3.3:70b"].state == "paused")
    for _ in range(3):
        pulls.move(started["qwen3:14b"], 1)
    pulls.pause(started["qwen3:14b"])
    runner.progress(386_000_000, 386_000_000, of="smollm2:360m")
    runner.arrive(model("smollm2:360m"), of="smollm2:360m")
    await until(pilot, lambda: started["smollm2:360m"].state == "done")
    refusal = ModelNotFoundError("docker.io has no model ai/bad:tag", "check the name and the tag")
    runner.fail(refusal, of="bad:tag")
    await until(pilot, lambda: started["bad:tag"].state == "failed")
    await until(pilot, lambda: started["phi4"].state == "running")
    runner.progress(900_000_000, 9_100_000_000, of="phi4")
    await until(pilot, lambda: started["phi4"].done)
    pulls.resume(started["qwen3:14b"])
    await pilot.press("tab", "tab", "tab", "g")
    await see(pilot, "Pulls 2 · 1 queued · 1 paused · 1 failed", "starts after phi4", "space Pause")


async def failed(scene: Scene) -> None:
    await pulling(scene)
    await scene.pilot.press("G", "k")
    await see(scene.pilot, "⏎ tries again · e edits the name", "x Forget")


PICTURES: dict[str, Picture] = {
    "get": Picture(get),
    "get-light": Picture(get, "light"),
    "get-searching": Picture(searching),
    "get-results": Picture(results),
    "get-named": Picture(named),
    "get-nothing": Picture(nothing),
    "get-partly": Picture(partly),
    "get-offline": Picture(offline),
    "get-pulling": Picture(pulling),
    "get-failed": Picture(failed),
}
