"""How the program starts and ends: what it imports first, and the real one in a real terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dmr_tui.paths import Paths
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from tests.support.terminal import Terminal

LATER = ("httpx", "msgspec", "psutil", "markdown_it", "pygments", "jinja2", "llama_cpp", "sqlite3",
         "starlette", "oras", "pynvml", "dmr_tui.engine.manager", "dmr_tui.store.store",
         "dmr_tui.chat.conversation")  # fmt: skip
SIZES = [(36, 120), (24, 80)]
PROGRAM = [sys.executable, "-m", "dmr_tui"]


def test_nothing_that_is_not_drawn_is_imported_before_the_first_frame() -> None:
    code = f"import sys, dmr_tui.app; print([name for name in {LATER} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_an_empty_store_in_a_real_terminal(rows: int, columns: int) -> None:
    with Terminal(PROGRAM, rows=rows, columns=columns) as terminal:
        terminal.wait_for(r"^ dmr +\[1 Models\]")
        terminal.wait_for("free on disk")
        terminal.wait_for("embedded +· +○ no model")
        # One writes a name here, so a digit alone is a letter of it.
        terminal.type("\x1b2")
        terminal.wait_for(r"\[2 Get\]")
        terminal.type("\x1b1")
        terminal.wait_for(r"\[1 Models\]")
        terminal.keys("C-q")
        assert terminal.wait_exit() == 0


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_a_real_model_answers_in_a_real_terminal(tiny_gguf: Path, rows: int, columns: int) -> None:
    package_gguf(Store(Paths.default().models), tiny_gguf, parse_reference("tiny"))
    with Terminal(PROGRAM, rows=rows, columns=columns) as terminal:
        terminal.wait_for("▸ ○ tiny")
        terminal.keys("Enter")
        terminal.wait_for(r"New chat · tiny")
        terminal.type("/set parameter num_predict 20")
        terminal.keys("Enter")
        terminal.wait_for("Set parameter")
        terminal.type("hello")
        terminal.keys("Enter")
        terminal.wait_for(r"tok/s · .* to first · 20 tokens")
        terminal.wait_for("● tiny")
        worker = subprocess.run(
            ["pgrep", "-P", str(terminal.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        terminal.keys("C-q")
        assert terminal.wait_exit() == 0
        assert not [pid for pid in worker if os.path.exists(f"/proc/{pid}")]


def test_a_running_server_is_used(tiny_gguf: Path) -> None:
    package_gguf(Store(Paths.default().models), tiny_gguf, parse_reference("tiny"))
    with Terminal([*PROGRAM, "serve", "--port", "0"]) as server:
        port = server.wait_for(r"http://127\.0\.0\.1(:\d+)")[1]
        with Terminal(PROGRAM) as terminal:
            terminal.wait_for("▸ ○ tiny")
            terminal.wait_for(rf"{port} · ○ no model")
            terminal.keys("C-q")
            assert terminal.wait_exit() == 0
