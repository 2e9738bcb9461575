from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest
from textual.pilot import Pilot

from dmr_tui.chat.commands import Suggestion
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import Event, GenerateRequest, Loading, ReasoningDelta
from dmr_tui.errors import EngineError, UnavailableError
from dmr_tui.widgets.prompt import PromptArea
from dmr_tui.widgets.transcript import Transcript
from dmr_tui.widgets.turn import TurnView
from tests.tui.conftest import LARGE, SMALL, gone, screen_text, see, type_in, until
from tests.tui.stage import SEVEN, StageClock, StageRunner, model, stage

ANSWER = Path(__file__).with_name("answer.md").read_text("utf-8")


def prompt(pilot: Pilot[None]) -> PromptArea:
    return pilot.app.screen.query_one(PromptArea)


async def ask(pilot: Pilot[None], text: str) -> None:
    await type_in(pilot, text)
    await pilot.press("enter")


async def open_chat(pilot: Pilot[None]) -> None:
    await see(pilot, "nomic-embed-text")
    await pilot.press("3")
    await see(pilot, "[3 Chat]", "New chat · qwen3:8b")


async def test_an_answer_is_streamed_as_markdown(runner: StageRunner, tmp_path: Path) -> None:
    clock = StageClock()
    async with stage(runner, tmp_path, clock=clock).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "How much?")
        await see(pilot, "esc stops", "you ──")
        runner.say("The **cache** stores `x`.\n\n```py", "thon\nreturn 1\n")
        await see(pilot, "The cache stores x.", "python", "return 1", "2 tokens so far")
        runner.say("```\n\n- done")
        runner.finish()
        await see(pilot, "• done", "46.9 tok/s", "212 tokens", "context")
        await gone(pilot, "esc stops")
        assert "238 / 8 192  3%" in screen_text(pilot.app)
        assert prompt(pilot).text == ""


async def test_the_speed_and_the_first_tokens_time_are_shown_live(
    runner: StageRunner, tmp_path: Path
) -> None:
    clock = StageClock()
    async with stage(runner, tmp_path, clock=clock).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "x")
        await see(pilot, "reading …")
        clock.seconds = 0.5
        runner.say("a ")
        await see(pilot, "1 token so far")
        clock.seconds = 2.5
        runner.say("b ", "c ", "d ", "e ")
        await see(pilot, "2.0 tok/s · 5 tokens so far", "0.50 s to first token")


async def test_the_conversation_goes_on(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        for question, answer in (("one", "first"), ("two", "second")):
            await ask(pilot, question)
            runner.say(answer)
            runner.finish()
            await see(pilot, answer)
            await gone(pilot, "esc stops")
        said = [(turn.role, turn.content) for turn in runner.asked[1].messages]
        assert said == [("user", "one"), ("assistant", "first"), ("user", "two")]
        assert "2 turns · qwen3:8b" in screen_text(pilot.app)


async def test_escape_stops_and_keeps_what_came(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        runner.say("half an ans")
        await see(pilot, "half an ans", "esc Stop")
        await pilot.press("escape")
        await see(pilot, "stopped · ", "half an ans")
        assert runner.stopped == ["answer"]
        await ask(pilot, "go on")
        await until(pilot, lambda: len(runner.asked) == 2)
        assert runner.asked[1].messages[1].content == "half an ans"


async def test_a_question_stopped_before_any_answer_comes_back(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        await see(pilot, "reading …")
        await pilot.press("escape")
        await until(pilot, lambda: prompt(pilot).text == "one")
        assert not pilot.app.screen.query(TurnView)


async def test_an_error_is_a_panel_and_the_question_is_not_lost(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        await type_in(pilot, "typed ahead")
        runner.fail(EngineError("the worker died of signal 9", "see the log in logs/worker.log"))
        await see(pilot, "the worker died of signal 9", "see the log", "in the prompt again")
        assert prompt(pilot).text == "one\ntyped ahead"


async def test_an_error_in_mid_answer_keeps_the_answer(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        runner.say("as far as it ca")
        runner.fail(EngineError("the worker died of signal 9"))
        await see(pilot, "as far as it ca", "the worker died of signal 9", "is kept")
        assert prompt(pilot).text == ""


async def test_type_ahead_is_sent_when_the_answer_ends(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        await ask(pilot, "two")
        await see(pilot, "“two” is sent when the answer ends")
        runner.say("first")
        runner.finish()
        await until(pilot, lambda: len(runner.asked) == 2)
        assert runner.asked[1].messages[-1].content == "two"


async def test_a_queued_message_can_be_taken_back(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        await ask(pilot, "two")
        await see(pilot, "“two” is sent")
        await pilot.press("escape")
        await gone(pilot, "“two” is sent")
        assert prompt(pilot).text == "two"
        assert runner.stopped == []


async def test_a_message_waits_for_the_runner(tmp_path: Path) -> None:
    there = asyncio.Event()

    async def opened() -> None:
        await there.wait()

    runner = StageRunner(SEVEN)
    async with stage(runner, tmp_path, opened=opened).run_test(size=LARGE) as pilot:
        await pilot.press("3")
        await see(pilot, "[3 Chat]", "◐ starting")
        await ask(pilot, "early")
        await see(pilot, "“early” waits for the runner")
        there.set()
        await until(pilot, lambda: runner.asked)


async def test_a_pull_that_fails_gives_the_waiting_message_back(tmp_path: Path) -> None:
    runner = StageRunner()
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "Begin with", "smollm2")
        await pilot.press(*"smollm2", "enter")
        await see(pilot, "[3 Chat]")
        await ask(pilot, "hello")
        await see(pilot, "“hello” waits for smollm2")
        runner.fail(UnavailableError("the network is down", "try again later"))
        await see(pilot, "the network is down")
        assert prompt(pilot).text == "hello"


async def test_loading_is_shown(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        runner.event(Loading(0.4))
        await see(pilot, "loading 40%")


async def test_thoughts_are_shown_while_they_come_and_folded_then(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        runner.event(ReasoningDelta("let me see"))
        await see(pilot, "thinking …", "let me see")
        runner.say("42")
        runner.finish()
        await see(pilot, "▸ thoughts", "42")
        await gone(pilot, "let me see")
        await pilot.press("ctrl+t")
        await see(pilot, "▾ thoughts", "let me see")
        await pilot.press("ctrl+t")
        await gone(pilot, "let me see")


async def test_newline_history_and_draft(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        for question in ("first", "second"):
            await ask(pilot, question)
            runner.say("x")
            runner.finish()
            await gone(pilot, "esc stops")
        await pilot.press(*"a", "ctrl+j", *"b")
        assert prompt(pilot).text == "a\nb"
        await pilot.press("up")
        assert prompt(pilot).text == "a\nb"
        await pilot.press("up")
        assert prompt(pilot).text == "second"
        await pilot.press("up")
        assert prompt(pilot).text == "first"
        await pilot.press("up", "down", "down")
        assert prompt(pilot).text == "a\nb"


async def test_the_arrows_lose_nothing_and_go_row_by_row(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await open_chat(pilot)
        long = "word " * 20 + "end"
        prompt(pilot).sent = ["first", long]
        await pilot.press("up")
        assert prompt(pilot).text == long
        await pilot.press("up")
        assert prompt(pilot).text == long
        await pilot.press("up")
        assert prompt(pilot).text == "first"
        await pilot.press(*" of all", "up", "down")
        assert prompt(pilot).text == long
        await pilot.press("up", "up")
        assert prompt(pilot).text == "first of all"
        await pilot.press("enter")
        await until(pilot, lambda: runner.asked)
        await pilot.press("up", "up", "up", "up")
        assert prompt(pilot).text == "first"


async def test_slash_commands_are_the_repls(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "/set system Answer in French.")
        await see(pilot, "Set system message.")
        await ask(pilot, "hi")
        await until(pilot, lambda: runner.asked)
        assert runner.asked[0].messages[0].content == "Answer in French."
        runner.say("salut")
        runner.finish()
        await gone(pilot, "esc stops")
        await ask(pilot, "/nonsense now")
        await see(pilot, "Unknown command '/nonsense'")
        await ask(pilot, "/model llama3.2:3b")
        await see(pilot, "Now talking to llama3.2:3b", "1 turn · llama3.2:3b")
        await ask(pilot, "/clear")
        await gone(pilot, "salut")
        await see(pilot, "New chat · llama3.2:3b")
        await ask(pilot, "/bye")
        await see(pilot, "[1 Models]")


async def test_commands_are_completed(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await type_in(pilot, "/s")
        await see(pilot, "change how the model answers", "show the model and what is set")
        await pilot.press("down", "up", "tab")
        await until(pilot, lambda: prompt(pilot).text == "/set ")
        await type_in(pilot, "sy")
        await pilot.press("enter")
        await until(pilot, lambda: prompt(pilot).text == "/set system ")
        await pilot.press("ctrl+u")
        await type_in(pilot, "/cl")
        await see(pilot, "forget what was said")
        await pilot.press("escape")
        await gone(pilot, "forget what was said")
        assert prompt(pilot).text == "/cl"


async def test_enter_runs_a_whole_command_unless_the_highlight_was_moved(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await type_in(pilot, "/exp")
        await see(pilot, "write this chat to a file")
        await pilot.press("enter")
        await until(pilot, lambda: prompt(pilot).text == "/export " and prompt(pilot).completing)
        await pilot.press("down", "enter")
        await until(pilot, lambda: prompt(pilot).text == "/export json ")
        await pilot.press(*["backspace"] * 5)
        await until(pilot, lambda: prompt(pilot).text == "/export " and prompt(pilot).completing)
        await pilot.press("enter")
        await see(pilot, "Nothing was said yet")
        assert prompt(pilot).text == ""


async def test_suggestions_that_come_late_replace_nothing(
    runner: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = asyncio.Event()

    async def slow(before: str, context: object) -> list[Suggestion]:
        if before != "/set ":
            await late.wait()
        return [Suggestion("system", 5, "what the model is told first")]

    monkeypatch.setattr("dmr_tui.screens.chat.asking.suggest", slow)
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await type_in(pilot, "/set ")
        await see(pilot, "what the model is told first")
        await type_in(pilot, "parameter num_predict 20")
        await pilot.press("enter")
        await see(pilot, "Set parameter")
        late.set()


async def test_new_and_copy(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        runner.say("the *answer*")
        runner.finish()
        await see(pilot, "^n New", "the answer")
        await pilot.press("escape", "y")
        await see(pilot, "Copied the text.", "y Copy")
        assert pilot.app.clipboard == "the answer"
        await pilot.press("Y")
        await see(pilot, "Copied as Markdown.")
        assert pilot.app.clipboard == "the *answer*"
        await pilot.press("ctrl+n")
        await see(pilot, "New chat")
        await ask(pilot, "two")
        await until(pilot, lambda: len(runner.asked) == 2)
        assert len(runner.asked[1].messages) == 1


async def test_the_view_follows_until_one_scrolls_away(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        runner.say(ANSWER)
        transcript = pilot.app.screen.query_one(Transcript)
        await see(pilot, "so more slots cost")
        await pilot.press("pageup")
        await see(pilot, "‖ paused", "^End Follow")
        place = transcript.scroll_offset.y
        runner.say("\n\nmore", "\n\nand more")
        await until(pilot, lambda: "and more" in pilot.app.screen.query(TurnView).last().text)
        assert transcript.scroll_offset.y == place
        await pilot.press("ctrl+end")
        await see(pilot, "and more")
        await gone(pilot, "‖ paused")
        runner.say("\n\nthe very end")
        await see(pilot, "the very end")


async def test_a_row_more_is_laid_out_once(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        runner.say(ANSWER)
        await see(pilot, "so more slots cost")
        await pilot.pause()
        layouts: list[object] = []
        screen = pilot.app.screen
        screen.screen_layout_refresh_signal.subscribe(screen, layouts.append)
        for word in ("first", "second", "third"):
            runner.say(f"\n\n{word} row")
            await see(pilot, f"{word} row")
            await pilot.pause()
        assert len(layouts) == 3


class _Timing(StageRunner):
    """Lets something wait long after each answer, as an engine does that will unload the model."""

    async def generate(
        self, model: str, request: GenerateRequest, *, profile: Profile | None = None
    ) -> AsyncGenerator[Event, None]:
        timer = asyncio.get_running_loop().call_later(300, print)
        async with aclosing(super().generate(model, request, profile=profile)) as events:
            async for event in events:
                yield event
        timer.cancel()


async def test_of_a_chat_that_was_left_nothing_is_kept(tmp_path: Path) -> None:
    runner = _Timing(SEVEN)
    runner.run(SEVEN[0])
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await open_chat(pilot)
        left: list[weakref.ref[TurnView]] = []
        drawn = []
        for number in range(3):
            await ask(pilot, f"question {number}")
            runner.say(f"answer {number}")
            runner.finish()
            await see(pilot, f"answer {number}", "46.9 tok/s")
            left += map(weakref.ref, pilot.app.screen.query(TurnView))
            drawn += [view._styles_cache for view in pilot.app.screen.query(TurnView)]
            await pilot.press("ctrl+n")
            await gone(pilot, f"answer {number}")
        await pilot.pause()
        gc.collect()
        assert [view() for view in left[:4]] == [None] * 4
        assert not any(rows._cache for rows in drawn)


async def test_a_short_conversation_begins_at_the_top(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        await see(pilot, "reading …")
        assert "you ──" in screen_text(pilot.app).splitlines()[2]


async def test_looking_back_with_the_keys_of_lists(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=SMALL) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        runner.say(ANSWER)
        runner.finish()
        await see(pilot, "so more slots cost", "46.9 tok/s")
        await pilot.press("escape", "g")
        await see(pilot, "you ──", "⏎ Write")
        await pilot.press("G")
        await see(pilot, "so more slots cost")
        await pilot.press("k", "i", *"next")
        assert prompt(pilot).text == "next"


async def test_another_model_goes_on(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        runner.say("x")
        runner.finish()
        await gone(pilot, "esc stops")
        await pilot.press("ctrl+o")
        await see(pilot, "Chat with …")
        await type_in(pilot, "nomic")
        await see(pilot, "○ nomic-embed-text")
        await pilot.press("down", "enter")
        await see(pilot, "1 turn · nomic-embed-text", "goes on with the conversation")


async def test_choosing_another_model_in_models_begins_a_chat(
    runner: StageRunner, tmp_path: Path
) -> None:
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        runner.say("x")
        runner.finish()
        await gone(pilot, "esc stops")
        await pilot.press("alt+1", "down", "enter")
        await see(pilot, "[3 Chat]", "New chat · gemma3:27b-it-qat")
        await ask(pilot, "two")
        await until(pilot, lambda: len(runner.asked) == 2)
        assert [turn.content for turn in runner.asked[1].messages] == ["two"]
        chats = await app.workspace.sessions.chats()
        assert {(chat.title, chat.model) for chat in chats} == {
            ("one", "qwen3:8b"),
            ("two", "gemma3:27b-it-qat"),
        }
        # Its own model goes on with it.
        await pilot.press("alt+1")
        await see(pilot, "[1 Models]")
        await pilot.press("enter")
        await see(pilot, "[3 Chat]", "two · 1 turn · gemma3:27b-it-qat")


async def test_what_is_pasted_goes_into_the_prompt(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        from textual import events

        pilot.app.post_message(events.Paste("two\nlines"))
        await until(pilot, lambda: prompt(pilot).text == "two\nlines")


async def test_an_answer_goes_on_while_another_screen_is_shown(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        await see(pilot, "reading …")
        await pilot.press("alt+1")
        await see(pilot, "[1 Models]")
        runner.say("came meanwhile")
        runner.finish()
        await see(pilot, "2m")
        await pilot.press("3")
        await see(pilot, "came meanwhile", "212 tokens")


async def test_ctrl_d_leaves_only_an_empty_prompt(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await pilot.press("a", "b", "left", "ctrl+d")
        assert prompt(pilot).text == "a"
        await pilot.press("backspace", "ctrl+d")
        await see(pilot, "[1 Models]")


async def test_a_chat_without_any_model_says_where_to_get_one(tmp_path: Path) -> None:
    async with stage(StageRunner(), tmp_path).run_test(size=SMALL) as pilot:
        await see(pilot, "Begin with", "smollm2")
        await pilot.press("alt+3")
        await see(pilot, "There is no model yet.")
        await pilot.press("ctrl+o")
        await see(pilot, "There is no model yet: Models suggests some, Get finds more.")


@pytest.mark.parametrize("plain", ["1. no list", "    indented", "*stars* and `ticks`"])
async def test_what_a_person_wrote_is_shown_as_written(
    runner: StageRunner, tmp_path: Path, plain: str
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        prompt(pilot).text = f"look:\n{plain}"
        await pilot.press("enter")
        await see(pilot, f"  {plain}")


async def test_selected_text_is_copied_without_decoration(
    runner: StageRunner, tmp_path: Path
) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "one")
        runner.say("- first item\n- second item")
        runner.finish()
        await see(pilot, "• second item", "212 tokens")
        view = pilot.app.screen.query(TurnView).last()
        await pilot.mouse_down(view, offset=(4, 1))
        await pilot.hover(view, offset=(40, 2))
        await pilot.mouse_up(view, offset=(40, 2))
        await pilot.press("ctrl+c")
        await see(pilot, "Copied.")
        assert pilot.app.clipboard.strip() == "first item\nsecond item"


async def test_the_newest_model_is_found_by_any_of_its_names(
    runner: StageRunner, tmp_path: Path
) -> None:
    runner.stored.append(model("phi4", tags=["docker.io/org/alias:v1"]))
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await see(pilot, "phi4")
        library = app.workspace.library
        for name in ("phi4", "ai/phi4:latest", "org/alias:v1", runner.stored[-1].id):
            entry = library.find(name)
            assert entry is not None
            assert entry.name == "phi4"
        assert library.find("::") is None
