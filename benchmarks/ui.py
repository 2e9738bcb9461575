"""The full screen in a real pseudo-terminal: what a person waits for.

    make bench-ui                              everything
    python -m benchmarks.ui models             one part; --models 5000 --keys 60

A key's time is from its write to the terminal until the last byte of its first frame has come; what
follows in later frames, as details that are looked up, is told beside it. Keys that draw nothing do
not count. The bars are those that the screens are built to; run it on a quiet machine.
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
BARE = """
from textual.app import App
from textual.widgets import Label

class Bare(App):
    def compose(self):
        yield Label("one label")

Bare().run()
"""
ROWS, COLUMNS = 36, 120
_FRAME, _QUIET = 0.005, 0.03
"""Seconds without a byte after which a frame is over, and all that follows a key."""

_LATEST = 0.4
"""Seconds after which what is drawn is no answer to a key; less than gauges rest."""


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
        os.close(self._fd)  # Nobody reads what it says on leaving.
        os.waitpid(self.pid, 0)

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

    def press(self, key: str) -> tuple[float, float] | None:
        """Seconds until a key's first frame has come, and until all has; None: it draws nothing."""
        while self._read(0.0):
            pass
        begun = time.perf_counter()
        os.write(self._fd, key.encode())
        if not self._read(_LATEST):
            return None
        frame = last = time.perf_counter()
        while self._read(_FRAME):
            frame = last = time.perf_counter()
        while self._read(_QUIET):
            last = time.perf_counter()
        return frame - begun, last - begun

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


def report(name: str, seconds: Sequence[float], bar: float, after: Sequence[float] = ()) -> None:
    """Print one line: what was measured beside what it may be.

    Args:
        name: what was done.
        seconds: until the frame of each key.
        bar: what 95 of 100 may take at most, in seconds.
        after: until all had come.
    """
    ordered = sorted(seconds)
    median, p95 = statistics.median(ordered), _p95(ordered)
    verdict = "holds" if p95 <= bar else "DOES NOT HOLD"
    all_drawn = f"   all drawn: p95 {_p95(sorted(after)) * 1000:.1f} ms" if after else ""
    print(
        f"{name:<46}{median * 1000:>8.1f} ms{p95 * 1000:>8.1f} ms"
        f"{ordered[-1] * 1000:>8.1f} ms   bar {bar * 1000:.0f} ms: {verdict}{all_drawn}"
    )


def _p95(ordered: Sequence[float]) -> float:
    return ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]


def report_keys(name: str, screen: Screen, keys: Sequence[str], bar: float = 0.05) -> None:
    """Press keys, with the pauses of a person who looks, and report their times."""
    times = []
    for key in keys:
        times.append(screen.press(key))
        time.sleep(0.05)
    drawn = [each for each in times if each is not None]
    report(name, [frame for frame, _ in drawn], bar, [last for _, last in drawn])


def start(options: argparse.Namespace) -> None:
    """The first frame ≤ 1.6 times that of an app with one label, turn by turn."""
    with tempfile.TemporaryDirectory() as folder:
        homes = {f"XDG_{kind}_HOME": f"{folder}/{kind}" for kind in ("DATA", "CONFIG", "STATE")}
        environment = {"HOME": folder, "MODELS_PATH": f"{folder}/store", **homes}
        programs = {
            "bare": ([sys.executable, "-c", BARE], "one label"),
            "dmr": (PROGRAM, "[1 Models]"),
        }
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(options.starts):
            for name, (command, text) in programs.items():
                begun = time.perf_counter()
                with Screen(command, environment) as screen:
                    screen.wait_for(text)
                    times[name].append(time.perf_counter() - begun)
        bare, ours = (statistics.median(times[name]) for name in programs)
        verdict = "holds" if ours <= 1.6 * bare else "DOES NOT HOLD"
        print(
            f"{'first frame':<34}{ours * 1000:.0f} ms, bare {bare * 1000:.0f} ms: "
            f"{ours / bare:.2f} times   bar 1.6: {verdict}"
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
                report_keys(f"{options.models} models: {name}", screen, keys)
            screen.press("/")
            letters = [*"model 1"] + ["\x7f"] * 7
            report_keys(
                f"{options.models} models: a letter of the filter",
                screen,
                letters * max(options.keys // 14, 1),
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
                report_keys(f"{options.requests} requests: {name}", screen, keys)
            screen.press("/")
            letters = [*"model3"] + ["\x7f"] * 6
            report_keys(
                f"{options.requests} requests and lines: a letter",
                screen,
                letters * max(options.keys // 12, 1),
            )
            # To the middle of the lines: at an end there is nothing to scroll.
            for key in ("\x1b", "L", "L", *["\x1b[5~"] * 5):
                screen.press(key)
                screen.settle()
            report_keys("lines: scroll", screen, scroll * (options.keys // 4))
            report_keys("lines: wrap, cut", screen, ["w"] * (options.keys // 2))


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


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "start": start,
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
    parser.add_argument("--starts", type=int, default=9, help="of each of both programs")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30.0, help="that idle screens are watched")
    parser.add_argument("--keys", type=int, default=40)
    options = parser.parse_args()
    print(f"{'':<46}{'median':>11}{'p95':>11}{'most':>11}")
    for part in options.parts or PARTS:
        PARTS[part](options)


if __name__ == "__main__":
    main()
