"""The full screen in a browser: over the pipes that `textual serve` puts around a program."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pyte
import pytest

from tests.e2e.conftest import Program

ROWS, COLUMNS = 30, 100
SECONDS = 20.0


class Browser:
    """The other end of the pipes: a screen that is drawn from packets, and keys as packets."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        assert process.stdout
        os.set_blocking(process.stdout.fileno(), False)
        self._held = b""
        self._started = False

    def press(self, keys: str) -> None:
        assert self._process.stdin
        data = keys.encode()
        self._process.stdin.write(b"D" + len(data).to_bytes(4, "big") + data)
        self._process.stdin.flush()

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + SECONDS
        while text not in "\n".join(self._screen.display):
            assert time.monotonic() < end, "\n".join(self._screen.display)
            self._read()
            time.sleep(0.02)

    def _read(self) -> None:
        assert self._process.stdout
        self._held += self._process.stdout.read() or b""
        if not self._started and b"__GANGLION__\n" in self._held:
            self._held = self._held.split(b"__GANGLION__\n", 1)[1]
            self._started = True
        while self._started and len(self._held) >= 5:
            kind, size = self._held[:1], int.from_bytes(self._held[1:5], "big")
            if len(self._held) < 5 + size:
                break
            packet, self._held = self._held[5 : 5 + size], self._held[5 + size :]
            if kind == b"D":
                # pyte knows no private markers but `?`.
                self._stream.feed(packet.replace(b"\x1b[?2026$p", b""))


@pytest.fixture
def browser(program: Program) -> Iterator[Browser]:
    process = subprocess.Popen(
        [sys.executable, "-m", "dmr_tui"],
        env={
            **program.environ,
            "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
            "COLUMNS": str(COLUMNS),
            "ROWS": str(ROWS),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=program.home,
    )
    yield Browser(process)
    process.kill()
    process.communicate()


def test_a_chat_in_a_browser(browser: Browser) -> None:
    browser.wait_for("Welcome to dmr.")
    browser.press("\r")
    browser.wait_for("[3 Chat]")
    browser.press("How do I pull a model?\r")
    browser.wait_for("dmr pull")
    browser.press("\x1bOP")
    browser.wait_for("Help · Chat")
