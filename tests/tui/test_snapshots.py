"""Every screen in every state, at both sizes, as it looks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from dmr_tui.chat.commands import Suggestion
from dmr_tui.engine.request import ReasoningDelta
from dmr_tui.errors import EngineError, UnavailableError
from tests.tui.conftest import LARGE, SMALL, gone, see, type_in, until
from tests.tui.snapshots import FOLDER, compare
from tests.tui.stage import SEVEN, StageClock, StageRunner, stage

ANSWER = Path(__file__).with_name("answer.md").read_text("utf-8")
QUESTION = "How much memory does the KV cache need for Qwen3 8B at 8192 tokens?"


class Scene:
    """A program on its way to a picture."""

    def __init__(self, pilot: Pilot[None], runner: StageRunner, clock: StageClock) -> None:
        self.pilot, self.runner, self.clock = pilot, runner, clock

    async def models(self) -> None:
        await see(self.pilot, "nomic-embed-text", "qwen3:8b", "9.1/64G")

    async def welcome(self) -> None:
        await see(self.pilot, "Your first model", "212 GB free", "9.1/64G")

    async def deleting(self) -> None:
        await self.models()
        await self.pilot.press("end", "d")
        await see(self.pilot, "Delete smollm2")

    async def filtering(self) -> None:
        await self.models()
        await self.pilot.press("slash", *"qwen")
        await see(self.pilot, "esc All models")

    async def pulling(self) -> None:
        await self.models()
        await self.pilot.press("p", *"gemma3:12b", "enter")
        self.runner.progress(3_200_000_000, 8_100_000_000)
        await see(self.pilot, "↓ gemma3:12b", "3.2 GB of 8.1 GB")
        self.clock.seconds = 8.0
        self.runner.progress(11_358, 11_358, "sha256:1d0c3d56c5d1")
        await see(self.pilot, "✓ 1d0c3d56c5d1")
        self.clock.seconds = 16.0
        self.runner.progress(4_700_000_000, 8_100_000_000)
        await see(self.pilot, "MB/s", "left")

    async def help(self) -> None:
        await self.models()
        await self.pilot.press("question_mark")
        await see(self.pilot, "Help · Models")

    async def palette(self) -> None:
        await self.models()
        await self.pilot.press("ctrl+p")
        await see(self.pilot, "Go to Models")
        # At once, and so that one thing is found: hits come in as many steps as there are letters.
        self.pilot.app.screen.query_one(Input).value = "smollm"
        await see(self.pilot, "Chat with smollm2")
        await gone(self.pilot, "Go to Models")

    async def no_runner(self) -> None:
        await see(self.pilot, "does not answer")
        await see(self.pilot, "9.1/64G")

    async def new_chat(self) -> None:
        await self.models()
        await self.pilot.press("enter")
        await see(self.pilot, "Chat with qwen3:8b", "9.1/64G")

    async def streaming(self) -> None:
        await self.new_chat()
        await type_in(self.pilot, QUESTION)
        await self.pilot.press("enter")
        await see(self.pilot, "reading …", "1 turn")
        await until(self.pilot, lambda: self.runner.asked)
        await self.pilot.pause()
        self.clock.seconds = 0.31
        self.runner.say(ANSWER[:20])
        await see(self.pilot, "1 token so far")
        self.clock.seconds = 0.31 + 1.9
        self.runner.say(*(ANSWER[i : i + 4] for i in range(20, 372, 4)))
        await see(self.pilot, "89 tokens so far", "tok/s")

    async def answered(self) -> None:
        await self.streaming()
        self.runner.say(ANSWER[372:])
        self.runner.finish()
        await see(self.pilot, "46.9 tok/s", "so more slots cost", "238 / 8 192")

    async def thinking(self) -> None:
        await self.new_chat()
        await type_in(self.pilot, QUESTION)
        await self.pilot.press("enter")
        self.runner.event(ReasoningDelta("The cache holds keys and values for every layer. "))
        self.runner.event(ReasoningDelta("So I need layers, heads and their size …"))
        await see(self.pilot, "thinking …", "their size …")

    async def failed(self) -> None:
        await self.new_chat()
        await type_in(self.pilot, QUESTION)
        await self.pilot.press("enter")
        self.runner.fail(
            EngineError("the worker of qwen3:8b was killed (signal 9)", "is there enough memory?")
        )
        await see(self.pilot, "killed (signal 9)")

    async def waiting(self) -> None:
        await self.welcome()
        await self.pilot.press("enter")
        await see(self.pilot, "[3 Chat]")
        self.runner.progress(100_000_000, 270_000_000)
        await type_in(self.pilot, "hello, who are you?")
        await self.pilot.press("enter")
        await see(self.pilot, "waits for smollm2: 37%", "9.1/64G")

    async def commands(self) -> None:
        await self.new_chat()
        await type_in(self.pilot, "/s")
        await see(self.pilot, "/set")


PICTURES: dict[str, tuple[Callable[[Scene], Awaitable[None]], str]] = {
    "models": (Scene.models, "dark"),
    "models-light": (Scene.models, "light"),
    "models-contrast": (Scene.models, "contrast"),
    "models-empty": (Scene.welcome, "dark"),
    "models-delete": (Scene.deleting, "dark"),
    "models-filter": (Scene.filtering, "dark"),
    "models-pulling": (Scene.pulling, "dark"),
    "models-error": (Scene.no_runner, "dark"),
    "help": (Scene.help, "dark"),
    "palette": (Scene.palette, "dark"),
    "chat-new": (Scene.new_chat, "dark"),
    "chat-streaming": (Scene.streaming, "dark"),
    "chat-thinking": (Scene.thinking, "dark"),
    "chat-answer": (Scene.answered, "dark"),
    "chat-answer-light": (Scene.answered, "light"),
    "chat-error": (Scene.failed, "dark"),
    "chat-waiting": (Scene.waiting, "dark"),
    "chat-commands": (Scene.commands, "dark"),
}
EMPTY = ("models-empty", "chat-waiting")


@pytest.fixture(autouse=True)
def _commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of the list of commands does not change with each of them."""
    words = [("/set", "change how the model answers"), ("/show", "show the model and what is set")]

    async def listed(before: str, context: object) -> list[Suggestion]:
        return [Suggestion(word, 0, summary) for word, summary in words]

    monkeypatch.setattr("dmr_tui.screens.chat.screen.suggest", listed)


@pytest.mark.parametrize("picture", PICTURES)
async def test_picture(picture: str, tmp_path: Path) -> None:
    runner = StageRunner(() if picture in EMPTY else SEVEN)
    if runner.stored:
        runner.run(SEVEN[0])
    clock = StageClock()

    async def nobody() -> None:
        raise UnavailableError("http://127.0.0.1:12434 does not answer", "start it: dmr serve")

    opened = nobody if picture == "models-error" else None
    app = stage(runner, tmp_path, clock=clock, opened=opened)
    play, app.theme = PICTURES[picture]
    async with app.run_test(size=LARGE) as pilot:
        await play(Scene(pilot, runner, clock))
        for size, cells in (("120x36", LARGE), ("80x24", SMALL)):
            await pilot.resize_terminal(*cells)
            await pilot.pause()
            await pilot.pause()
            compare(f"{picture}-{size}", app.export_screenshot(), tmp_path)


def test_every_picture_is_still_taken() -> None:
    taken = {f"{picture}-{size}.svg" for picture in PICTURES for size in ("120x36", "80x24")}
    assert {file.name for file in FOLDER.glob("*.svg")} == taken
