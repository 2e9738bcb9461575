"""The full screen in a real pseudo-terminal: what a person waits for.

    make bench-ui                              everything
    python -m benchmarks.ui models             one part; --models 5000 --keys 60

A key's time is from its write to the terminal until the last byte of what it draws has come. The
bars are those that the screens are built to; run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import psutil

from benchmarks.list import make_store
from benchmarks.ui_chat import chat
from tests.support.gguf_maker import write_tiny_llama

PROGRAM = [sys.executable, "-m", "dmr_tui"]
ROWS, COLUMNS = 36, 120
_QUIET = 0.03
"""Seconds without a byte after which a frame is over."""


class Screen:
    """A program at a pseudo-terminal whose bytes are timed and not drawn."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.shown = b""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            environ = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environment}
            os.execvpe(command[0], list(command), environ)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType
    ) -> None:
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        os.close(self._fd)

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Read until a text has been drawn since the last wait."""
        end = time.monotonic() + seconds
        while text.encode() not in self.shown:
            if time.monotonic() > end:
                raise TimeoutError(f"{text!r} was not drawn; the end was {self.shown[-2000:]!r}")
            self._read(0.1)
        self.shown = b""

    def settle(self, quiet: float = 0.5) -> None:
        """Read until nothing is drawn for a while."""
        while self._read(quiet):
            pass
        self.shown = b""

    def press(self, key: str) -> float:
        """Seconds until all that a key draws has come."""
        while self._read(0.0):
            pass
        begun = last = time.perf_counter()
        os.write(self._fd, key.encode())
        waits = 1.0
        while self._read(waits):
            last, waits = time.perf_counter(), _QUIET
        return last - begun

    def busy(self, seconds: float) -> float:
        """The share of one core that the program takes for so long, untouched."""
        process = psutil.Process(self.pid)
        begun, before = time.perf_counter(), process.cpu_times()
        while time.perf_counter() - begun < seconds:
            self._read(0.2)
        after, spent = process.cpu_times(), time.perf_counter() - begun
        return (after.user + after.system - before.user - before.system) / spent

    def draws(self, glyph: str, seconds: float = 5.0) -> float:
        """Seconds until a letter that is typed is on the screen, while other things are drawn."""
        while self._read(0.0):
            pass
        self.shown = b""
        begun = time.perf_counter()
        os.write(self._fd, glyph.encode())
        while glyph.encode() not in self.shown:
            if time.perf_counter() - begun > seconds:
                raise TimeoutError(f"{glyph!r} was not drawn")
            self._read(0.05)
        return time.perf_counter() - begun

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], seconds)
        if ready:
            self.shown += os.read(self._fd, 1 << 16)
        return bool(ready)


def report(name: str, seconds: Sequence[float], bar: float) -> None:
    """Print one line: what was measured beside what it may be."""
    ordered = sorted(seconds)
    p95 = ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]
    median = statistics.median(ordered)
    verdict = "holds" if p95 <= bar else "DOES NOT HOLD"
    print(
        f"{name:<34}{median * 1000:>8.1f} ms{p95 * 1000:>8.1f} ms"
        f"{ordered[-1] * 1000:>8.1f} ms   bar {bar * 1000:.0f} ms: {verdict}"
    )


def models(options: argparse.Namespace) -> None:
    """Keys on the Models screen with thousands of models: ≤ 50 ms to the frame."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_store(root / "store", write_tiny_llama(root / "tiny.gguf"), options.models)
        homes = {f"XDG_{kind}_HOME": str(root / kind) for kind in ("DATA", "CONFIG", "STATE")}
        environment = {"HOME": str(root), "MODELS_PATH": str(root / "store"), **homes}
        with Screen(PROGRAM, environment) as screen:
            screen.wait_for("organisation0/model0")
            time.sleep(3.0)  # what is read after the first frame
            screen.settle()
            steps = {
                "down": ["\x1b[B"] * options.keys,
                "page down": ["\x1b[6~"] * options.keys,
                "end and home": ["\x1b[F", "\x1b[H"] * (options.keys // 2),
                "next column to sort by": ["s"] * (options.keys // 2),
                "mark": [" "] * options.keys,
            }
            for name, keys in steps.items():
                report(f"{options.models} models: {name}", pressed(screen, keys), 0.05)
            screen.press("/")
            letters = [*"model 1"] + ["\x7f"] * 7
            report(
                f"{options.models} models: a letter of the filter",
                pressed(screen, letters * max(options.keys // 14, 1)),
                0.05,
            )


def logs(options: argparse.Namespace) -> None:
    """Keys on the Logs screen with 10,000 requests and lines: ≤ 50 ms to the frame."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        homes = {f"XDG_{kind}_HOME": str(root / kind) for kind in ("DATA", "CONFIG", "STATE")}
        command = [sys.executable, "-m", "benchmarks.busy", str(options.requests)]
        with Screen(command, {"HOME": str(root), **homes}) as screen:
            screen.wait_for(f"{options.requests} of {options.requests}")
            screen.settle()
            scroll = ["\x1b[B", "\x1b[6~", "\x1b[A", "\x1b[5~"]
            steps = {
                "down, page down, up, page up": scroll * (options.keys // 4),
                "end and home": ["\x1b[F", "\x1b[H"] * (options.keys // 2),
                "next page of the request": ["\x1b[C"] * options.keys,
            }
            for name, keys in steps.items():
                report(f"{options.requests} requests: {name}", pressed(screen, keys), 0.05)
            screen.press("/")
            letters = [*"model3"] + ["\x7f"] * 6
            times = pressed(screen, letters * max(options.keys // 12, 1))
            report(f"{options.requests} requests and lines: a letter", times, 0.05)
            for key in ("\x1b", "L", "L"):
                screen.press(key)
                screen.settle()
            report("lines: scroll", pressed(screen, scroll * (options.keys // 4)), 0.05)
            report("lines: wrap, cut", pressed(screen, ["w"] * (options.keys // 2)), 0.05)


def idle(options: argparse.Namespace) -> None:
    """Screens that nobody touches: Models with its gauges ≤ 1 % of a core, Monitor ≤ 5 %."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_store(root / "store", write_tiny_llama(root / "tiny.gguf"), 20)
        homes = {f"XDG_{kind}_HOME": str(root / kind) for kind in ("DATA", "CONFIG", "STATE")}
        environment = {"HOME": str(root), "MODELS_PATH": str(root / "store"), **homes}
        with Screen(PROGRAM, environment) as screen:
            screen.wait_for("organisation0/model0")
            time.sleep(3.0)
            for name, keys, bar in (
                ("Models, nothing loaded", "", 0.01),
                ("Monitor, nothing loaded", "4", 0.05),
                ("Monitor, a model loaded", "1l4", 0.05),
            ):
                for key in keys:
                    screen.press(key)
                    time.sleep(1.0)
                time.sleep(2.0)
                share = screen.busy(options.seconds)
                verdict = "holds" if share <= bar else "DOES NOT HOLD"
                print(f"{name:<34}{share:>10.2%} of a core   bar {bar:.0%}: {verdict}")


def pressed(screen: Screen, keys: Sequence[str]) -> list[float]:
    """The time of each key, with the pauses of a person who looks."""
    times = []
    for key in keys:
        times.append(screen.press(key))
        time.sleep(0.05)
    return times


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "models": models,
    "logs": logs,
    "idle": idle,
    "chat": chat,
}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"any of: {', '.join(PARTS)}; all if none")
    parser.add_argument("--models", type=int, default=5000)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30.0, help="that idle screens are watched")
    parser.add_argument("--keys", type=int, default=40)
    options = parser.parse_args()
    print(f"{'':<34}{'median':>11}{'p95':>11}{'most':>11}")
    for part in options.parts or PARTS:
        PARTS[part](options)


if __name__ == "__main__":
    main()
