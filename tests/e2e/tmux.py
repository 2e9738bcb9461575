"""The program in a real terminal multiplexer."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Program


def tmux_or_skip() -> None:
    """Skip a test where there is no tmux; where tests have to be complete, fail."""
    if shutil.which("tmux") is None:
        if os.environ.get("CI"):
            pytest.fail("tmux is not installed: run tools/system-packages.sh")
        pytest.skip("tmux is not installed: run tools/system-packages.sh")


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

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

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
