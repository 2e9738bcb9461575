"""The Chat screen in a real pseudo-terminal: streaming, typing meanwhile, long chats.

    python -m benchmarks.ui chat
    python -m benchmarks.ui_chat stream KIND FOLDER      the program that is measured

The measured program is the full screen on a runner that answers a fixed text at 100 tokens a
second; engines would take the same processors. It writes what it has seen of itself to a file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, cast

import psutil

from dmr_tui.app import DmrApp
from dmr_tui.chat.archive import Archive, changes_of
from dmr_tui.chat.conversation import Conversation
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import Delta, Event, Finished, GenerateRequest, Started, Usage
from dmr_tui.paths import Paths
from dmr_tui.runner.base import Runner
from dmr_tui.settings import Settings
from tests.tui.stage import SEVEN, StageRunner

_TOKENS = 2000
_SECONDS_PER_TOKEN = 0.01
_BEAT = 0.005
_REPLIES = 40
_MESSAGES = 2000
_LETTERS = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρστυφχψω"
_BARS = {"mixed": 0.0035, "fence": 0.002, "list": 0.007}
_END = "This is the end."


def text_of(kind: str) -> str:
    """An answer of about 2,000 tokens: `mixed` Markdown, one `fence` or one `list`."""
    sentence = "the cache stores one key and one value vector for each layer and token"
    words = sentence.split(" ")
    if kind == "fence":
        lines = [
            f"value_{at} = compute(layer={at}, heads=8)  # {words[at % 14]}" for at in range(400)
        ]
        return "\n".join(["```python", *lines, "```", "", _END])
    if kind == "list":
        items = [f"- item {at} of the list with **{words[at % 14]}** in it" for at in range(400)]
        return "\n".join([*items, "", _END])
    section = (
        "## Section {at}\n\n" + " ".join(words * 3) + ", with `code` and *stress*.\n\n"
        "```python\ndef kv(n, layers=36):\n    return 2 * layers * n\n```\n\n"
        "| format | bytes |\n|---|---|\n| f16 | 2 |\n| q8_0 | 1.06 |\n\n"
        "1. first point\n2. second point\n   - nested\n\n"
    )
    return "".join(section.replace("{at}", str(at)) for at in range(14)) + _END


def tokens_of(text: str, count: int = _TOKENS) -> list[str]:
    """A text in so many pieces."""
    size = len(text) / count
    cuts = [round(at * size) for at in range(count + 1)]
    return [text[begin:end] for begin, end in pairwise(cuts)]


class PacedRunner(StageRunner):
    """Answers one text, a token every hundredth of a second."""

    def __init__(self, text: str) -> None:
        super().__init__(SEVEN)
        self.run(SEVEN[0])
        self._tokens = tokens_of(text)

    async def generate(
        self, model: str, request: GenerateRequest, *, profile: Profile | None = None
    ) -> AsyncGenerator[Event, None]:
        """The text, whatever is asked."""
        yield Started(prompt_tokens=3000)
        begun = time.monotonic()
        for at, token in enumerate(self._tokens):
            await asyncio.sleep(max(begun + at * _SECONDS_PER_TOKEN - time.monotonic(), 0))
            yield Delta(token)
        yield Finished("stop", Usage(3000, len(self._tokens)))


class MeasuredApp(DmrApp):
    """Watches its own loop and processor while an answer streams."""

    CSS_PATH: ClassVar = [
        Path(sys.modules[DmrApp.__module__].__file__ or "").parent / sheet
        for sheet in DmrApp.CSS_PATH
    ]

    def __init__(self, runner: PacedRunner, text: str, home: Path) -> None:
        async def open_runner() -> Runner:
            return cast("Runner", runner)

        paths = Paths(data=home / "data", config=home / "config", state=home / "state")
        super().__init__(Settings(), paths, open_runner=open_runner, goes_on=True)
        self._text = text
        self._result = home / "result.json"

    def on_ready(self) -> None:
        """Begin as soon as the saved chat is there."""
        self.run_worker(self._measure())

    async def _measure(self) -> None:
        from dmr_tui.screens.chat.screen import ChatScreen
        from dmr_tui.screens.chat.window import MOST, PAGE
        from dmr_tui.widgets.turn import TurnView

        while not (isinstance(self.screen, ChatScreen) and self.screen.query(TurnView)):
            await asyncio.sleep(0.05)
        screen = self.screen
        window = screen._view.window
        # As many of the replies as a long session would have left there.
        while len(window.mounted) + PAGE <= MOST:
            window.extend("top")
            await asyncio.sleep(0.2)
        screen._view.follow()
        await asyncio.sleep(1.0)
        screen._composer.prompt.put("Tell me")
        screen._composer.prompt.action_submit()
        while screen._talk is None:
            await asyncio.sleep(0.01)
        late: list[float] = []
        cpu = time.process_time()
        while screen._talk is not None:
            due = time.monotonic() + _BEAT
            await asyncio.sleep(_BEAT)
            late.append(time.monotonic() - due)
        cpu = time.process_time() - cpu
        await asyncio.sleep(0.3)
        shown = screen.query(TurnView).last().text
        late.sort()
        self._result.write_text(
            json.dumps(
                {
                    "cpu": cpu / _TOKENS,
                    "p99": late[int(len(late) * 0.99)],
                    "most": late[-1],
                    "whole": shown == self._text,
                    "views": len(screen.query(TurnView)),
                }
            )
        )


def make_chat(home: Path, turns: int) -> None:
    """Save a chat with so many turns, answers of 4 kB."""
    conversation = Conversation("qwen3:8b")
    reply = text_of("mixed")[:4000]
    for at in range(turns):
        conversation.ask(f"Question {at}?")
        conversation.answer(f"Answer {at}.\n\n{reply}\n\nEnd of answer {at}.")
    home.mkdir(parents=True, exist_ok=True)
    archive = Archive(home / "chats.db")
    archive.write(changes_of(conversation, time.time()))
    archive.close()


def chat(options: argparse.Namespace) -> None:
    """Streaming beside 40 finished replies, typing meanwhile, and opening 2,000 messages."""
    from benchmarks.ui import report

    del options
    for kind in _BARS:
        keys, result = _streamed(kind)
        bar = _BARS[kind]
        verdict = "holds" if result["cpu"] <= bar else "DOES NOT HOLD"
        cpu = f"{result['cpu'] * 1000:.2f} ms of CPU per token"
        print(f"stream, {kind:<26}{cpu}   bar {bar * 1000:g} ms: {verdict}")
        stall = f"p99 {result['p99'] * 1000:.0f} ms, most {result['most'] * 1000:.0f} ms"
        verdict = "holds" if result["p99"] <= 0.05 else "DOES NOT HOLD"
        lost = "no text lost" if result["whole"] else "TEXT LOST"
        print(f"{'':<34}stalls: {stall}   bar 50 ms: {verdict}; {lost}; {result['views']} turns")
        report(f"{'':<8}key to glyph meanwhile", keys, 0.05)
    _long_chat()


def _streamed(kind: str) -> tuple[list[float], dict[str, float]]:
    from benchmarks.ui import Screen

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        make_chat(home / "data", _REPLIES)
        command = [sys.executable, "-m", "benchmarks.ui_chat", "stream", kind, folder]
        with Screen(command, {"HOME": folder, "TZ": "UTC"}) as screen:
            screen.wait_for("so far", 60)
            keys = []
            for letter in _LETTERS:
                keys.append(screen.draws(letter))
                _drain(screen, 0.2)
            result = home / "result.json"
            end = time.monotonic() + 60
            while not result.exists() and time.monotonic() < end:
                _drain(screen, 0.1)
            time.sleep(0.1)
            return keys, json.loads(result.read_text())


def _drain(screen: object, seconds: float) -> None:
    """Read what is drawn for a while, as a terminal does."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        screen._read(left)  # type: ignore[attr-defined]  # the benchmark's own


def _long_chat() -> None:
    from benchmarks.ui import PROGRAM, Screen, report

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        make_chat(home / "share" / "dmr", _MESSAGES // 2)
        environment = {"HOME": folder, "XDG_DATA_HOME": f"{folder}/share", "MODELS_PATH": folder}
        with Screen([*PROGRAM, "--continue"], environment) as screen:
            screen.wait_for(f"End of answer {_MESSAGES // 2 - 1}")
            screen.settle()
            os.write(screen._fd, b"\x1bOQ")
            screen.wait_for("Question 0?")
            screen.settle()
            times = []
            for _ in range(5):
                begun = time.perf_counter()
                os.write(screen._fd, b"\r")
                screen.wait_for(f"End of answer {_MESSAGES // 2 - 1}")
                times.append(time.perf_counter() - begun)
                screen.settle()
                os.write(screen._fd, b"\x1bOQ\x1bOQ")  # closed and opened: the list has the focus
                screen.settle()
            report(f"{_MESSAGES} messages open", times, 0.3)
            size = psutil.Process(screen.pid).memory_info().rss / 1024**2
            verdict = "holds" if size <= 120 else "DOES NOT HOLD"
            print(f"{'':<34}{size:.0f} MiB of memory with it open   bar 120 MiB: {verdict}")


def main() -> None:
    """Be the program that is measured."""
    _, _, kind, folder = sys.argv
    text = text_of(kind)
    MeasuredApp(PacedRunner(text), text, Path(folder)).run()


if __name__ == "__main__":
    main()
