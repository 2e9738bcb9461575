"""How the program starts and ends: what it imports first, and the real one in a real terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
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


def test_it_leaves_when_its_terminal_is_gone_and_hangups_are_ignored() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does it
        os.execve(sys.executable, PROGRAM, {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"})
    _read_until(terminal, "free on disk")
    os.write(terminal, b"\x1b3")
    _read_until(terminal, "[3 Chat]")
    os.write(terminal, "half a question, Ω".encode())
    _read_until(terminal, "Ω")
    os.close(terminal)
    end = time.monotonic() + 20
    status = (0, 0)
    while not status[0]:
        assert time.monotonic() < end, "it goes on without a terminal"
        time.sleep(0.05)
        status = os.waitpid(pid, os.WNOHANG)
    assert os.waitstatus_to_exitcode(status[1]) == 128 + signal.SIGHUP
    with Terminal(PROGRAM) as again:
        again.wait_for("half a question, Ω")
        again.keys("C-q")
        assert again.wait_exit() == 0


def test_a_signal_lets_it_leave_and_gives_the_terminal_back() -> None:
    with Terminal(PROGRAM) as terminal:
        terminal.wait_for("free on disk")
        terminal.type("\x1b3")
        terminal.wait_for(r"\[3 Chat\]")
        terminal.type("half a question")
        terminal.wait_for("half a question")
        terminal.signal(signal.SIGTERM)
        assert terminal.wait_exit() == 128 + signal.SIGTERM
        assert terminal.echoes()
        assert b"\x1b[?1049l" in terminal.raw
    with Terminal(PROGRAM) as again:
        again.wait_for("half a question")
        again.keys("C-q")
        assert again.wait_exit() == 0


def _read_until(terminal: int, text: str) -> None:
    """Read what is drawn until it has a text."""
    seen = b""
    end = time.monotonic() + 60
    while text.encode() not in seen:
        assert time.monotonic() < end, f"{text!r} was not drawn"
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 65536)
