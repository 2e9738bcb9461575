"""The full screen in a real terminal multiplexer, at the sizes people have."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Program


class Tmux:
    """One program in a private tmux server."""

    def __init__(self, socket: Path, program: Program, columns: int, rows: int) -> None:
        self._command = ["tmux", "-f", os.devnull, "-S", str(socket)]
        self._environ = {**program.environ, "LC_ALL": "C.UTF-8"}
        size = ("-x", str(columns), "-y", str(rows))
        shell = shlex.join([sys.executable, "-m", "dmr_tui"])
        self._tmux("new-session", "-d", *size, f"{shell}; echo left with $?; exec cat")

    def _tmux(self, *arguments: str) -> str:
        run = subprocess.run(
            [*self._command, *arguments],
            env=self._environ,
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout

    def keys(self, *keys: str) -> None:
        """Type text and named keys, all at once."""
        self._tmux("send-keys", *keys)

    def screen(self) -> str:
        """What is to be seen."""
        return self._tmux("capture-pane", "-p")

    def wait_for(self, pattern: str, seconds: float = 20) -> str:
        """The screen, as soon as the pattern is on it."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, screen := self.screen()):
            assert time.monotonic() < deadline, f"no {pattern!r} on:\n{screen}"
            time.sleep(0.05)
        return screen

    def descendants(self) -> list[psutil.Process]:
        """All processes below the terminal."""
        pid = int(self._tmux("display-message", "-p", "#{pane_pid}"))
        return psutil.Process(pid).children(recursive=True)

    def close(self) -> None:
        """End the server and what runs in it."""
        subprocess.run([*self._command, "kill-server"], capture_output=True)


@pytest.fixture(params=[(120, 36), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
def tmux(
    request: pytest.FixtureRequest, program: Program, tiny_gguf: Path, tmp_path: Path
) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        if os.environ.get("CI"):
            pytest.fail("tmux is not installed: run tools/system-packages.sh")
        pytest.skip("tmux is not installed: run tools/system-packages.sh")
    del program.environment["DEFAULT_REGISTRY"]  # nothing is pulled here: names stay short
    program.run("package", "--gguf", str(tiny_gguf), "my/random")
    terminal = Tmux(tmp_path / "tmux", program, *request.param)
    yield terminal
    terminal.close()


def test_from_the_first_frame_to_a_chat_and_out(tmux: Tmux) -> None:
    tmux.wait_for(r"my/random .*Q8_0")
    tmux.keys("Enter")
    tmux.wait_for(r"Chat with my/random")
    # One burst: the letters must come before the key that sends them.
    tmux.keys("Tell me something", "Enter")
    tmux.wait_for(r"\d tok/s")
    tmux.keys("Escape")
    screen = tmux.wait_for(r"(?s)\A(?!.*esc Stop)")
    assert "100%" not in screen  # of the context: it was not the end of the answer
    assert [p for p in tmux.descendants() if "llamacpp" in " ".join(p.cmdline())]
    tmux.keys("C-q")
    tmux.wait_for(r"left with 0")
    assert not [p for p in tmux.descendants() if "llamacpp" in " ".join(p.cmdline())]


def test_a_killed_worker_is_told_and_the_next_message_is_answered(tmux: Tmux) -> None:
    tmux.wait_for(r"my/random .*Q8_0")
    tmux.keys("Enter")
    tmux.wait_for(r"Chat with my/random")
    tmux.keys("Tell me something", "Enter")
    tmux.wait_for(r"\d tok/s")
    (worker,) = [p for p in tmux.descendants() if "llamacpp" in " ".join(p.cmdline())]
    worker.kill()
    tmux.wait_for(r"SIGKILL")
    tmux.keys("And again", "Enter")
    tmux.wait_for(r"esc Stop")
    tmux.keys("C-q")
    tmux.wait_for(r"left with 0")
