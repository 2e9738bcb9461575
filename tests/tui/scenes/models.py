"""Models, and what every screen has: help and palette."""

from __future__ import annotations

from textual.widgets import Input

from tests.tui.conftest import gone, see
from tests.tui.scenes.scene import Picture, Scene


async def models(scene: Scene) -> None:
    await see(scene.pilot, "nomic-embed-text", "qwen3:8b", "9.1/64G")


async def welcome(scene: Scene) -> None:
    await see(scene.pilot, "Begin with", "smollm2", "212 GB free", "9.1/64G")


async def deleting(scene: Scene) -> None:
    await models(scene)
    await scene.pilot.press("end", "d")
    await see(scene.pilot, "Delete smollm2")


async def filtering(scene: Scene) -> None:
    await models(scene)
    await scene.pilot.press("slash", *"qwen")
    await see(scene.pilot, "esc All models")


async def pulling(scene: Scene) -> None:
    await models(scene)
    await scene.pilot.press("p", *"gemma3:12b", "enter")
    scene.runner.progress(3_200_000_000, 8_100_000_000)
    await see(scene.pilot, "↓ gemma3:12b", "3.2 GB of 8.1 GB")
    scene.clock.seconds = 8.0
    scene.runner.progress(11_358, 11_358, "sha256:1d0c3d56c5d1")
    await see(scene.pilot, "✓ 1d0c3d56c5d1")
    scene.clock.seconds = 16.0
    scene.runner.progress(4_700_000_000, 8_100_000_000)
    await see(scene.pilot, "MB/s", "left")


async def help_open(scene: Scene) -> None:
    await models(scene)
    await scene.pilot.press("question_mark")
    await see(scene.pilot, "Help · Models")


async def palette(scene: Scene) -> None:
    await models(scene)
    await scene.pilot.press("ctrl+p")
    await see(scene.pilot, "Go to Models")
    # At once, and so that one thing is found: hits come in as many steps as there are letters.
    scene.pilot.app.screen.query_one(Input).value = "smollm"
    await see(scene.pilot, "Chat with smollm2")
    await gone(scene.pilot, "Go to Models")


async def endpoint(scene: Scene) -> None:
    await models(scene)
    await scene.pilot.press("E")
    await see(scene.pilot, "○ off")


async def no_runner(scene: Scene) -> None:
    await see(scene.pilot, "does not answer")
    await see(scene.pilot, "9.1/64G")


PICTURES = {
    "models": Picture(models),
    "models-light": Picture(models, "light"),
    "models-contrast": Picture(models, "contrast"),
    "models-empty": Picture(welcome, stored=()),
    "models-delete": Picture(deleting),
    "models-filter": Picture(filtering),
    "models-pulling": Picture(pulling),
    "models-error": Picture(no_runner, no_runner=True),
    "help": Picture(help_open),
    "palette": Picture(palette),
    "endpoint": Picture(endpoint),
}
