"""Logs: requests of several clients, one of each kind of end, and what the engine said."""

from __future__ import annotations

from typing import Any

import msgspec

from dmr_tui.engine.request import Delta, Finished, Started, Usage
from dmr_tui.errors import ContextLengthError, DmrError, ModelNotFoundError
from dmr_tui.runner.activity.exchange import Exchange
from dmr_tui.runner.activity.records import LogLine
from tests.tui.conftest import see, until
from tests.tui.scenes.models import models
from tests.tui.scenes.scene import Picture, Scene
from tests.tui.stage import NOW, StageRunner

PATH = "/v1/chat/completions"
TOO_LONG = ContextLengthError(
    "the prompt has 9214 tokens, the context holds 8192",
    "shorten it, or load the model with a larger context",
)


def begin(
    runner: StageRunner,
    ago: float,
    client: str,
    model: str,
    *says: str,
    protocol: str = "chat",
    stream: bool = True,
) -> Exchange:
    """Let a client ask something."""
    runner.now = NOW - ago
    exchange = runner.journal.prepare(
        client=client, protocol=protocol, method="POST", path=PATH, stream=stream
    )
    body: dict[str, Any] = {"model": model, "temperature": 0.2, "max_tokens": 512}
    body["messages"] = [{"role": "system", "content": "You are a release manager."}]
    body["messages"] += [{"role": "user", "content": text} for text in says]
    exchange.request = msgspec.json.encode(body)
    exchange.model = model
    runner.journal.open(exchange)
    return exchange


def end(
    runner: StageRunner,
    exchange: Exchange,
    seconds: float,
    *,
    status: int = 200,
    prompt: int = 26,
    text: str = "",
    tokens: int = 0,
    error: DmrError | None = None,
) -> None:
    """Let a request end."""
    runner.now = exchange.arrived + 0.31
    answer = exchange.asks(exchange.model)
    if error is not None:
        exchange.fails(error)
    else:
        answer.see(Started(prompt, cached_tokens=prompt // 2))
        answer.see(Delta(text or "…", tokens=tokens))
    runner.now = exchange.arrived + seconds
    if status == 200:
        answer.see(Finished("stop", Usage(prompt, tokens, prompt // 2, 0.31, seconds - 0.31)))
    runner.journal.close(exchange, status)


def some_requests(runner: StageRunner) -> None:
    """One of each kind."""
    ask = "Now list the regressions."
    end(runner, begin(runner, 236, "curl/8.5.0", "qwen3:8b", ask), 2.2, prompt=310, tokens=97)
    missing = begin(runner, 215, "curl/8.5.0", "qwen4:8b", ask, stream=False)
    unknown = ModelNotFoundError("model 'qwen4:8b' not found", "did you mean qwen3:8b?")
    end(runner, missing, 0.01, status=404, error=unknown)
    embed = begin(runner, 127, "zed/0.209", "nomic-embed-text", protocol="embeddings", stream=False)
    embed.counts(512)
    runner.now = embed.arrived + 0.02
    runner.journal.close(embed, 200)
    left = begin(runner, 124, "zed/0.209", "qwen3:8b", ask)
    end(runner, left, 0.5, status=499, prompt=881, tokens=12, text="The first")
    good = begin(runner, 70, "zed/0.209", "qwen3:8b", "Hello!", ask)
    text = "Three regressions:\n\n1. start-up is slower,\n2. logs are not rotated,\n3. a typo."
    end(runner, good, 4.9, tokens=212, text=text)
    long = begin(runner, 49, "OpenAI/Python 2.8.0", "qwen3:8b", "Here is the log: …", ask)
    end(runner, long, 0.01, status=400, error=TOO_LONG)
    running = begin(runner, 2, "zed/0.209", "qwen3:8b", ask)
    answer = running.asks("qwen3:8b")
    answer.see(Started(2456, 2400))
    answer.see(Delta("So far", tokens=88))
    runner.now = NOW


LINES = (
    LogLine(NOW - 3901, "smollm2  done, 386 MB in 4.2 s", "info", "pull"),
    LogLine(NOW - 1133, "llama3.2:3b  idle for 300 s, freed 3.1 GiB", "info", "evict"),
    LogLine(NOW - 240, "load_tensors: offloaded 36/37 layers", "info", "qwen3_8b", engine=True),
    LogLine(NOW - 238, "qwen3:8b  loaded in 2.4 s, 6.9 GiB, context 8192", "info", "load"),
    LogLine(NOW - 215, "404  chat  qwen4:8b  model_not_found: model 'qwen4:8b' not found"
            "  client=curl/8.5.0", "warn", "http"),
    LogLine(NOW - 124, "499  chat  qwen3:8b  881→12 tokens  the client hung up", "info", "http"),
    LogLine(NOW - 65, "200  chat  qwen3:8b  26→212 tokens  4.90 s", "info", "http"),
    LogLine(NOW - 49, "400  chat  qwen3:8b  context_length_exceeded: the prompt has 9214 tokens,"
            " the context holds 8192  client=OpenAI/Python_2.8.0", "warn", "http"),
    LogLine(NOW - 31, "decode: failed to find a memory slot", "error", "qwen3_8b", engine=True),
)  # fmt: skip


async def empty(scene: Scene) -> None:
    await models(scene)
    await scene.pilot.press("5")
    await see(scene.pilot, "No request yet.", "9.1/64G")


async def requests(scene: Scene) -> None:
    some_requests(scene.runner)
    scene.runner.lines = list(LINES)
    await models(scene)
    await scene.pilot.press("5")
    await see(scene.pilot, "10:30:11", "7 of 7", "failed to find a memory slot", "9.1/64G")
    await see(scene.pilot, "You are a release manager.")


async def requests_only(scene: Scene) -> None:
    await requests(scene)
    await scene.pilot.press("L", "down", "down")
    await see(scene.pilot, "[Requests]", "Hello!")


async def error_detail(scene: Scene) -> None:
    await requests(scene)
    await scene.pilot.press("down")
    await see(scene.pilot, "1 022 tokens over", "e Set context 10240")
    await until(scene.pilot, lambda: "Here is the log" in _detail(scene))


async def timing(scene: Scene) -> None:
    await requests_only(scene)
    await scene.pilot.press("right", "right")
    await see(scene.pilot, "[Timing]", "first token")


async def logs_only(scene: Scene) -> None:
    await requests(scene)
    await scene.pilot.press("L", "L", "m")
    await see(scene.pilot, "[Logs]", "▼ following", "10 of 10 lines")


async def filtered(scene: Scene) -> None:
    await requests(scene)
    await scene.pilot.press("slash", *"status:>=400 OR model:nomic", "enter")
    await see(scene.pilot, "esc Show all", "4 of 7")


async def filter_error(scene: Scene) -> None:
    await requests(scene)
    await scene.pilot.press("slash", *"status:many")
    await see(scene.pilot, "expects a number after “status:”")


async def bodies_off(scene: Scene) -> None:
    await requests(scene)
    await scene.pilot.press("b")
    await see(scene.pilot, "texts off", "Texts are not recorded")


def _detail(scene: Scene) -> str:
    from textual.widgets import Static

    content = scene.pilot.app.screen.query_one("#detail-body", Static).content
    return str(getattr(content, "plain", content))


PICTURES: dict[str, Picture] = {
    "logs-empty": Picture(empty),
    "logs": Picture(requests),
    "logs-requests": Picture(requests_only),
    "logs-error": Picture(error_detail),
    "logs-timing": Picture(timing),
    "logs-only": Picture(logs_only),
    "logs-filter": Picture(filtered),
    "logs-filter-error": Picture(filter_error),
    "logs-texts-off": Picture(bodies_off),
    "logs-light": Picture(error_detail, "light"),
}
