"""How a worker's death is told."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from dmr_tui.engine.last_words import Postmortem, describe_exit, last_words
from dmr_tui.system.cgroup import MemoryGroup


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


def test_kills_of_other_containers_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = tmp_path / "vmstat"
    monkeypatch.setattr("dmr_tui.engine.last_words._VMSTAT", host)
    groups = [MemoryGroup(None, 0, 0, None), MemoryGroup(None, 0, 0, 1), MemoryGroup(9, 0, 0, 5)]
    monkeypatch.setattr("dmr_tui.engine.last_words.memory_groups", lambda: groups)
    host.write_text("oom_kill 3\n")
    postmortem = Postmortem(tmp_path / "x.log")
    host.write_text("oom_kill 4\n")
    assert not postmortem.examine(-signal.SIGKILL, stuck=False).out_of_memory
    groups[1] = MemoryGroup(None, 0, 0, 2)
    assert postmortem.examine(-signal.SIGKILL, stuck=False).out_of_memory


def test_a_refused_allocation_is_told_as_such(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    postmortem = Postmortem(log)
    log.write_text("terminate called after throwing an instance of 'std::bad_alloc'\n")
    assert postmortem.examine(-signal.SIGABRT, stuck=False).out_of_memory
    log.write_text("GGML_ASSERT(x) failed\n")
    assert not postmortem.examine(-signal.SIGABRT, stuck=False).out_of_memory
