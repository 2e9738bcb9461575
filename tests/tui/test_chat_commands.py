"""What slash commands do on the chat screen: the registry is the REPL's, the screen obeys it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.pilot import Pilot

from dmr_tui.chat.commands import ChatContext, Outcome, execute
from dmr_tui.screens.chat.composer import Composer
from dmr_tui.widgets.prompt import PromptArea
from dmr_tui.widgets.turn import TurnView
from tests.tui.conftest import LARGE, gone, screen_text, see, type_in, until
from tests.tui.stage import StageRunner, stage


def prompt(pilot: Pilot[None]) -> PromptArea:
    return pilot.app.screen.query_one(PromptArea)


async def say(pilot: Pilot[None], text: str) -> None:
    prompt(pilot).put(text)
    pilot.app.screen.query_one(Composer).close()
    await pilot.press("enter")


async def converse(pilot: Pilot[None], runner: StageRunner, *pairs: tuple[str, str]) -> None:
    """Open the chat and have a conversation."""
    await pilot.press("alt+3")
    await see(pilot, "[3 Chat]", "Chat with qwen3:8b")
    for question, answer in pairs:
        await say(pilot, question)
        runner.say(answer)
        runner.finish()
        await see(pilot, answer)
        await gone(pilot, "esc stops")


def texts(pilot: Pilot[None]) -> list[str]:
    return [view.text for view in pilot.app.screen.query(TurnView)]


async def test_retry_draws_another_answer(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first try"))
        await say(pilot, "/retry")
        await gone(pilot, "first try")
        runner.say("second try")
        runner.finish()
        await see(pilot, "second try")
        await gone(pilot, "esc stops")
        assert texts(pilot) == ["one", "second try"]
        assert [turn.content for turn in runner.asked[1].messages] == ["one"]
        await say(pilot, "/version 1")
        await until(pilot, lambda: texts(pilot) == ["one", "first try"])


async def test_edit_puts_the_question_back_and_replaces_it(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"), ("two", "second"))
        await say(pilot, "/edit 1")
        await until(pilot, lambda: prompt(pilot).text == "one")
        await say(pilot, "one, but better")
        runner.say("better")
        runner.finish()
        await until(pilot, lambda: texts(pilot) == ["one, but better", "better"])
        assert [turn.content for turn in runner.asked[2].messages] == ["one, but better"]


async def test_an_emptied_prompt_edits_nothing(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"))
        await say(pilot, "/edit")
        await until(pilot, lambda: prompt(pilot).text == "one")
        await say(pilot, "")
        await say(pilot, "two")
        await until(pilot, lambda: len(runner.asked) == 2)
        assert [turn.content for turn in runner.asked[1].messages] == ["one", "first", "two"]


async def test_undo_takes_a_turn_off_the_screen(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"), ("two", "second"))
        await say(pilot, "/undo")
        await until(pilot, lambda: texts(pilot) == ["one", "first"])
        await see(pilot, "Took the last question back.", "1 turn")


async def test_copy_reaches_the_clipboard(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "```py\nx = 1\n```"[6:11]))
        await say(pilot, "/copy")
        await see(pilot, "Copied the last answer")
        assert pilot.app.clipboard == "x = 1"


async def test_a_chat_is_saved_and_can_be_loaded_by_the_next_program(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("what is a slug", "a small thing"))
    again = StageRunner(runner.stored)
    async with stage(again, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, again)
        await say(pilot, "/chats")
        await see(pilot, "what is a slug")
        await say(pilot, "/load 1")
        await see(pilot, "a small thing", "46.9 tok/s", "1 turn")
        assert texts(pilot)[:2] == ["what is a slug", "a small thing"]


async def test_a_message_that_is_being_answered_at_the_end_is_saved_too(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await say(pilot, "tell me")
        runner.say("as far as")
        await see(pilot, "as far as")
        await pilot.press("ctrl+q")
    async with stage(StageRunner(runner.stored), tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await say(pilot, "/chats")
        await see(pilot, "tell me")
        await say(pilot, "/load 1")
        await see(pilot, "stopped", "as far as")


async def test_files_are_suggested_after_an_at_and_sent(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("the secret is 42")
    monkeypatch.chdir(tmp_path)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await type_in(pilot, "read @no")
        await see(pilot, "@notes.txt")
        await pilot.press("tab")
        await until(pilot, lambda: prompt(pilot).text == "read @notes.txt ")
        await pilot.press("enter")
        await until(pilot, lambda: runner.asked)
        assert "the secret is 42" in str(runner.asked[0].messages[0].content)


async def test_a_file_that_is_not_there_gives_the_message_back(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.bin").write_bytes(b"\0\1\2")
    monkeypatch.chdir(tmp_path)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await say(pilot, "look at @broken.bin")
        await see(pilot, "× That did not work", "in the prompt again")
        assert prompt(pilot).text == "look at @broken.bin"


async def test_models_are_suggested_for_the_model_command(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await type_in(pilot, "/model smo")
        await see(pilot, "   smollm2")
        await pilot.press("enter")
        await until(pilot, lambda: prompt(pilot).text == "/model smollm2 ")
        await pilot.press("enter")
        await see(pilot, "New chat · smollm2")


async def test_a_model_cannot_steer_the_terminal(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "fine"))
        await say(pilot, "two")
        runner.say("a\x1b]52;c;aGk=\x07b\x1b[2Jc `d\x1b[31m`\x9b31m")
        runner.finish()
        await until(pilot, lambda: texts(pilot)[-1].startswith("a"))
        await gone(pilot, "esc stops")
        shown = screen_text(pilot.app)
        assert not any(ord(sign) < 32 and sign != "\n" for sign in shown)
        assert "\x9b" not in shown


async def test_commands_before_the_runner_is_there_say_so(tmp_path: Path) -> None:
    there = asyncio.Event()

    async def opened() -> None:
        await there.wait()

    async with stage(StageRunner(), tmp_path, opened=opened).run_test(size=LARGE) as pilot:
        await pilot.press("3")
        await see(pilot, "[3 Chat]")
        await say(pilot, "/show info")
        await see(pilot, "the runner is still starting")


@pytest.mark.parametrize(
    "line", ["/clear", "/new", "/load 1", "/fork", "/undo", "/version 1", "/delete", "/compact"]
)
async def test_commands_that_change_the_path_wait_for_the_answer(
    runner: StageRunner, tmp_path: Path, line: str
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"))
        await say(pilot, "two")
        await until(pilot, lambda: len(runner.asked) == 2)
        await say(pilot, line)
        await see(pilot, "Not while the answer comes: ^c stops it.")
        assert prompt(pilot).text == line
        runner.say("second")
        runner.finish()
        await gone(pilot, "esc stops")
        assert texts(pilot) == ["one", "first", "two", "second"]
        await say(pilot, "/show turns")
        await see(pilot, "  2  two")


async def test_an_answer_is_not_reworded_while_another_comes(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"))
        await say(pilot, "two")
        await until(pilot, lambda: len(runner.asked) == 2)
        await pilot.press("alt+up", "e")
        await see(pilot, "editing the answer")
        await say(pilot, "first of all")
        await see(pilot, "Not while the answer comes: ^c stops it.", "editing the answer")
        assert prompt(pilot).text == "first of all"
        runner.say("second")
        runner.finish()
        await gone(pilot, "esc stops")
        assert texts(pilot) == ["one", "first", "two", "second"]
        await pilot.press("enter")
        await until(pilot, lambda: texts(pilot) == ["one", "first of all"])


@pytest.mark.parametrize("line", ["/undo", "/rename other"])
async def test_a_message_does_not_overtake_a_command(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """It comes back where the command changes what it was written for."""
    changes = line == "/undo"
    done = asyncio.Event()

    async def slowly(line: str, context: ChatContext) -> Outcome:
        await done.wait()
        return await execute(line, context)

    monkeypatch.setattr("dmr_tui.screens.chat.revising.execute", slowly)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"))
        await say(pilot, line)
        await say(pilot, "two")
        await pilot.pause()
        assert len(runner.asked) == (1 if changes else 2)
        done.set()
        if changes:
            await until(pilot, lambda: "two" in prompt(pilot).text)
            await until(pilot, lambda: texts(pilot) == [])
            assert len(runner.asked) == 1
        else:
            runner.finish()


async def test_compact_waits_for_the_answer_by_its_key_too(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"))
        await say(pilot, "two")
        await until(pilot, lambda: len(runner.asked) == 2)
        await pilot.app.screen.run_action("compact")
        await see(pilot, "Not while the answer comes: ^c stops it.")
        assert len(runner.asked) == 2
        runner.finish()
