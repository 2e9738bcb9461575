"""The chat as a person has it: in a real terminal."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmr_tui.paths import Paths
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
    terminal.wait_for(r"^> /cl\n +/clear +forget what was said\n\s*\Z")
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
