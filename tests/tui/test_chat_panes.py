"""The panes beside the conversation: saved chats, and how the model answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from dmr_tui.chat.archive import ChatInfo
from dmr_tui.screens.chat.chats import ChatList, grouped_by_day
from dmr_tui.screens.chat.screen import ChatScreen
from tests.tui.conftest import LARGE, SMALL, gone, see, type_in, until
from tests.tui.stage import NOW, StageClock, StageRunner, stage
from tests.tui.test_chat_commands import converse, prompt, say, texts


def chat(pilot: Pilot[None]) -> ChatScreen:
    assert isinstance(pilot.app.screen, ChatScreen)
    return pilot.app.screen


def info(id_: str, ago: float = 0.0, origin: str = "") -> ChatInfo:
    return ChatInfo(id_, id_.upper(), "m", 0.0, NOW - ago, 1, origin)


def test_chats_are_grouped_by_day_with_branches_below_their_stems() -> None:
    # It is 10:31.
    chats = [
        info("new"), info("branch", 3600, "old"), info("late", 12 * 3600),
        info("twig", 86400, "branch"), info("old", 9 * 86400), info("lost", 9 * 86400, "gone"),
    ]  # fmt: skip
    groups = grouped_by_day(chats, NOW)
    assert [(name, [(chat.id, depth) for chat, depth in rows]) for name, rows in groups] == [
        ("Today", [("new", 0), ("old", 0), ("branch", 1), ("twig", 2)]),
        ("Yesterday", [("late", 0)]),
        ("Older", [("lost", 0)]),
    ]


def test_chats_that_name_each_other_as_origin_are_shown_all_the_same() -> None:
    groups = grouped_by_day([info("a", 0, "b"), info("b", 0, "a")], NOW)
    assert sorted(chat.id for _, rows in groups for chat, _ in rows) == ["a", "b"]


async def two_chats(pilot: Pilot[None], runner: StageRunner) -> None:
    await converse(pilot, runner, ("what is a slug", "a small thing"))
    await pilot.press("ctrl+n")
    await see(pilot, "New chat")
    await say(pilot, "why is the sky blue")
    runner.say("it scatters")
    runner.finish()
    await see(pilot, "it scatters", "212 tokens")
    await pilot.press("f2")
    await see(pilot, "2 chats", "Today", "what is a slug")
    await until(pilot, lambda: pilot.app.screen.query_one(ChatList).chat)


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_a_saved_chat_is_opened(
    runner: StageRunner, tmp_path: Path, size: tuple[int, int]
) -> None:
    async with stage(runner, tmp_path).run_test(size=size) as pilot:
        await two_chats(pilot, runner)
        await see(pilot, "▸ why is the sky")
        await pilot.press("j")
        await see(pilot, "▸ what is a slug", "  why is the sky")
        await pilot.press("enter")
        await until(pilot, lambda: texts(pilot) == ["what is a slug", "a small thing"])
        await see(pilot, "a small thing", "1 turn")
        await say(pilot, "and then")
        await until(pilot, lambda: len(runner.asked) == 3)
        assert runner.asked[2].messages[0].content == "what is a slug"


async def test_all_messages_are_searched(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await two_chats(pilot, runner)
        await pilot.press("slash")
        await type_in(pilot, "small")
        await see(pilot, "1 found", "a small thing")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: texts(pilot) == ["what is a slug", "a small thing"])
        spot = chat(pilot)._view.cursor.spot
        assert spot is not None
        assert spot.node.text == "a small thing"


async def test_what_was_found_is_in_sight_in_the_narrow_list(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(
            pilot, runner, ("a story", "There was a fox who wanted a round moon to eat.")
        )
        await pilot.press("ctrl+n", "f2")
        await see(pilot, "1 chat", "New chat")
        await pilot.press("slash", *"moon")
        await see(pilot, "1 found", "a round moon")


async def test_escape_leaves_search_then_pane(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await two_chats(pilot, runner)
        await pilot.press("slash", *"zzz")
        await see(pilot, "0 found")
        await pilot.press("escape")
        await see(pilot, "2 chats")
        await pilot.press("escape")
        await gone(pilot, "2 chats")
        assert prompt(pilot).has_focus


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_a_chat_is_renamed(
    runner: StageRunner, tmp_path: Path, size: tuple[int, int]
) -> None:
    async with stage(runner, tmp_path).run_test(size=size) as pilot:
        await two_chats(pilot, runner)
        await pilot.press("r")
        await see(pilot, "Rename the chat")
        await pilot.press("home", *"Sky: ", "enter")
        await see(pilot, "▸ Sky: why is the sky blue")
        await until(pilot, lambda: pilot.app.screen.query_one(ChatList).has_focus)
        assert chat(pilot)._conversation.title == "Sky: why is the sky blue"
        await pilot.press("w")
        await see(pilot, "Export to a file", "sky-why-is-the-sky-blue.md")
        await pilot.press("escape")
        await see(pilot, "2 chats")
        await until(pilot, lambda: pilot.app.screen.query_one(ChatList).has_focus)


async def test_deleting_asks_once_and_can_be_undone(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await two_chats(pilot, runner)
        await pilot.press("d")
        await see(pilot, "Delete 'why is the sky blue', 1 turn? d again deletes, esc keeps.")
        await pilot.press("escape")
        await see(pilot, "Kept.", "2 chats")
        await pilot.press("d", "d")
        await see(pilot, "u brings it back", "1 chat", "New chat")
        await pilot.press("u")
        await see(pilot, "'why is the sky blue' is back.", "2 chats")


async def test_a_chat_is_asked_for_again_once_the_question_is_off_the_screen(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await two_chats(pilot, runner)
        await pilot.press("f2")
        await say(pilot, "and at night")
        await until(pilot, lambda: len(runner.asked) == 3)
        await say(pilot, "waits")
        await see(pilot, "“waits” is sent", "esc Take back")
        await pilot.press("f2")
        await until(pilot, lambda: pilot.app.screen.query_one(ChatList).has_focus)
        await pilot.press("d")
        await see(pilot, "d again deletes", "esc Keep")
        await pilot.press("1", "3")
        await see(pilot, "[3 Chat]", "esc Take back")
        await pilot.press("d")
        await see(pilot, "d again deletes", "esc Keep")
        await pilot.press("escape")
        await see(pilot, "Kept.", "esc Take back")
        assert len(await chat(pilot).workspace.sessions.chats()) == 2


async def test_another_chat_under_the_cursor_is_asked_for_again(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await two_chats(pilot, runner)
        await pilot.press("d", "j", "d")
        await see(pilot, "Delete 'what is a slug', 1 turn?")
        assert len(await chat(pilot).workspace.sessions.chats()) == 2


async def test_a_fork_is_listed_below_its_chat(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await two_chats(pilot, runner)
        await pilot.press("f")
        await see(pilot, "This is a copy of the chat.", "3 chats", "└ why is the sky blue")


async def test_a_chat_is_exported(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await two_chats(pilot, runner)
        await pilot.press("w")
        await see(pilot, "Export to a file", "why-is-the-sky-blue.md")
        await pilot.press("enter")
        await see(pilot, "Wrote ")
        assert "it scatters" in (tmp_path / "why-is-the-sky-blue.md").read_text()
        await pilot.press("w")
        await see(pilot, "Export to a file")
        pilot.app.screen.query_one("#ask", Input).value = "sky.json"
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / "sky.json").exists())
        assert json.loads((tmp_path / "sky.json").read_text())["title"] == "why is the sky blue"


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_n_begins_a_new_chat(
    runner: StageRunner, tmp_path: Path, size: tuple[int, int]
) -> None:
    async with stage(runner, tmp_path).run_test(size=size) as pilot:
        await two_chats(pilot, runner)
        await pilot.press("n")
        await see(pilot, "New chat", "Write below")
        assert prompt(pilot).has_focus


@pytest.mark.parametrize("keys", [["f2", "d", "d"], ["ctrl+n"], ["f2", "j", "enter"]])
async def test_a_message_that_waits_does_not_go_into_another_chat(
    runner: StageRunner, tmp_path: Path, keys: list[str]
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await two_chats(pilot, runner)
        await pilot.press("f2")
        before = chat(pilot)._conversation
        await say(pilot, "and at night")
        await until(pilot, lambda: len(runner.asked) == 3)
        await pilot.press("alt+up", "alt+up", "alt+up", "e")
        await see(pilot, "editing your message")
        await say(pilot, "why is the sky red")
        await see(pilot, "“why is the sky red” is sent when")
        await pilot.press(keys[0])
        await pilot.pause()
        await pilot.press(*keys[1:])
        await until(pilot, lambda: prompt(pilot).text == "and at night\nwhy is the sky red")
        assert chat(pilot)._conversation is not before
        assert len(runner.asked) == 3
        assert not chat(pilot)._outbox


async def test_on_a_narrow_screen_the_pane_makes_room_for_what_is_written(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await two_chats(pilot, runner)
        await pilot.press("f")
        await see(pilot, "This is a copy of the chat.", "it scatters")
        await pilot.press("f2")
        await see(pilot, "3 chats")
        await pilot.press("alt+1")
        await see(pilot, "[1 Models]")
        await pilot.press("enter", *"hello")
        await see(pilot, "[3 Chat]", "it scatters", "hello")


async def test_no_chats_yet(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await pilot.press("f2")
        await see(pilot, "0 chats")
        await pilot.press("d")
        await see(pilot, "There is no chat here.")


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_parameters_are_checked_set_and_saved(
    runner: StageRunner, tmp_path: Path, size: tuple[int, int]
) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=size) as pilot:
        await converse(pilot, runner, ("one", "first"))
        await pilot.press("f3")
        await see(pilot, "System prompt", "temperature", "model's own")
        await pilot.press(*"900")
        await see(pilot, "temperature must be between 0")
        await pilot.press("enter")
        assert pilot.app.focused is pilot.app.screen.query_one("#field-temperature")
        await see(pilot, "temperature must be between 0")
        await pilot.press("backspace", "backspace", "backspace", *"0.5", "enter")
        await see(pilot, "Set parameter 'temperature' to '0.5'")
        pilot.app.screen.query_one("#system", TextArea).focus()
        await pilot.press(*"Be brief.", "tab")
        await see(pilot, "Set system message.")
        await pilot.press(*"off", "enter")
        await see(pilot, "Thinking is off.")
        await pilot.press("f3")
        await see(pilot, "system · temp 0.5")
        await say(pilot, "two")
        await until(pilot, lambda: len(runner.asked) == 2)
        request = runner.asked[1]
        assert request.messages[0].content == "Be brief."
        assert request.sampling.temperature == 0.5
        assert request.template_options == {"enable_thinking": False}
        saved = await app.workspace.sessions.load(chat(pilot)._conversation.id)
        assert saved.system == "Be brief."
        assert saved.sampling.temperature == 0.5
        runner.finish()
        await pilot.press("f3", "backspace", "backspace", "backspace", "enter")
        await see(pilot, "Parameter 'temperature' is the model's own again")


async def test_emptied_fields_are_the_models_own_again(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await say(pilot, "/set num_ctx 1024")
        await see(pilot, "New chat · qwen3:8b · ctx 1024")
        await say(pilot, "/set system Be brief.")
        await see(pilot, "New chat · qwen3:8b · system · ctx 1024")
        await pilot.press("f3")
        pilot.app.screen.query_one("#field-num_ctx", Input).focus()
        await pilot.press("end", *["backspace"] * 4, "enter")
        await see(pilot, "Parameter 'num_ctx' is the model's own again")
        pilot.app.screen.query_one("#system", TextArea).focus()
        await pilot.press("end", *["backspace"] * 9, "tab")
        await see(pilot, "Cleared system message.")
        await gone(pilot, "· ctx 1024")
        await gone(pilot, "qwen3:8b · system")


async def test_a_new_chat_is_not_set_up_like_a_saved_one(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await say(pilot, "/set parameter num_predict 3")
        await see(pilot, "New chat · qwen3:8b · max 3")
        await say(pilot, "one")
        runner.say("first")
        runner.finish()
        await see(pilot, "one · 1 turn · qwen3:8b · max 3", "46.9 tok/s")
        await pilot.press("ctrl+n")
        await see(pilot, "New chat · qwen3:8b · max 3")
        await say(pilot, "/load one")
        await see(pilot, "1 turn · qwen3:8b · max 3")
        await pilot.press("ctrl+n")
        await see(pilot, "New chat · qwen3:8b ─")
        await say(pilot, "two")
        await until(pilot, lambda: len(runner.asked) == 2)
        assert runner.asked[1].limits.max_tokens is None


async def test_the_context_meter_says_what_will_be_left_out(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, *((f"question {at}", "x" * 100) for at in range(3)))
        prompt(pilot).text = "word " * 15000
        await see(pilot, "the next message leaves the oldest 6 messages out · /compact sums up")
        await pilot.resize_terminal(*SMALL)
        await see(pilot, "drops 6 old · /compact")
        prompt(pilot).text = "word"
        await gone(pilot, "/compact")


async def test_the_last_chat_is_continued(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"))
    async with stage(runner, tmp_path, goes_on=True).run_test(size=LARGE) as pilot:
        await see(pilot, "[3 Chat]", "one · 1 turn", "first")


async def test_there_may_be_no_last_chat(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path, goes_on=True).run_test(size=LARGE) as pilot:
        await see(pilot, "[3 Chat]", "No chat is saved yet")


async def test_what_was_said_of_another_chat_or_before_a_message_is_forgotten(
    runner: StageRunner, tmp_path: Path
) -> None:
    clock = StageClock()
    async with stage(runner, tmp_path, clock=clock).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("what is a slug", "a small thing"))
        for moves_on in (say(pilot, "and then"), pilot.press("ctrl+n")):
            chat(pilot).workspace.say("This is a copy of the chat.")
            await see(pilot, "This is a copy")
            clock.seconds += 10
            await moves_on
            await gone(pilot, "This is a copy")
