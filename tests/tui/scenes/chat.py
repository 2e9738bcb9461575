"""Chat."""

from __future__ import annotations

from pathlib import Path

from dmr_tui.engine.request import ReasoningDelta
from dmr_tui.errors import EngineError
from tests.tui.conftest import see, type_in, until
from tests.tui.scenes.models import models, welcome
from tests.tui.scenes.scene import Picture, Scene

ANSWER = (Path(__file__).parents[1] / "answer.md").read_text("utf-8")
QUESTION = "How much memory does the KV cache need for Qwen3 8B at 8192 tokens?"


async def new_chat(scene: Scene) -> None:
    await models(scene)
    await scene.pilot.press("enter")
    await see(scene.pilot, "Chat with qwen3:8b", "9.1/64G")


async def streaming(scene: Scene) -> None:
    await new_chat(scene)
    await type_in(scene.pilot, QUESTION)
    await scene.pilot.press("enter")
    await see(scene.pilot, "reading …", "1 turn")
    await until(scene.pilot, lambda: scene.runner.asked)
    await scene.pilot.pause()
    scene.clock.seconds = 0.31
    scene.runner.say(ANSWER[:20])
    await see(scene.pilot, "1 token so far")
    scene.clock.seconds = 0.31 + 1.9
    scene.runner.say(*(ANSWER[i : i + 4] for i in range(20, 372, 4)))
    await see(scene.pilot, "89 tokens so far", "tok/s")


async def answered(scene: Scene) -> None:
    await streaming(scene)
    scene.runner.say(ANSWER[372:])
    scene.runner.finish()
    await see(scene.pilot, "46.9 tok/s", "so more slots cost", "238 / 8 192")


async def thinking(scene: Scene) -> None:
    await new_chat(scene)
    await type_in(scene.pilot, QUESTION)
    await scene.pilot.press("enter")
    scene.runner.event(ReasoningDelta("The cache holds keys and values for every layer. "))
    scene.runner.event(ReasoningDelta("So I need layers, heads and their size …"))
    await see(scene.pilot, "thinking …", "their size …")


async def failed(scene: Scene) -> None:
    await new_chat(scene)
    await type_in(scene.pilot, QUESTION)
    await scene.pilot.press("enter")
    scene.runner.fail(
        EngineError("the worker of qwen3:8b was killed (signal 9)", "is there enough memory?")
    )
    await see(scene.pilot, "killed (signal 9)")


async def waiting(scene: Scene) -> None:
    await welcome(scene)
    await scene.pilot.press(*"smollm2", "enter")
    await see(scene.pilot, "[3 Chat]")
    scene.runner.progress(100_000_000, 270_000_000)
    await type_in(scene.pilot, "hello, who are you?")
    await scene.pilot.press("enter")
    await see(scene.pilot, "waits for smollm2: 37%", "9.1/64G")


async def commands(scene: Scene) -> None:
    await new_chat(scene)
    await type_in(scene.pilot, "/s")
    await see(scene.pilot, "/set")


PICTURES = {
    "chat-new": Picture(new_chat),
    "chat-streaming": Picture(streaming),
    "chat-thinking": Picture(thinking),
    "chat-answer": Picture(answered),
    "chat-answer-light": Picture(answered, "light"),
    "chat-error": Picture(failed),
    "chat-waiting": Picture(waiting, stored=()),
    "chat-commands": Picture(commands),
}
