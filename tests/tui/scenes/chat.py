"""Chat."""

from __future__ import annotations

from pathlib import Path

from textual.events import Paste

from dmr_tui.engine.request import ReasoningDelta
from dmr_tui.errors import EngineError
from dmr_tui.widgets.prompt import PromptArea
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


async def chats(scene: Scene) -> None:
    await answered(scene)
    for question in ("why is the sky blue", "release notes for 2.1"):
        scene.clock.seconds += 60
        await scene.pilot.press("ctrl+n")
        await see(scene.pilot, "New chat")
        await type_in(scene.pilot, question)
        await scene.pilot.press("enter")
        await see(scene.pilot, "1 turn")
        scene.runner.say("It scatters.")
        scene.runner.finish()
        await see(scene.pilot, "It scatters.", "212 tokens")
    await scene.pilot.press("f2")
    await see(scene.pilot, "3 chats", "why is the sky blue", "d Delete")


async def on_code(scene: Scene) -> None:
    await answered(scene)
    await scene.pilot.press("alt+up")
    await see(scene.pilot, "y copy · s save · o open  1/1", "y Copy")


async def editing(scene: Scene) -> None:
    await answered(scene)
    await scene.pilot.press("escape", "escape")
    await see(scene.pilot, "editing your message", "Send anew")


async def versions(scene: Scene) -> None:
    await answered(scene)
    await scene.pilot.press("alt+up", "alt+up", "r")
    await until(scene.pilot, lambda: len(scene.runner.asked) == 2)
    scene.runner.say("Twice the layers, times heads, times tokens.")
    scene.runner.finish()
    await see(scene.pilot, "Twice the layers", "‹ 2/2 ›", "212 tokens")
    await scene.pilot.press("alt+up")
    await see(scene.pilot, "‹ 2/2", "y Copy")


async def parameters(scene: Scene) -> None:
    await answered(scene)
    await scene.pilot.press("f3")
    await see(scene.pilot, "System prompt", "How freely")
    await scene.pilot.press(*"900")
    await see(scene.pilot, "temperature must be")


async def chips(scene: Scene) -> None:
    await new_chat(scene)
    await type_in(scene.pilot, "Sum up ")
    scene.pilot.app.post_message(Paste("\n".join(f"line {at}" for at in range(412))))
    await see(scene.pilot, "[text 1 · 412 lines]")


async def nearly_full(scene: Scene) -> None:
    await answered(scene)
    scene.pilot.app.screen.query_one(PromptArea).text = "word " * 4600
    await see(scene.pilot, "the next message leaves the oldest 2 messages out")


async def searching(scene: Scene) -> None:
    await answered(scene)
    scene.pilot.app.screen.query_one(PromptArea).sent[:0] = ["what is a slug", "list my models"]
    await scene.pilot.press("ctrl+r")
    await see(scene.pilot, "^r older", "what is a slug")


async def waiting_behind(scene: Scene) -> None:
    await streaming(scene)
    await type_in(scene.pilot, "And per slot when 4 run at once?")
    await scene.pilot.press("enter")
    await see(scene.pilot, "is sent when the answer ends")


PICTURES = {
    "chat-new": Picture(new_chat),
    "chat-streaming": Picture(streaming),
    "chat-thinking": Picture(thinking),
    "chat-answer": Picture(answered),
    "chat-answer-light": Picture(answered, "light"),
    "chat-error": Picture(failed),
    "chat-waiting": Picture(waiting, stored=()),
    "chat-commands": Picture(commands),
    "chat-chats": Picture(chats),
    "chat-code": Picture(on_code),
    "chat-editing": Picture(editing),
    "chat-versions": Picture(versions),
    "chat-parameters": Picture(parameters),
    "chat-chips": Picture(chips),
    "chat-full": Picture(nearly_full),
    "chat-history": Picture(searching),
    "chat-queued": Picture(waiting_behind),
}
