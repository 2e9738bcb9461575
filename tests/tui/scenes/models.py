"""Models, and what every screen has: help and palette."""

from __future__ import annotations

import asyncio

from textual.widgets import Input

from dmr_tui.app import DmrApp
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import Sampling
from dmr_tui.engine.stats import Stats
from dmr_tui.runner.measured import Measured
from tests.tui.conftest import gone, see
from tests.tui.scenes.scene import Picture, Scene
from tests.tui.stage import NOW, SEVEN

STATS = Stats(busy=1, kv_used=2540, generation_speed=47.1)


async def models(scene: Scene) -> None:
    """The table, as every scene begins."""
    await see(scene.pilot, "nomic-embed-text", "qwen3:8b", "NO   −18.5G", "9.1/64G")


async def at_work(scene: Scene) -> None:
    """The table, with something measured and something at work."""
    await models(scene)
    runner = scene.runner
    runner.speeds[SEVEN[0].id] = Measured(NOW - 130, 12, 1840.0, 47.1, 0.31, 2.4)
    runner.speeds[SEVEN[2].id] = Measured(NOW - 4000, 3, 912.0, 61.0, 0.2, 1.1)
    runner.speeds[SEVEN[3].id] = Measured(NOW - 90_000, 1, 210.0, 9.3, 2.1, 9.0)
    runner.run(SEVEN[0], in_use=1, slots=4, stats=STATS, gpu_layers=33)
    runner.run(SEVEN[1], keep_alive=-1, gpu_layers=33)
    app = scene.pilot.app
    assert isinstance(app, DmrApp)
    await app.workspace.library.refresh(app.workspace.runner)
    await scene.pilot.press("g", "down")
    await see(scene.pilot, "Speed here", "NO   −18.5G", "pinned")


async def welcome(scene: Scene) -> None:
    await see(scene.pilot, "Begin with", "smollm2", "212 GB free", "9.1/64G")


async def marked(scene: Scene) -> None:
    await at_work(scene)
    await scene.pilot.press("end", "space", "up", "up", "space")
    await see(scene.pilot, "2 marked")


async def deleting(scene: Scene) -> None:
    await marked(scene)
    await scene.pilot.press("d")
    await see(scene.pilot, "Delete 2 models")


async def filtering(scene: Scene) -> None:
    await at_work(scene)
    await scene.pilot.press("slash", *"size:<8g fits cap:tools")
    await see(scene.pilot, "esc All models", "3 of 7")


async def misspelt(scene: Scene) -> None:
    await at_work(scene)
    await scene.pilot.press("slash", *"size:8g")
    await see(scene.pilot, "size: needs a comparison")


async def context(scene: Scene) -> None:
    await at_work(scene)
    await scene.pilot.press("end", "up")
    await see(scene.pilot, "NO, −18.5 GB")


async def loading(scene: Scene) -> None:
    await at_work(scene)
    scene.runner.loads = asyncio.Event()
    await scene.pilot.press("end", "l")
    await see(scene.pilot, "loading 41%")


async def working(scene: Scene) -> None:
    await at_work(scene)
    await scene.pilot.press("end", "p", "p")
    scene.runner.progress(100_000_000, 400_000_000)
    await see(scene.pilot, "100 MB of 400 MB")


async def settings(scene: Scene) -> None:
    scene.runner.profiles[SEVEN[0].id] = Profile(
        context_size=16384, keep_alive=5400.0, sampling=Sampling(temperature=0.7, top_p=0.9)
    )
    await at_work(scene)
    await scene.pilot.press("e")
    await see(scene.pilot, "Settings of")


async def wrong_settings(scene: Scene) -> None:
    await settings(scene)
    scene.pilot.app.screen.query_one("#setting-top_p", Input).value = "1.5"
    await scene.pilot.press("enter")
    await see(scene.pilot, "top_p must be between 0 and 1")


async def inspecting(scene: Scene) -> None:
    await at_work(scene)
    await scene.pilot.press("i")
    await see(scene.pilot, "y copies all")


async def naming(scene: Scene) -> None:
    await at_work(scene)
    await scene.pilot.press("t")
    await see(scene.pilot, "One more name for it")


async def pulling(scene: Scene) -> None:
    await models(scene)
    await scene.pilot.press("n", *"gemma3:12b", "enter")
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


async def comparing(scene: Scene) -> None:
    await models(scene)
    await scene.pilot.press("g", "space", "down", "space")
    await see(scene.pilot, "2 marked")
    await scene.pilot.press("c")
    await see(scene.pilot, "What you write below goes")
    await scene.pilot.press(*"Name a river.", "enter")
    for answer in ("The **Rhine**, 1 230 km long.", "The Danube:\n\n- from the Black Forest"):
        await see(scene.pilot, "reading …")
        scene.runner.say(answer)
        scene.runner.finish()
    await see(scene.pilot, "Both are among your chats.")
    await see(scene.pilot, "+1")  # the header has looked at what is loaded


async def zoomed(scene: Scene) -> None:
    await at_work(scene)
    await scene.pilot.press("z")
    await gone(scene.pilot, "Speed here")


async def no_runner(scene: Scene) -> None:
    await see(scene.pilot, "does not answer")
    await see(scene.pilot, "9.1/64G")


PICTURES = {
    "models": Picture(at_work),
    "models-light": Picture(at_work, "light"),
    "models-contrast": Picture(at_work, "contrast"),
    "models-empty": Picture(welcome, stored=()),
    "models-marked": Picture(marked),
    "models-compare": Picture(comparing),
    "models-zoomed": Picture(zoomed),
    "models-no-fit": Picture(context),
    "models-loading": Picture(loading),
    "models-pushing": Picture(working),
    "models-settings": Picture(settings),
    "models-settings-error": Picture(wrong_settings),
    "models-inspect": Picture(inspecting),
    "models-tag": Picture(naming),
    "models-filter-error": Picture(misspelt),
    "models-delete": Picture(deleting),
    "models-filter": Picture(filtering),
    "models-pulling": Picture(pulling),
    "models-error": Picture(no_runner, no_runner=True),
    "help": Picture(help_open),
    "palette": Picture(palette),
    "endpoint": Picture(endpoint),
}
