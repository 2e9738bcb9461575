from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

from dmr_tui.chat.drafts import Draft, Drafts

WRITER = """
import os, signal, sys
from pathlib import Path
from dmr_tui.chat.drafts import Draft, Drafts
drafts = Drafts(Path(sys.argv[1]))
drafts.keep(Draft("half a thou"))
drafts.keep(Draft("half a thought", {"[text 1]": "long"}, ["sent too early"]))
print("kept", flush=True)
signal.pause()
"""


def test_a_killed_program_leaves_its_draft(tmp_path: Path) -> None:
    folder = tmp_path / "drafts"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "kept\n"
        assert Drafts(folder).recover() == []  # It lives.
        writer.send_signal(signal.SIGKILL)
    draft = Draft("half a thought", {"[text 1]": "long"}, ["sent too early"])
    assert Drafts(folder).recover() == [draft]
    assert Drafts(folder).recover() == []
    assert list(folder.iterdir()) == []


def test_a_program_that_ends_leaves_its_draft_to_the_next(tmp_path: Path) -> None:
    first = Drafts(tmp_path)
    first.keep(Draft("one"))
    assert stat.S_IMODE(next(tmp_path.glob("*.json")).stat().st_mode) == 0o600
    first.close()
    assert Drafts(tmp_path).recover() == [Draft("one")]


def test_an_emptied_draft_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "drafts"
    drafts = Drafts(folder)
    drafts.keep(Draft("one"))
    drafts.keep(Draft("  \n"))
    drafts.close()
    assert list(folder.iterdir()) == []


def test_a_damaged_file_is_no_draft(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    assert Drafts(tmp_path).recover() == []


def test_there_may_be_no_folder(tmp_path: Path) -> None:
    assert Drafts(tmp_path / "none").recover() == []
