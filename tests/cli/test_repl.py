"""The chat as a person has it: in a real terminal."""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmr_tui.paths import Paths
from tests.chat.test_attachments import PNG
from tests.support.terminal import Terminal

ROOT = Path(__file__).parents[2]
PLACEHOLDER = r"^> Send a message \(/\? for help\)$"


class Chat(Terminal):
    """A terminal with the REPL in it."""

    asked: Path

    def ready(self) -> Chat:
        """Wait for an empty prompt below everything else."""
        self.wait_for(PLACEHOLDER + r"\s*\Z")
        return self

    def say(self, text: str) -> None:
        """Type a message and send it."""
        self.type(text)
        self.keys("Enter")

    def leave(self) -> list[list[list[str]]]:
        """Leave by Ctrl-D; returns what the model was asked."""
        self.ready()
        self.keys("C-d")
        assert self.wait_exit() == 0
        report = json.loads(self.asked.read_text())
        assert report["open"] == 0
        said: list[list[list[str]]] = report["said"]
        return said


Open = Callable[..., Chat]


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Open]:
    """Opens chats; keywords are the runner's script."""
    opened: list[Chat] = []

    def open_chat(environment: dict[str, str] | None = None, rows: int = 24, **script: Any) -> Chat:
        asked = tmp_path / f"asked{len(opened)}.json"
        command = [sys.executable, "-m", "tests.cli.chat_program", json.dumps(script), str(asked)]
        terminal = Chat(command, environment=environment, cwd=ROOT, rows=rows)
        terminal.asked = asked
        opened.append(terminal)
        return terminal.ready()

    yield open_chat
    for terminal in opened:
        terminal.close()


def test_question_answer_and_next_question(chat: Open) -> None:
    terminal = chat(words=["Hel", "lo ", "there"])
    terminal.say("who are you?")
    terminal.wait_for(r"^> who are you\?\nHello there\n\n> Send")
    terminal.say("and now?")
    terminal.wait_for(r"> and now\?\nHello there\n\n> Send")
    assert terminal.leave() == [
        [["user", "who are you?"]],
        [["user", "who are you?"], ["assistant", "Hello there"], ["user", "and now?"]],
    ]
    # The placeholder is no part of what stays in the scrollback.
    assert "Send a message" not in terminal.everything()


def test_multi_line_message(chat: Open) -> None:
    terminal = chat(words=["ok"])
    terminal.say('"""')
    terminal.wait_for(r'^> """\n\. Use """ to end multi-line input')
    terminal.say("first")
    terminal.wait_for(r"^\. first\n\. ?$")
    terminal.say('second"""')
    terminal.wait_for(r"^ok")
    assert terminal.leave() == [[["user", "first\nsecond"]]]


def test_pasted_lines_and_ctrl_j_do_not_send(chat: Open) -> None:
    terminal = chat(words=["ok"])
    terminal.paste("one\ntwo\n")
    terminal.wait_for(r"^> one\n\. two\n\. ?$")
    terminal.type("three")
    terminal.keys("C-j")
    terminal.say("four")
    terminal.wait_for(r"^ok")
    assert terminal.leave() == [[["user", "one\ntwo\nthree\nfour"]]]


def test_ctrl_c_stops_the_answer_and_keeps_what_came(chat: Open) -> None:
    terminal = chat(words=["Once ", "upon"], endless=True)
    terminal.say("tell me")
    terminal.wait_for(r"^Once upon$")
    terminal.keys("C-c")
    terminal.wait_for(r"^Once upon\n\n> Send")
    terminal.say("go on")
    terminal.wait_for(r"> go on\nOnce upon$")
    terminal.keys("C-c")
    assert terminal.leave()[1] == [
        ["user", "tell me"],
        ["assistant", "Once upon"],
        ["user", "go on"],
    ]


def test_what_is_typed_during_an_answer_waits_for_the_prompt(chat: Open) -> None:
    terminal = chat(words=["Once"], endless=True)
    terminal.say("tell me")
    terminal.wait_for(r"^Once$")
    assert not terminal.echoes()
    terminal.say("later")
    terminal.keys("C-c")
    terminal.wait_for(r"^Once\n\n> later\nOnce$")
    terminal.keys("C-c")
    assert [question[-1] for question in terminal.leave()] == [
        ["user", "tell me"],
        ["user", "later"],
    ]


def test_ctrl_c_at_the_prompt(chat: Open) -> None:
    terminal = chat()
    terminal.type("half a thou")
    terminal.wait_for("half a thou")
    terminal.keys("C-c")
    terminal.wait_for(r"^> half a thou\n> Send")
    assert "Use Ctrl + d" not in terminal.screen()
    terminal.keys("C-c")
    terminal.wait_for(r"^Use Ctrl \+ d or /bye to exit\.\n> Send")
    assert terminal.leave() == []


@pytest.mark.parametrize("command", ["/bye", "/exit"])
def test_leaving_by_command(chat: Open, command: str) -> None:
    terminal = chat()
    terminal.say(command)
    assert terminal.wait_exit() == 0


def test_commands_answer_without_the_model(chat: Open) -> None:
    terminal = chat(rows=40)
    terminal.say("/set system be brief")
    terminal.wait_for(r"^Set system message\.\n> Send")
    terminal.say("/? shortcuts")
    terminal.wait_for(r"Ctrl \+ z +suspend\n> Send")
    terminal.say("/xit")
    terminal.wait_for(r"^Error: Unknown command '/xit'\. Did you mean /exit\?")
    assert terminal.leave() == []


def test_slash_commands_are_completed(chat: Open) -> None:
    terminal = chat()
    terminal.type("/")
    terminal.wait_for(r"/model +go on with another model")
    terminal.type("cl")
    terminal.wait_for(r"^> /cl\n +/clear +forget what was said, begin anew\n\s*\Z")
    terminal.keys("Tab")
    terminal.wait_for(r"^> /clear$")
    terminal.keys("Enter")
    terminal.wait_for(r"^Cleared session context\.")


def test_history_is_kept_whole_and_private(chat: Open) -> None:
    first = chat(words=["ok"])
    first.say('"""one')
    first.say('two"""')
    first.wait_for(r"^ok\n\n> Send")
    first.leave()
    second = chat(words=["ok"])
    second.keys("Up")
    second.wait_for(r'^> """one\n\. two"""')
    second.keys("Enter")
    second.wait_for(r"^ok\n\n> Send")
    assert second.leave() == [[["user", "one\ntwo"]]]
    assert stat.S_IMODE(Paths.default().history.stat().st_mode) == 0o600


def test_history_can_be_turned_off(chat: Open) -> None:
    terminal = chat({"DOCKER_MODEL_NOHISTORY": "1"}, words=["ok"])
    terminal.say("a secret")
    terminal.wait_for(r"^ok\n\n> Send")
    terminal.leave()
    assert not Paths.default().history.exists()


def test_a_failure_is_one_line_and_the_text_comes_back(chat: Open) -> None:
    terminal = chat(words=["ok"], first_fails=True)
    terminal.say("my long question")
    terminal.wait_for(r"^Error: the worker died\n  ask again\n> my long question")
    assert "Traceback" not in terminal.everything()
    terminal.keys("Enter")
    terminal.wait_for(r"^ok\n\n> Send")
    assert terminal.leave() == [[["user", "my long question"]]]


def test_a_failed_preload_is_shown_above_the_prompt(chat: Open) -> None:
    terminal = chat(preload_fails=True)
    terminal.wait_for(r"^Error: the file is broken\n  pull it again\n> Send")
    terminal.leave()


def test_answers_are_rendered(chat: Open) -> None:
    terminal = chat(words=["**bo", "ld** ", "`x`\n\n", "```py\n", "def f():", "\n    pass\n```\n"])
    terminal.say("hi")
    terminal.wait_for(r"^bold x\n\n```py\ndef f\(\):\n    pass\n```\n\n> Send")
    row = terminal.lines().index("bold x")
    assert terminal.cell(row, 0).bold
    assert terminal.cell(row + 3, 0).fg != "default"
    terminal.leave()


@pytest.mark.parametrize("color", ["auto", "no"])
def test_a_model_cannot_steer_the_terminal(chat: Open, color: str) -> None:
    terminal = chat(
        words=["a\x1b", "[2Jb\x9b31m", "\x07\r\x0c c\n"], thoughts=["\x1b]0;x\x07"], color=color
    )
    terminal.say("hi")
    terminal.wait_for(r"^> hi\n\]0;x\n\na\[2Jb31m c\n\n> Send")
    terminal.say("/raw")
    terminal.wait_for(r"> /raw\na\[2Jb31m c\n")
    terminal.leave()


def test_answers_can_stay_plain(chat: Open) -> None:
    terminal = chat(words=["**bold**"], color="no")
    terminal.say("hi")
    terminal.wait_for(r"^\*\*bold\*\*$")
    terminal.leave()


def test_thoughts_are_dim_and_apart(chat: Open) -> None:
    terminal = chat(thoughts=["hm, ", "well"], words=["Yes."])
    terminal.say("hi")
    terminal.wait_for(r"^hm, well\n\nYes\.\n\n> Send")
    assert b"\x1b[2mhm, " in terminal.raw
    terminal.leave()


def test_verbose_shows_both_speeds(chat: Open) -> None:
    terminal = chat(words=["a", "b", "c"], verbose=True)
    terminal.say("hi")
    terminal.wait_for(r"^prompt: +11 tokens, 14\.00 tokens/s$")
    terminal.wait_for(r"^generation: +3 tokens, 1\.00 tokens/s$")
    terminal.wait_for(r"^first token: +\d+\.\d+ s$")
    terminal.leave()


def test_a_long_answer_is_whole_in_the_scrollback(chat: Open) -> None:
    lines = [f"- item {number}\n" for number in range(60)]
    terminal = chat(words=lines, rows=10)
    terminal.say("hi")
    terminal.wait_for(r"item 59\n\n> Send")
    shown = [line.strip() for line in terminal.everything().splitlines()]
    assert [line for line in shown if line.startswith("•")] == [
        f"• item {number}" for number in range(60)
    ]


def test_the_editor_writes_the_message(chat: Open, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "from the editor" > "$1"\n')
    editor.chmod(0o755)
    terminal = chat({"EDITOR": str(editor), "VISUAL": ""}, words=["ok"])
    terminal.keys("C-g")
    terminal.wait_for(r"^> from the editor")
    terminal.keys("Enter")
    terminal.wait_for(r"^ok\n\n> Send")
    assert terminal.leave() == [[["user", "from the editor"]]]


def test_chats_are_saved_and_opened_again(chat: Open) -> None:
    first = chat(words=["**Hello** there"])
    first.say("who are you?")
    first.wait_for(r"^Hello there\n\n> Send")
    first.leave()
    second = chat(words=["ok"])
    second.say("/chats")
    second.wait_for(r"^ +1 +who are you\?\n.* · 1 turn · ")
    second.say("/load 1")
    second.wait_for(r"^Opened 'who are you\?'.*\n> who are you\?\nHello there\n\n> Send")
    second.say("and now?")
    second.wait_for(r"^ok\n\n> Send")
    assert second.leave() == [
        [["user", "who are you?"], ["assistant", "**Hello** there"], ["user", "and now?"]]
    ]


def test_a_question_is_edited_and_answered_anew(chat: Open) -> None:
    terminal = chat(words=["ok"])
    terminal.say("first")
    terminal.wait_for(r"> first\nok\n\n> Send")
    terminal.say("/edit")
    terminal.wait_for(r"> /edit\n> first$")
    terminal.say(" of all")
    terminal.wait_for(r"> first of all\nok\n\n> Send")
    terminal.say("/retry")
    terminal.wait_for(r"> /retry\nok\n\n> Send")
    terminal.say("/version")
    terminal.wait_for(r"^Versions of the answer:\n  1  ok\n> 2  ok")
    assert terminal.leave() == [
        [["user", "first"]], [["user", "first of all"]], [["user", "first of all"]],
    ]  # fmt: skip


def test_an_edit_that_is_dropped_is_none(chat: Open) -> None:
    terminal = chat(words=["ok"])
    terminal.say("first")
    terminal.wait_for(r"^ok\n\n> Send")
    terminal.say("/edit")
    terminal.wait_for(r"> /edit\n> first$")
    terminal.keys("C-c")
    terminal.wait_for(r"^> first\n> Send")
    terminal.say("second")
    terminal.wait_for(r"> second\nok\n\n> Send")
    assert terminal.leave()[1] == [["user", "first"], ["assistant", "ok"], ["user", "second"]]


def test_code_is_copied_through_the_terminal(chat: Open) -> None:
    terminal = chat(words=["```sh\nls -l\n```"])
    terminal.say("how?")
    terminal.wait_for(r"ls -l\n```\n\n> Send")
    terminal.say("/copy 1")
    terminal.wait_for(r"^Copied 1 line\.\n> Send")
    assert b"\x1b]52;c;" + base64.b64encode(b"ls -l") + b"\x07" in terminal.raw
    terminal.leave()


def test_files_are_completed_and_sent(chat: Open, home: Path) -> None:
    (home / "shopping.txt").write_text("milk")
    (home / "cat.png").write_bytes(PNG)
    terminal = chat(words=["ok"])
    terminal.type("buy @~/sho")
    terminal.wait_for(r"^ +@~/shopping\.txt")
    terminal.keys("Tab")
    terminal.wait_for(r"^> buy @~/shopping\.txt$")
    terminal.keys("Enter")
    terminal.wait_for(r"^Added shopping\.txt\nok\n\n> Send")
    terminal.say("/image ~/cat.png")
    terminal.wait_for(r"^> @~/cat\.png")
    terminal.say("what is it?")
    terminal.wait_for(r"^Added cat\.png\nok\n\n> Send")
    said = terminal.leave()
    assert said[0] == [["user", "buy milk"]]
    image, text = json.loads(json.dumps(said[1][-1][1]))
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert text == {"type": "text", "text": "what is it?"}


def test_a_file_that_cannot_be_sent_leaves_the_message_to_be_changed(
    chat: Open, home: Path
) -> None:
    terminal = chat(words=["ok"])
    terminal.say("read @~")
    terminal.wait_for(r"^Error: [\s\S]*\n.*name the files in it one by one\n> read @~$")
    terminal.keys("C-c")
    assert terminal.leave() == []


def test_the_oldest_turns_are_left_out_and_it_says_so(chat: Open) -> None:
    terminal = chat(words=["ok"], room=4)
    for text in ("one", "two"):
        terminal.say(text)
        terminal.wait_for(rf"> {text}\nok\n\n> Send")
    terminal.say("three")
    terminal.wait_for(r"^The context is full: the oldest 2 messages are no longer sent")
    terminal.wait_for(r"^ok\n\n> Send")
    assert [message[1] for message in terminal.leave()[2]] == ["two", "ok", "three"]


def test_history_is_searched(chat: Open) -> None:
    terminal = chat(words=["ok"])
    for text in ("the first one", "another"):
        terminal.say(text)
        terminal.wait_for(rf"> {text}\nok\n\n> Send")
    terminal.keys("C-r")
    terminal.type("fir")
    terminal.wait_for(r"^I-search backward: fir")
    terminal.keys("Enter")
    terminal.wait_for(r"^> the first one\s*\Z")
    terminal.keys("Enter")
    assert terminal.leave()[2][-1] == ["user", "the first one"]


def test_a_chat_that_cannot_be_saved_goes_on(chat: Open) -> None:
    file = Paths.default().chats
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no database " * 100)
    terminal = chat(words=["ok"])
    for number in range(2):
        terminal.say(f"question {number}")
        terminal.wait_for(rf"> question {number}\nok\n(Error.*\n.*\n.*\n)?\n> Send")
    terminal.leave()
    assert terminal.everything().count("Error: saved chats cannot be used") == 1


def test_a_shell_that_changed_the_terminal_meanwhile(chat: Open) -> None:
    terminal = chat(words=["new "], endless=True).ready()
    terminal.say("go on")
    terminal.wait_for(r"^new")
    assert not terminal.echoes()
    terminal.let_echo()  # as bash does after Ctrl-Z
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.wait_until(lambda: not terminal.echoes(), "no echo")
    terminal.keys("C-c")
    terminal.leave()
