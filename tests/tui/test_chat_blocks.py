"""The block cursor: through messages and code, and what its letters do there."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from dmr_tui.engine.request import ReasoningDelta
from dmr_tui.screens.chat.reading import ReadingView
from dmr_tui.screens.chat.screen import ChatScreen
from dmr_tui.screens.chat.window import MOST
from dmr_tui.widgets.transcript import Transcript
from dmr_tui.widgets.turn import TurnView
from tests.tui.conftest import LARGE, SMALL, gone, row_with, screen_text, see, until
from tests.tui.stage import StageRunner, stage
from tests.tui.test_chat_commands import converse, prompt, say, texts

CODE = "Two ways:\n\n```python\nx = 1\n\ty = 2\n```\n\nor\n\n```sh\nls -l\n```\n\nThat is all."


def view(pilot: Pilot[None]) -> ReadingView:
    return pilot.app.screen.query_one(ReadingView)


def chat(pilot: Pilot[None]) -> ChatScreen:
    assert isinstance(pilot.app.screen, ChatScreen)
    return pilot.app.screen


async def ask_for_code(pilot: Pilot[None], runner: StageRunner, question: str = "one") -> None:
    await say(pilot, question)
    runner.say(CODE)
    runner.finish()
    await see(pilot, "That is all.", "copy  2/2")
    await gone(pilot, "esc stops")


async def test_the_cursor_stops_at_messages_and_code(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "plain"))
        await ask_for_code(pilot, runner, "two")
        stops = []
        for _ in range(7):
            await pilot.press("alt+up")
            spot = view(pilot).cursor.spot
            assert spot is not None
            stops.append((spot.node.text[:3], spot.block))
        assert stops == [
            ("Two", 2), ("Two", 1), ("Two", 0), ("two", 0), ("pla", 0), ("one", 0), ("one", 0),
        ]  # fmt: skip
        await pilot.press("alt+down", "alt+down", "alt+down", "alt+down")
        await see(pilot, "y copy · s save · o open  1/2")
        assert "▌" in row_with(pilot.app, "x = 1")
        await pilot.press("escape")
        await gone(pilot, "▌")
        assert prompt(pilot).has_focus


async def test_z_gives_the_conversation_the_whole_screen(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await converse(pilot, runner, ("one", "plain"))
        await ask_for_code(pilot, runner)
        await see(pilot, "⏎ send")
        await pilot.press("alt+up", "z")
        await gone(pilot, "⏎ send")
        await see(pilot, "Two ways:", "⏎ Write")
        await pilot.press("e")  # needs the prompt
        await see(pilot, "⏎ Send anew")
        await pilot.press("escape")
        await see(pilot, "⏎ send")
        await pilot.press("alt+up", "z")
        await gone(pilot, "⏎ send")
        await pilot.press("enter")
        await see(pilot, "⏎ send")
        assert prompt(pilot).has_focus


async def test_y_copies_what_the_cursor_is_on(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await ask_for_code(pilot, runner)
        await pilot.press("alt+up", "alt+up", "y")
        await see(pilot, "Copied 2 lines of code.")
        assert pilot.app.clipboard == "x = 1\n\ty = 2"
        await pilot.press("Y")
        await see(pilot, "Copied as Markdown.")
        assert pilot.app.clipboard == "```python\nx = 1\n\ty = 2\n```"
        await pilot.press("alt+up", "y")
        await see(pilot, "Copied the text.")
        assert pilot.app.clipboard.startswith("Two ways:\n")
        assert "```" not in pilot.app.clipboard


async def test_a_click_copies_code(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await ask_for_code(pilot, runner)
        turn = pilot.app.screen.query(TurnView).last()
        first, _ = turn.span(2)
        await pilot.click(turn, offset=(turn.size.width - 6, first))
        await see(pilot, "Copied 1 line of code.")
        assert pilot.app.clipboard == "ls -l"


async def test_e_writes_another_version_of_a_question(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"), ("two", "second"))
        prompt(pilot).put("half a thought")
        await pilot.press("alt+up", "alt+up", "alt+up", "alt+up", "e")
        await see(pilot, "editing your message")
        assert prompt(pilot).text == "one"
        await pilot.press(*" more", "enter")
        runner.say("better")
        runner.finish()
        await see(pilot, "better", "‹ 2/2 ›")
        await gone(pilot, "esc stops")
        assert texts(pilot) == ["one more", "better"]
        # What was being written has come back.
        assert prompt(pilot).text == "half a thought"


async def test_an_edit_can_be_given_up(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"))
        prompt(pilot).put("half a thought")
        await pilot.press("alt+up", "e")
        await see(pilot, "editing the answer")
        await pilot.press("escape")
        await gone(pilot, "editing the answer")
        assert prompt(pilot).text == "half a thought"
        assert texts(pilot) == ["one", "first"]


async def test_e_on_an_answer_makes_a_version_without_asking(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"))
        await pilot.press("alt+up", "e", *" of all", "enter")
        await until(pilot, lambda: texts(pilot) == ["one", "first of all"])
        assert len(runner.asked) == 1
        await say(pilot, "two")
        await until(pilot, lambda: len(runner.asked) == 2)
        assert runner.asked[1].messages[1].content == "first of all"


async def test_escape_twice_edits_the_last_message(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"), ("two", "second"))
        await pilot.press("escape", "escape")
        await see(pilot, "editing your message")
        assert prompt(pilot).text == "two"


async def test_r_draws_another_answer_and_arrows_turn_versions(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first try"))
        await pilot.press("alt+up", "r")
        await gone(pilot, "first try")
        runner.say("second try")
        runner.finish()
        await see(pilot, "second try", "‹ 2/2 ›")
        await gone(pilot, "esc stops")
        await pilot.press("alt+up", "left")
        await see(pilot, "first try", "‹ 1/2 ›", "Version 1 of 2.")
        await pilot.press("greater_than_sign")
        await see(pilot, "second try", "‹ 2/2 ›")
        turn = pilot.app.screen.query(TurnView).last()
        place = row_with(pilot.app, "‹ 2/2 ›").index("‹") - 2
        await pilot.click(turn, offset=(place, 0))
        await see(pilot, "first try")


async def test_the_only_version_says_so(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"))
        await pilot.press("alt+up", "left")
        await see(pilot, "This is the only version")


async def test_f_goes_on_in_a_copy(runner: StageRunner, tmp_path: Path) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"), ("two", "second"))
        before = chat(pilot)._conversation
        await pilot.press("alt+up", "alt+up", "alt+up", "f")
        await see(pilot, "This is a copy of the chat up to there.")
        assert texts(pilot) == ["one", "first"]
        assert chat(pilot)._conversation.origin == before.id
        chats = await app.workspace.sessions.chats()
        assert sorted(chat.turns for chat in chats) == [1, 2]


async def test_x_asks_once_and_deletes_what_follows(runner: StageRunner, tmp_path: Path) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"), ("two", "second"))
        await pilot.press("alt+up", "alt+up", "x")
        await see(pilot, "Delete this message and its answer? x again deletes, esc keeps.")
        await pilot.press("escape")
        await see(pilot, "Kept.")
        assert len(texts(pilot)) == 4
        await pilot.press("x", "x")
        await see(pilot, "Deleted.")
        assert texts(pilot) == ["one", "first"]
        saved = await app.workspace.sessions.load(chat(pilot)._conversation.id)
        assert [node.text for node in saved.path] == ["one", "first"]


def test_a_long_note_leaves_version_and_time_in_the_head() -> None:
    turn = TurnView("answer", "17:12")
    turn.note("630.8 tok/s · 0.05 s to first · 31 tokens")
    turn.number(1, 2)
    heads = {width: turn._head(width).content.plain for width in (20, 50, 63, 64, 65, 80)}
    assert {len(head) for head in heads.values()} == set(heads)
    assert all(head.endswith(" ‹ 1/2 › 17:12") for head in heads.values())
    assert heads[50].startswith("answer  630.8 tok/s · 0.05 s to fir… ‹")


async def test_s_writes_code_to_a_file(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await ask_for_code(pilot, runner)
        await pilot.press("alt+up", "alt+up", "s")
        await see(pilot, "Save to file", "code.py")
        await pilot.press("enter")
        await see(pilot, "Wrote ")
        assert (tmp_path / "code.py").read_text() == "x = 1\n\ty = 2\n"
        await pilot.press("s")
        await see(pilot, "Save to file")
        await pilot.press("enter")
        await see(pilot, "exists already", "Save to file", "code.py")
        await pilot.press("end", "2", "enter")
        await see(pilot, "Wrote ")
        assert (tmp_path / "code.py2").exists()
        await pilot.press("s")
        await see(pilot, "Save to file")
        await pilot.press("escape")
        await gone(pilot, "Save to file")


async def test_o_opens_the_pager(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []

    async def page(app: object, text: str, suffix: str) -> None:
        shown.append((text, suffix))

    monkeypatch.setattr("dmr_tui.screens.chat.reading.page", page)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await ask_for_code(pilot, runner)
        await pilot.press("alt+up", "o", "alt+up", "alt+up", "o")
        await until(pilot, lambda: len(shown) == 2)
        assert shown == [("ls -l", ".sh"), (CODE, ".md")]


async def test_t_shows_the_thoughts_of_one_answer(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await say(pilot, "one")
        runner.event(ReasoningDelta("let me see"))
        runner.say("42")
        runner.finish()
        await see(pilot, "▸ thoughts", "42", "212 tokens")
        await pilot.press("alt+up", "t")
        await see(pilot, "▾ thoughts", "let me see")
        await pilot.press("t")
        await gone(pilot, "let me see")
        await pilot.press("alt+up", "t")
        await see(pilot, "There is nothing to fold in this message.")


async def test_a_long_message_is_folded(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner)
        await say(pilot, "\n".join(f"line {at}" for at in range(60)))
        runner.say("42")
        runner.finish()
        await see(pilot, "line 15", "▸ 44 more lines", "212 tokens")
        await pilot.press("alt+up", "alt+up", "t")
        await gone(pilot, "▸ 44 more lines")


async def test_a_long_chat_has_widgets_for_a_part_only(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await converse(pilot, runner)
        conversation = chat(pilot)._conversation.fresh()
        for at in range(200):
            conversation.ask(f"question {at}")
            conversation.answer(f"answer {at}")
        chat(pilot).open_conversation(conversation)
        await see(pilot, "answer 199")
        assert len(texts(pilot)) < 40
        await pilot.press("escape", "g")
        await see(pilot, "question 0")
        transcript = pilot.app.screen.query_one(Transcript)
        assert transcript.paused
        for _ in range(40):
            await pilot.press("pagedown")
            assert len(pilot.app.screen.query(TurnView)) <= MOST + 16
        assert "  question 0" not in screen_text(pilot.app)
        await pilot.press("G")
        await see(pilot, "answer 199")
        assert not transcript.paused


async def test_scrolling_back_brings_earlier_messages_without_a_jump(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await converse(pilot, runner)
        conversation = chat(pilot)._conversation.fresh()
        for at in range(30):
            conversation.ask(f"question {at:02}")
            conversation.answer(f"answer {at:02}")
        chat(pilot).open_conversation(conversation)
        await see(pilot, "answer 29")
        seen: list[int] = []
        for _ in range(62):
            await pilot.press("alt+up")
        spot = view(pilot).cursor.spot
        assert spot is not None
        assert spot.node.text == "question 00"
        await see(pilot, "question 00")
        await pilot.press("enter")
        # Line by line towards the end: each row comes after the one before.
        await pilot.press("escape")
        for _ in range(20):
            await pilot.press(*["down"] * 9)
            numbers = [int(row.split()[1]) for row in screen_text(pilot.app).splitlines()
                       if row.strip().startswith("answer")]  # fmt: skip
            seen += [number for number in numbers if number not in seen]
        assert seen == sorted(seen)
        assert seen[-1] == 29


async def test_a_request_of_another_program_becomes_a_chat(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await converse(pilot, runner, ("one", "first"))
        request = runner.asked[0]
        chat(pilot).open_request("qwen3:8b", request)
        await see(pilot, "A copy of that request. r lets the model answer it.")
        assert texts(pilot) == ["one"]
        await pilot.press("r")
        await until(pilot, lambda: len(runner.asked) == 2)
        assert runner.asked[1].messages == request.messages
