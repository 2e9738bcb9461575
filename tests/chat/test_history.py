from __future__ import annotations

import stat
from pathlib import Path

from prompt_toolkit.history import FileHistory

from dmr_tui.chat.history import History, forgets


def test_entries_are_kept_in_order_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "state" / "history"
    history = History(file)
    for entry in ("first", "two\n\nlines", "+ plus", ""):
        history.add(entry)
    assert History(file).load() == ["first", "two\n\nlines", "+ plus", ""]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_file_is_prompt_toolkits(tmp_path: Path) -> None:
    file = tmp_path / "history"
    theirs = FileHistory(str(file))
    theirs.store_string("by them\nin two lines")
    History(file).add("by us\nin two lines")
    expected = ["by us\nin two lines", "by them\nin two lines"]
    assert list(FileHistory(str(file)).load_history_strings()) == expected
    assert History(file).load() == expected[::-1]


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    file = tmp_path / "history"
    file.write_text("")
    file.chmod(0o644)
    History(file).add("secret")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_cannot_be_written_is_remembered_for_the_session(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    history = History(tmp_path / "file" / "history")
    history.add("typed")
    assert history.load() == ["typed"]
    assert History(None).load() == []


def test_the_environment_turns_it_off() -> None:
    assert forgets({"DOCKER_MODEL_NOHISTORY": "1"})
    assert not forgets({})
