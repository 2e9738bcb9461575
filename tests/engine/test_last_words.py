"""How a worker's death is told."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from dmr_tui.engine.last_words import describe_exit, last_words


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "exit status 0"),
        (1, "exit status 1"),
        (-signal.SIGSEGV, "killed by signal 11 (SIGSEGV)"),
        (-signal.SIGKILL, "killed by signal 9 (SIGKILL)"),
        (-signal.SIGRTMIN - 1, "killed by signal 35"),
    ],
)
def test_exit_statuses(status: int, text: str) -> None:
    assert describe_exit(status) == text


def test_only_what_tells_something_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("E of an earlier worker\n")
    start = os.path.getsize(log)
    with log.open("a") as out:
        out.write("I loading\n\n" + "".join(f"E error {number}\n" for number in range(9)))
        out.write("I more\nGGML_ASSERT(x) failed\n")
    words = "E error 5 | E error 6 | E error 7 | E error 8 | GGML_ASSERT(x) failed"
    assert last_words(log, start) == words


def test_the_rest_of_a_line_is_no_last_word(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("I a model's facts\n" * 2000)
    assert last_words(log, 0) == ""
    assert last_words(log, 3) == ""


def test_no_log_no_words(tmp_path: Path) -> None:
    assert last_words(tmp_path / "none.log", 0) == ""
