"""The prompt: chips, searching what was sent, the editor, drafts that survive, queueing."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot

from dmr_tui.chat.history import History
from dmr_tui.errors import EngineError
from dmr_tui.paths import Paths
from dmr_tui.screens.chat.chips import Chips
from tests.tui.conftest import LARGE, gone, see, type_in, until
from tests.tui.stage import StageRunner, stage
from tests.tui.test_chat_commands import converse, prompt, say, texts

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32


async def paste(pilot: Pilot[None], text: str) -> None:
    pilot.app.post_message(events.Paste(text))
    await pilot.pause()


async def test_a_long_paste_is_a_chip_and_is_sent_whole(
    runner: StageRunner, tmp_path: Path
) -> None:
    long = "\n".join(f"line {at}" for at in range(30))
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await type_in(pilot, "sum up: ")
        await paste(pilot, long)
        await see(pilot, "sum up: [text 1 · 30 lines]")
        await pilot.press("enter")
        await until(pilot, lambda: runner.asked)
        assert runner.asked[0].messages[0].content == f"sum up: {long}"


async def test_a_short_paste_stays_text(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await paste(pilot, "two\r\nlines")
        await until(pilot, lambda: prompt(pilot).text == "two\nlines")
        await pilot.press("shift+left", "shift+left")
        await paste(pilot, "k up")
        await pilot.press("!")
        await until(pilot, lambda: prompt(pilot).text == "two\nlink up!")


async def test_backspace_deletes_a_chip_as_a_whole(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await type_in(pilot, "a ")
        await paste(pilot, "x" * 2000)
        await see(pilot, "[text 1 · 2000 characters]")
        await pilot.press("backspace")
        await until(pilot, lambda: prompt(pilot).text == "a ")
        await pilot.press("backspace")
        assert prompt(pilot).text == "a"


async def test_the_path_of_an_image_becomes_a_chip(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my cat.png").write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await paste(pilot, str(tmp_path / "my cat.png").replace(" ", "\\ "))
        await see(pilot, "[image 1 · my cat.png]")
        await type_in(pilot, "what is it?")
        await pilot.press("enter")
        await until(pilot, lambda: runner.asked)
        assert "image_url" in str(runner.asked[0].messages[0].content) or "ImagePart" in str(
            runner.asked[0].messages[0].content
        )
        await paste(pilot, "/no/such/cat.png")
        await until(pilot, lambda: prompt(pilot).text == "/no/such/cat.png")


async def test_an_image_that_is_completed_becomes_a_chip(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dog.png").write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await type_in(pilot, "see @do")
        await see(pilot, "@dog.png")
        await pilot.press("tab")
        await until(pilot, lambda: prompt(pilot).text == "see [image 1 · dog.png] ")


def test_what_looks_like_a_chip_is_text() -> None:
    chips = Chips()
    label = chips.add_text("a\nb")
    assert chips.expand(f"x {label} [text 9 · 3 lines]") == "x a\nb [text 9 · 3 lines]"
    assert chips.before(f"x {label}") == label
    assert chips.spans(f"{label} [text 9 · 3 lines]") == [(0, len(label))]


async def test_history_is_shared_with_the_repl_and_searched(
    runner: StageRunner, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    file = Paths(tmp_path, tmp_path, state).history
    for entry in ("how do I list models", "what is a slug", "list\nof lines"):
        History(file).add(entry)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await until(pilot, lambda: len(prompt(pilot).sent) == 3)
        await type_in(pilot, "draft")
        await pilot.press("ctrl+r")
        await see(pilot, "^r older", "what is a slug")
        await type_in(pilot, "list")
        await gone(pilot, "what is a slug")
        await pilot.press("ctrl+r", "enter")
        await until(pilot, lambda: prompt(pilot).text == "how do I list models")
        assert runner.asked == []
        await pilot.press("ctrl+r", "escape")
        await until(pilot, lambda: prompt(pilot).text == "how do I list models")
        await pilot.press("enter")
        await until(pilot, lambda: runner.asked)
        await until(pilot, lambda: History(file).load()[-1] == "how do I list models")
        assert len(History(file).load()) == 4


async def test_the_editor_writes_the_message(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def edit(app: object, text: str) -> str:
        return text.upper()

    monkeypatch.setattr("dmr_tui.screens.chat.composer.edit", edit)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await type_in(pilot, "loud")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: prompt(pilot).text == "LOUD")


async def test_a_search_ends_before_the_prompt_gets_another_text(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def edit(app: object, text: str) -> str:
        return text.upper()

    monkeypatch.setattr("dmr_tui.screens.chat.composer.edit", edit)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"))
        await type_in(pilot, "loud")
        await pilot.press("ctrl+r")
        await see(pilot, "^r older")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: prompt(pilot).text == "LOUD")
        await gone(pilot, "^r older")
        await pilot.press("ctrl+r")
        await see(pilot, "^r older")
        await pilot.press("alt+up", "alt+up", "e")
        await see(pilot, "editing your message")
        await pilot.press(*" more", "enter")
        await until(pilot, lambda: len(runner.asked) == 2)
        assert runner.asked[1].messages[-1].content == "one more"
        assert prompt(pilot).text == "LOUD"


async def test_a_question_that_fails_during_an_edit_is_in_the_prompt_after_it(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"))
        await say(pilot, "two")
        await until(pilot, lambda: len(runner.asked) == 2)
        await type_in(pilot, "draft")
        await pilot.press("alt+up", "e")
        await see(pilot, "editing the answer")
        runner.fail(EngineError("the worker died"))
        await see(pilot, "the worker died")
        assert prompt(pilot).text == "first"
        await pilot.press("escape")
        await until(pilot, lambda: prompt(pilot).text == "two\ndraft")


async def test_no_terminal_for_the_editor_is_said(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await type_in(pilot, "text")
        await pilot.press("ctrl+g")
        await see(pilot, "no other program can be started here")
        assert prompt(pilot).text == "text"


async def test_what_is_typed_is_there_again(runner: StageRunner, tmp_path: Path) -> None:
    long = "\n".join("abc" for _ in range(30))
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await say(pilot, "one")
        await say(pilot, "waits")
        await type_in(pilot, "half a thought ")
        await paste(pilot, long)
        await see(pilot, "30 lines]")
    async with stage(StageRunner(runner.stored), tmp_path).run_test(size=LARGE) as pilot:
        await pilot.press("alt+3")
        await see(pilot, "What you had typed is in the prompt again.")
        assert prompt(pilot).text == "waits\nhalf a thought [text 1 · 30 lines]"
        await pilot.press("ctrl+u", "backspace", "ctrl+u")
        await until(pilot, lambda: not prompt(pilot).text)
    async with stage(StageRunner(runner.stored), tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, StageRunner(runner.stored))
        assert prompt(pilot).text == ""


async def test_enter_again_stops_the_answer_and_sends(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await say(pilot, "one")
        runner.say("as far as")
        await see(pilot, "as far as")
        await say(pilot, "two")
        await see(pilot, "“two” is sent when the answer ends · ⏎ now")
        await pilot.press("enter")
        await until(pilot, lambda: len(runner.asked) == 2)
        assert runner.stopped == ["answer"]
        said = [turn.content for turn in runner.asked[1].messages]
        assert said == ["one", "as far as", "two"]
        assert texts(pilot)[:3] == ["one", "as far as", "two"]
