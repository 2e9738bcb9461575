"""Requests and logs: every key, and what is shown of what comes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from dmr_tui.app import DmrApp
from dmr_tui.engine.profile import Profile
from dmr_tui.errors import EngineError, InsufficientMemoryError, UnavailableError
from dmr_tui.runner.activity.records import LogLine, RequestRecord
from dmr_tui.screens.logs.detail import _model
from dmr_tui.screens.logs.log_view import MARK, LogView
from dmr_tui.screens.logs.screen import LogsScreen
from dmr_tui.screens.messages import OpenRequests
from dmr_tui.screens.remembered import EndpointChoice
from tests.tui.conftest import LARGE, SMALL, gone, screen_text, see, type_in, until
from tests.tui.scenes.logs import LINES, begin, end, some_requests
from tests.tui.stage import NOW, StageRunner, stage


@pytest.fixture
def busy(runner: StageRunner) -> StageRunner:
    """A runner with some requests and a log."""
    some_requests(runner)
    runner.lines = list(LINES)
    return runner


def opened(runner: StageRunner, home: Path) -> DmrApp:
    app = stage(runner, home)
    app.workspace.memory.update(screen="logs")
    return app


async def begun(pilot: Pilot[None]) -> LogsScreen:
    """Wait until requests and log are shown."""
    await see(pilot, "10:30:58", "failed to find a memory slot", "You are a release manager.")
    screen = pilot.app.screen
    assert isinstance(screen, LogsScreen)
    return screen


def codes(screen: LogsScreen) -> list[int]:
    return [row.status for row in screen.requests_pane.shown]


async def test_requests_are_listed_as_they_happen(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        screen = await begun(pilot)
        assert codes(screen) == [0, 400, 200, 499, 200, 404, 200]
        request = begin(busy, 0, "curl/8.5.0", "qwen3:8b", "A new one.")
        await see(pilot, "8 of 8", "A new one.")
        assert screen.requests_pane.table.cursor == 0
        end(busy, request, 1.0, tokens=3, text="Done")
        await until(pilot, lambda: codes(screen)[0] == 200)


async def test_who_has_scrolled_stays_where_he_is(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        screen = await begun(pilot)
        await pilot.press("down")
        await see(pilot, "F follows", "F Follow", "1 022 tokens over")
        begin(busy, 0, "curl/8.5.0", "qwen3:8b", "A new one.")
        await see(pilot, "8 of 8")
        current = screen.requests_pane.current
        assert current is not None
        assert current.status == 400
        await pilot.press("F")
        await see(pilot, "● following", "A new one.")


async def test_views_of_requests_and_logs(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("L")
        await see(pilot, "[Requests]")
        await gone(pilot, "memory slot")
        await pilot.press("L")
        await see(pilot, "[Logs]", "memory slot", "l Level", "w Wrap")
        await gone(pilot, "You are a release manager.")
        await pilot.press("L")
        await see(pilot, "[both]", "memory slot", "You are a release manager.")


async def test_keys_of_the_log_rest_where_it_is_not_shown(
    busy: StageRunner, tmp_path: Path
) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        screen = await begun(pilot)
        view = screen.log_pane.view
        before = (screen.level, view.wrap, view.times, len(view.lines))
        for hiding, showing in (("L", ("L", "L")), ("z", ("z",))):
            await pilot.press(hiding, "l", "w", "t", "m", "f", "n", "N")
            assert (screen.level, view.wrap, view.times, len(view.lines)) == before
            assert not screen.query_one("#logs-body").has_class("-finding")
            assert "Nothing is looked for" not in screen_text(pilot.app)
            await pilot.press(*showing)
        await pilot.press("w")
        await see(pilot, "Long lines are wrapped.")


async def test_pages_of_a_request(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("down", "down")
        await see(pilot, "Hello!")
        await pilot.press("right")
        await see(pilot, "[Response]", "logs are not rotated", "ended by")
        await pilot.press("right_square_bracket")
        await see(pilot, "[Timing]", "46.2 tok/s", "13 cached")
        await pilot.press("right")
        await see(pilot, "[curl]", "http://127.0.0.1:12434/v1/chat/completions", "y copies it")
        await see(pilot, "y copies it; E turns the endpoint on")
        await pilot.press("left", "left_square_bracket")
        await see(pilot, "[Response]")
        await pilot.press("left")
        await see(pilot, "[Request]", "zed/0.209")


def test_the_id_of_a_file_is_not_repeated() -> None:
    path = "/tmp/new/g.gguf"
    record = RequestRecord(id="1", time=NOW, model=path, model_id=f"file:{path}:1:2")
    assert _model(record) == path
    stored = msgspec.structs.replace(record, model="qwen3:8b", model_id="sha256:" + "ab" * 32)
    assert _model(stored) == "qwen3:8b  →  abababababab"


async def test_inspect_scrolls_the_text_and_goes_back(busy: StageRunner, tmp_path: Path) -> None:
    long = begin(busy, 1, "curl/8.5.0", "qwen3:8b", *(f"Line {n}." for n in range(80)))
    end(busy, long, 1.0, tokens=3)
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "Line 3.")
        await pilot.press("enter")
        await see(pilot, "⏎ Table")
        await pilot.press("end")
        await see(pilot, "Line 79.")
        await pilot.press("home", "down", "pagedown", "pageup", "up")
        await see(pilot, "Line 3.")
        await pilot.press("right")
        await see(pilot, "[Response]")
        await pilot.press("escape")
        await see(pilot, "⏎ Inspect")
        await pilot.press("enter", "enter")
        await see(pilot, "⏎ Inspect")


async def test_filter_and_back(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        screen = await begun(pilot)
        await pilot.press("slash")
        await type_in(pilot, "status:>=400 -client:zed")
        await see(pilot, "2 of 7", "0 of 9 lines")
        await pilot.press("enter")
        await see(pilot, "/ status:>=400 -client:zed", "esc Show all")
        assert codes(screen) == [400, 404]
        await pilot.press("escape")
        await see(pilot, "7 of 7", "9 of 9 lines")
        await pilot.press("slash", *"evict", "escape")
        await see(pilot, "7 of 7")


async def test_a_bad_filter_is_said_and_shows_all(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("slash")
        await type_in(pilot, "stats:4")
        await see(pilot, "the filter knows no field “stats”; fields: cached")
        await pilot.press("enter")
        await see(pilot, "the filter knows no field", "esc Close")
        await pilot.press("escape")
        await gone(pilot, "no field")
        await see(pilot, "7 of 7")


async def test_another_screen_may_choose_what_is_shown(busy: StageRunner, tmp_path: Path) -> None:
    app = stage(busy, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        app.post_message(OpenRequests("model:nomic"))
        await see(pilot, "[5 Logs]", "/ model:nomic", "1 of 7")


async def test_since_leaves_out_what_is_older(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("s")
        await see(pilot, "last 1 min", "2 of 7", "2 of 9 lines")
        await pilot.press("s", "s", "s", "s", "s")
        await see(pilot, "7 of 7", "9 of 9 lines")


async def test_levels_of_lines(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("l", "l")
        await see(pilot, "warn and worse", "3 of 9 lines")
        await pilot.press("l")
        await see(pilot, "error and worse", "1 of 9 lines")
        await pilot.press("l")
        await see(pilot, "9 of 9 lines")


async def test_wrap_times_and_mark(busy: StageRunner, tmp_path: Path) -> None:
    busy.lines.append(LogLine(NOW, "word " * 60 + "the end", "info", "http"))
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "10:31:00.000 info  http   word", "wor…")
        await pilot.press("w")
        await see(pilot, "Long lines are wrapped.", "the end")
        await pilot.press("w")
        await see(pilot, "Long lines are cut.")
        await pilot.press("t")
        await gone(pilot, "10:31:00.000")
        await pilot.press("t", "m")
        await see(pilot, "── 10:31:00.000 ──")
        view = pilot.app.screen.query_one(LogView)
        assert view.lines[-1].source == MARK


async def test_find_and_the_next_places(busy: StageRunner, tmp_path: Path) -> None:
    busy.lines = [LogLine(NOW, f"line {n}", "info", "http") for n in range(200)]
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "line 199")
        await pilot.press("n")
        await see(pilot, "Nothing is looked for yet: f takes a text.")
        await pilot.press("f")
        await type_in(pilot, "line 5")
        await pilot.press("enter")
        await see(pilot, "line 59")
        view = pilot.app.screen.query_one(LogView)
        assert not view.following
        await pilot.press("N")
        await until(pilot, lambda: view.scroll_offset.y == 58)
        await pilot.press("n")
        await until(pilot, lambda: view.scroll_offset.y == 59)
        await pilot.press("f", *"zzz", "enter")
        await see(pilot, "No line has “zzz”.")
        await pilot.press("escape")
        assert view.found == ""


async def test_find_goes_through_the_last_page_too(busy: StageRunner, tmp_path: Path) -> None:
    texts = [f"hit {n}" if n in (50, 195, 197) else "line" for n in range(200)]
    busy.lines = [LogLine(NOW, text, "info", "http") for text in texts]
    async with opened(busy, tmp_path).run_test(size=SMALL) as pilot:
        await see(pilot, "hit 197")
        view = pilot.app.screen.query_one(LogView)
        await pilot.press("f", *"hit", "enter")
        await until(pilot, lambda: not view.following)
        await see(pilot, "hit 197")
        await pilot.press("N")
        await see(pilot, "hit 195")
        await pilot.press("N")
        await until(pilot, lambda: view.scroll_offset.y == 50)
        await pilot.press("n", "n")
        await see(pilot, "hit 197")
        await pilot.press("n")
        await until(pilot, lambda: view.scroll_offset.y == 50)
        await pilot.press("F", "N")
        await see(pilot, "hit 197")


async def test_the_log_is_followed_until_one_scrolls(busy: StageRunner, tmp_path: Path) -> None:
    busy.lines = [LogLine(NOW, f"line {n}", "info", "http") for n in range(200)]
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "line 199", "▼ following")
        busy.log(LogLine(NOW, "one more", "info", "http"))
        await see(pilot, "one more")
        await pilot.press("L", "L", "up")
        await see(pilot, "End follows", "F follows")
        busy.log(LogLine(NOW, "unseen", "info", "http"))
        await see(pilot, "202 of 202 lines")
        assert "unseen" not in screen_text(pilot.app)
        await pilot.press("end")
        await see(pilot, "unseen", "● following")
        await pilot.press("home")
        await see(pilot, "line 0")
        await pilot.press("pagedown", "pageup", "down", "G")
        await see(pilot, "unseen")


async def test_pause_holds_the_screen_still(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("p")
        await see(pilot, "‖ paused", "p Go on")
        begin(busy, 0, "curl/8.5.0", "qwen3:8b", "A new one.")
        busy.log(LogLine(NOW, "meanwhile", "info", "http"))
        await until(pilot, lambda: len(pilot.app.workspace.feed.requests) == 8)  # type: ignore[attr-defined]  # it is a DmrApp
        await asyncio.sleep(0.3)
        assert "7 of 7" in screen_text(pilot.app)
        assert "meanwhile" not in screen_text(pilot.app)
        await pilot.press("p")
        await see(pilot, "8 of 8", "meanwhile")


async def test_zoom_shows_one_pane(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("z")
        await see(pilot, "z All", "esc All panes", "CLIENT")
        await gone(pilot, "memory slot")
        await pilot.press("escape")
        await see(pilot, "memory slot")
        await pilot.press("enter", "z")
        await gone(pilot, "CODE")
        await pilot.press("z", "tab")
        await pilot.press("z")
        await see(pilot, "memory slot")
        await gone(pilot, "CODE")


async def test_copy_as_curl(busy: StageRunner, tmp_path: Path) -> None:
    app = opened(busy, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("y")
        await see(pilot, "Copied the request as a curl command; E turns the endpoint on.")
        copied = app.clipboard
        assert copied.startswith("curl http://127.0.0.1:12434/v1/chat/completions \\\n")
        assert "Authorization" not in copied
        assert "Now list the regressions." in copied


async def test_copy_as_curl_where_something_listens(busy: StageRunner, tmp_path: Path) -> None:
    busy.kind, busy.endpoint = "dmr", "http://127.0.0.1:4321"
    app = opened(busy, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("y")
        await see(pilot, "Copied the request as a curl command.")
        assert "E turns" not in screen_text(pilot.app)
        assert app.clipboard.startswith("curl http://127.0.0.1:4321/v1/")


async def test_curl_is_for_the_endpoint_that_was_chosen(busy: StageRunner, tmp_path: Path) -> None:
    app = opened(busy, tmp_path)
    app.workspace.memory.update(endpoint=EndpointChoice(port=4321, api_key="secret"))
    async with app.run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("y")
        await see(pilot, "Copied the request as a curl command; E turns the endpoint on.")
        assert app.clipboard.startswith("curl http://127.0.0.1:4321/v1/chat/completions \\\n")
        assert '-H "Authorization: Bearer $DMR_API_KEY"' in app.clipboard
        assert "secret" not in app.clipboard


async def test_replay_asks_the_same_again(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("R")
        await until(pilot, lambda: busy.asked)
        assert busy.asked[0].messages[-1].content == "Now list the regressions."
        assert busy.asked[0].sampling.temperature == 0.2
        busy.say("Three.")
        busy.finish()
        await see(pilot, "qwen3:8b has answered again: 26→212 tokens.")


async def test_replay_of_what_was_no_chat_is_not_offered(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("down", "down", "down", "down")
        await gone(pilot, "R Replay")
        await pilot.press("R")
        await see(pilot, "this was no chat but embeddings")
        await pilot.press("o")
        await see(pilot, "this was no chat but embeddings")


async def test_open_as_chat(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("down", "down")
        await see(pilot, "Hello!")
        await pilot.press("o")
        await see(pilot, "[3 Chat]", "Hello!", "Now list the regressions.", "logs are not rotated")
        await see(pilot, "A copy of that chat, with its answer")


async def test_open_as_chat_what_got_no_answer(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("down")
        await see(pilot, "1 022 tokens over")
        await pilot.press("o")
        await see(pilot, "[3 Chat]", "r lets the model answer it")


async def test_export_writes_what_is_listed(
    busy: StageRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("slash", *"status:400", "enter", "x")
        await see(pilot, "Wrote 1 requests to")
        (file,) = folder.glob("dmr-requests-*.jsonl")
        assert file.stat().st_mode & 0o777 == 0o600
        (line,) = file.read_text().splitlines()
        written = json.loads(line)
        assert written["status"] == 400
        assert written["request"]["messages"][-1]["content"] == "Now list the regressions."
        assert msgspec.json.decode(line, type=RequestRecord).error is not None
        folder.rename(tmp_path / "gone")
        monkeypatch.setattr("dmr_tui.screens.logs.screen.Path.cwd", lambda: folder)
        await pilot.press("x")
        await see(pilot, "cannot write")


async def test_clear_forgets_what_has_ended(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        screen = await begun(pilot)
        await pilot.press("c")
        await see(pilot, "1 of 1")
        assert codes(screen) == [0]


async def test_texts_off_and_on(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("b")
        await see(pilot, "texts off", "Texts are not recorded", "b Texts on")
        await pilot.press("R")
        await see(pilot, "the text of this request was not kept")
        await pilot.press("b")
        await see(pilot, "texts on", "b Texts off")


async def test_a_larger_context_is_one_key_away(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("down")
        await see(pilot, "e Set context 10240")
        await pilot.press("e")
        await see(pilot, "context of 10240 tokens from now on")
        assert ("configure", "qwen3:8b", Profile(context_size=10240)) in busy.calls


@pytest.mark.parametrize(
    ("error", "offered", "call"),
    [
        (EngineError("the worker died", "its log: x"), "e Load it again", ("load", "qwen3:8b")),
        (InsufficientMemoryError("no room"), "e Unload idle models", ("unload", None)),
    ],
)
async def test_other_failures_and_their_remedies(
    runner: StageRunner, tmp_path: Path, error: EngineError, offered: str, call: object
) -> None:
    failed = begin(runner, 1, "curl/8.5.0", "qwen3:8b", "Hello")
    end(runner, failed, 0.5, status=error.http_status, error=error)
    async with opened(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, error.message, offered)
        await pilot.press("e")
        await until(pilot, lambda: call in runner.calls)


async def test_a_model_that_is_missing_can_be_got(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        await pilot.press("end", "up")
        await see(pilot, "e Get qwen4:8b", "Did you mean")
        await pilot.press("e")
        await until(pilot, lambda: ("pull", "qwen4:8b") in busy.calls)


async def test_failures_of_jobs_are_said(busy: StageRunner, tmp_path: Path) -> None:
    async with opened(busy, tmp_path).run_test(size=LARGE) as pilot:
        await begun(pilot)
        for key in ("c", "b"):
            busy.failure = UnavailableError("the runner does not answer", f"try {key} again")
            await pilot.press(key)
            await see(pilot, f"try {key} again")


async def test_an_empty_list_says_how_to_fill_it(runner: StageRunner, tmp_path: Path) -> None:
    async with opened(runner, tmp_path).run_test(size=SMALL) as pilot:
        await see(pilot, "No request yet.", "curl http://127.0.0.1:12434/v1/chat/completions")
        for key in ("y", "R", "o", "e", "x", "c", "enter"):
            await pilot.press(key)
        await see(pilot, "No request yet.")


async def test_only_what_is_printable_reaches_the_terminal(
    runner: StageRunner, tmp_path: Path
) -> None:
    evil = "\x1b[31mred\x07"
    request = begin(runner, 1, f"evil{evil}", f"m{evil}", f"hello{evil}")
    end(runner, request, 0.5, status=500, error=EngineError(f"boom{evil}", f"do{evil}"))
    runner.lines = [LogLine(NOW, f"said{evil}", "info", f"src{evil}")]
    async with opened(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "boom[31mred", "hello[31mred", "said[31mred")
        await pilot.press("right")
        await see(pilot, "[Response]")
        await pilot.press("right", "right")
        await see(pilot, "[curl]")
        assert "\x1b" not in screen_text(pilot.app)
        assert "\x07" not in screen_text(pilot.app)


async def test_ten_thousand_lines_and_requests_are_bounded(
    runner: StageRunner, tmp_path: Path
) -> None:
    runner.lines = [LogLine(NOW, f"line {n}", "info", "http") for n in range(10_000)]
    async with opened(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "line 9999")
        runner.log(*(LogLine(NOW, f"more {n}", "info", "http") for n in range(700)))
        await see(pilot, "more 699")
        view = pilot.app.screen.query_one(LogView)
        assert 10_000 <= len(view.lines) <= 10_500
