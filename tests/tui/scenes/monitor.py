"""Monitor."""

from __future__ import annotations

from dmr_tui.app import DmrApp
from dmr_tui.engine.stats import Stats
from dmr_tui.errors import EngineError, UnavailableError
from dmr_tui.runner.activity.journal import Journal
from tests.tui.conftest import see
from tests.tui.scenes.scene import Picture, Scene
from tests.tui.stage import GB, NOW, SEVEN

QWEN, NOMIC, LLAMA, GEMMA = SEVEN[:4]


async def shown(scene: Scene) -> None:
    await scene.pilot.press("4")
    await see(scene.pilot, "[4 Monitor]", "9.1/64G")


async def tick(scene: Scene, seconds: float = 1.0) -> None:
    """Let time go by, and the screen look around."""
    scene.clock.seconds += seconds
    app = scene.pilot.app
    assert isinstance(app, DmrApp)
    await app.workspace.sample(closely=True)
    await app.workspace.look()
    scene.pilot.app.screen.sample()  # type: ignore[attr-defined]  # it is the monitor
    await scene.pilot.app.workers.wait_for_complete()
    await scene.pilot.pause()


def ask(journal: Journal, client: str, told: int, written: int, status: int = 200) -> None:
    """A request that has come and gone."""
    exchange = journal.prepare(client=client, protocol="chat", path="/v1/chat/completions")
    exchange.model = "qwen3:8b"
    exchange.prompt_tokens = told
    journal.open(exchange)
    exchange.answers[:] = []
    answer = exchange.asks("qwen3:8b")
    answer.tokens = written
    if status >= 400:
        exchange.fails(
            EngineError("the prompt has 9214 tokens, the context 8192", "choose a larger context")
        )
    journal.close(exchange, status)


def history(scene: Scene) -> None:
    """What has happened before."""
    runner, journal = scene.runner, scene.runner.journal
    runner.now = NOW - 2000
    journal.tell("pull", "ai/smollm2:360m", "pulled, 386 MB in 4.2 s")
    runner.now = NOW - 1200
    journal.tell("evict", "docker.io/ai/llama3.2:3b", "made room for gemma3:27b")
    for age, client, told, written, status in (
        (280, "curl 8.5", 40, 0, 200),
        (40, "python-openai 2.8", 9214, 0, 400),
        (38, "python-openai 2.8", 512, 912, 200),
        (2, "zed/0.209", 18_000, 6204, 200),
        (1, "tui", 26, 388, 200),
    ):
        runner.now = NOW - age
        ask(journal, client, told, written, status)
    runner.now = NOW - 0.5
    journal.tell("load", "docker.io/ai/gemma3:27b-it-qat", "asked for by zed/0.209")


async def busy(scene: Scene) -> None:
    history(scene)
    runner = scene.runner
    runner.run(NOMIC, keep_alive=-1.0, mode="embedding", memory=400_000_000, layers=12,
               gpu_layers=13, slots=64, pid=4712, planned=390_000_000,
               stats=Stats(prompt_tokens=5120, prompt_speed=9120, passes=10,
                           first_token_p50=0.02, first_token_p95=0.03))  # fmt: skip
    runner.run(GEMMA, state="loading", memory=1_000_000, progress=0.0, planned=18_100_000_000,
               pid=4713)  # fmt: skip
    await shown(scene)
    app = scene.pilot.app
    assert isinstance(app, DmrApp)
    # The scene is the only one that looks: a look of the screen's own would come at any moment.
    for timer in app._shells["monitor"]._clockwork:
        timer.pause()
    await app.workspace.look()  # the load begins now
    written = 1000
    for second in range(38):
        speed = 46.2 if second % 13 > 2 else 0.0
        written += round(speed)
        stats = Stats(
            busy=1 if speed else 0, kv_used=2540, prompt_tokens=700 + second, cached_tokens=3200,
            generated_tokens=written, prompt_speed=1840, generation_speed=46.2 + second % 5,
            first_token_p50=0.31, first_token_p95=0.48,
        )  # fmt: skip
        runner.run(QWEN, in_use=1, memory=900_000_000, layers=36, gpu_layers=37, slots=16,
                   planned=6_800_000_000, stats=stats)  # fmt: skip
        runner.run(GEMMA, state="loading", memory=1_000_000, progress=0.41 * second / 37,
                   planned=18_100_000_000, pid=4713)  # fmt: skip
        scene.clock.seconds += 1
        await app.workspace.sample(closely=True)
        await app.workspace.look()
    await tick(scene)
    await see(scene.pilot, "41%", "zed/0.209", "pinned")


async def idle(scene: Scene) -> None:
    scene.runner.run(QWEN, layers=36, gpu_layers=37, slots=16, memory=900_000_000,
                     planned=6_800_000_000, stats=Stats(generation_speed=47.1))  # fmt: skip
    await shown(scene)
    await tick(scene)
    await see(scene.pilot, "qwen3:8b", "47.1", "Nobody has asked")


async def nothing(scene: Scene) -> None:
    scene.runner.workers.clear()
    await shown(scene)
    await tick(scene)
    await see(scene.pilot, "No model is in memory")


async def several(scene: Scene) -> None:
    await idle(scene)
    await see(scene.pilot, "4 GPUs · 96 GB")


async def without(scene: Scene) -> None:
    scene.runner.run(QWEN, layers=36, slots=16, memory=6 * GB, planned=6_200_000_000)
    await shown(scene)
    await tick(scene)
    await see(scene.pilot, "no GPU", "Disk and network")


async def warned(scene: Scene) -> None:
    history(scene)
    await shown(scene)
    await tick(scene)
    await see(scene.pilot, "zed/0.209")
    await scene.pilot.press("w", "space")
    await see(scene.pilot, "frozen", "the prompt has 9214 tokens")


async def lost(scene: Scene) -> None:
    await idle(scene)
    runner = scene.runner

    async def nobody() -> None:
        raise UnavailableError("http://127.0.0.1:12434 does not answer", "start it: dmr serve")

    runner.running = nobody  # type: ignore[method-assign,assignment]  # it answers no more
    await tick(scene)
    await tick(scene, 8)
    await see(scene.pilot, "disconnected 8 s ago", "as they were 8 s ago")


async def absent(scene: Scene) -> None:
    await see(scene.pilot, "does not answer")
    await shown(scene)
    await tick(scene)
    await see(scene.pilot, "it is tried again", "no runner")


PICTURES = {
    "monitor": Picture(busy),
    "monitor-light": Picture(busy, "light"),
    "monitor-idle": Picture(idle),
    "monitor-empty": Picture(nothing),
    "monitor-gpus": Picture(several, gpus=4),
    "monitor-no-gpu": Picture(without, gpus=0),
    "monitor-warnings": Picture(warned),
    "monitor-lost": Picture(lost),
    "monitor-error": Picture(absent, no_runner=True),
}
