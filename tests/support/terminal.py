"""Drive a program in a real pseudo-terminal, as a person at a keyboard would.

    with Terminal([sys.executable, "-m", "dmr_tui", "run", "m"]) as terminal:
        terminal.wait_for("> ")
        terminal.type("hello")
        terminal.keys("Enter")
        terminal.wait_for(r"^hi there")

What is matched is the screen that a person sees, as the pyte emulator draws it, and not the stream
of bytes; `raw` keeps those.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyte

KEYS = {
    "Enter": "\r",
    "Tab": "\t",
    "Escape": "\x1b",
    "Backspace": "\x7f",
    "Up": "\x1b[A",
    "Down": "\x1b[B",
    "Right": "\x1b[C",
    "Left": "\x1b[D",
    **{f"C-{letter}": chr(ord(letter) - 96) for letter in "abcdefghijklmnopqrstuvwxyz"},
}
SECONDS = 20.0
"""How long a screen may take to come; a failure shows the screen as it was."""

# Sequences with a private marker that pyte would print instead of ignoring.
_IGNORED = re.compile(r"\x1b\[[<=>][0-9;:]*[ -/]*[@-~]|\x1b\[\?[0-9;]*\$[a-z]")
_COMPLETE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-OQ-WYZ\\`-~])"
)


class Terminal:
    """A program and the screen it draws on."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        rows: int = 24,
        columns: int = 80,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.raw = b""
        self._screen = pyte.HistoryScreen(columns, rows, history=5000, ratio=0.5)
        self._screen.write_process_input = self._reply
        self._stream = pyte.Stream(self._screen)
        self._lock = threading.RLock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._status: int | None = None
        self._columns = columns
        environment = {
            **os.environ,
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
            **(environment or {}),
        }
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            _become(command, rows, columns, environment, cwd)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def type(self, text: str) -> None:
        """Send text as typed."""
        os.write(self._fd, text.encode())

    def paste(self, text: str) -> None:
        """Send text as a terminal sends what is pasted."""
        self.type(f"\x1b[200~{text}\x1b[201~")

    def keys(self, *names: str) -> None:
        """Press keys by name."""
        for name in names:
            self.type(KEYS[name])

    def lines(self) -> list[str]:
        """The rows of the screen, without blanks at their ends."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    def screen(self) -> str:
        """The screen as one text."""
        return "\n".join(self.lines())

    def everything(self) -> str:
        """What has scrolled away, and then the screen."""
        with self._lock:
            gone = [
                "".join(row[column].data for column in range(self._columns)).rstrip()
                for row in self._screen.history.top
            ]
        return "\n".join(gone + self.lines())

    def cell(self, row: int, column: int) -> Any:
        """A character with its `fg`, `bold` and so on."""
        with self._lock:
            return self._screen.buffer[row][column]

    def echoes(self) -> bool:
        """Whether the terminal itself shows what is typed."""
        return bool(termios.tcgetattr(self._fd)[3] & termios.ECHO)

    def let_echo(self) -> None:
        """Have the terminal show what is typed, as a shell that was gone back to has."""
        modes = termios.tcgetattr(self._fd)
        modes[3] |= termios.ECHO | termios.ICANON
        termios.tcsetattr(self._fd, termios.TCSANOW, modes)

    def wait_for(self, pattern: str, seconds: float = SECONDS) -> re.Match[str]:
        """Until the screen matches."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found[:] = [match] if (match := re.search(pattern, self.screen(), re.M)) else []
            return bool(found)

        self.wait_until(look, f"/{pattern}/", seconds)
        return found[0]

    def wait_until(self, test: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        """Until `test` holds; it is tried each time the program may have drawn."""
        end = time.monotonic() + seconds
        while not test():
            # Ask first, look then: what came before the end is on the screen by now.
            ended = not self.alive()
            if time.monotonic() > end or (ended and not test()):
                state = "the program has ended" if ended else f"not within {seconds} s"
                raise AssertionError(f"{what}: {state}; the screen:\n{self.screen()}")
            time.sleep(0.01)

    def alive(self) -> bool:
        """Whether the program still runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
                self._reader.join(1)
        return self._status is None

    def signal(self, number: int) -> None:
        """Send a signal to the program."""
        if self.alive():
            os.kill(self.pid, number)

    def wait_exit(self, seconds: float = SECONDS) -> int:
        """The exit code, once the program has ended."""
        end = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > end:
                raise AssertionError(f"has not ended within {seconds} s:\n{self.screen()}")
            time.sleep(0.01)
        assert self._status is not None
        return self._status

    def close(self) -> None:
        """End the program, if need be by force."""
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGKILL):
            self.signal(number)
            end = time.monotonic() + 2
            while self.alive() and time.monotonic() < end:
                time.sleep(0.01)
        os.close(self._fd)

    def _reply(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._fd, 65536)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self.raw += data
                self._feed(self._decoder.decode(data))

    def _feed(self, text: str) -> None:
        text, self._held = self._held + text, ""
        last = text.rfind("\x1b")
        if last >= 0 and _COMPLETE.match(text, last) is None:
            text, self._held = text[:last], text[last:]
        self._stream.feed(_IGNORED.sub("", text))


def _become(
    command: Sequence[str],
    rows: int,
    columns: int,
    environment: Mapping[str, str],
    cwd: Path | None,
) -> None:
    """Turn the forked child into the program; does not return."""
    try:
        if cwd is not None:
            os.chdir(cwd)
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execvpe(command[0], list(command), dict(environment))
    except OSError as error:
        os.write(2, f"cannot run {command[0]}: {error}\n".encode())
    os._exit(127)
