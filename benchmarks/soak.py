"""A long day at the full screen: questions, new chats, all screens; does it grow?

    python -m benchmarks.soak --minutes 30

A chat grows with what is in it, so a new one is begun every few turns: what then still grows from
minute to minute is lost. Each minute prints the memory, open files and threads of the program; the
last line holds the last third against the second one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time

import psutil

from tests.support.terminal import Terminal

QUESTIONS = (
    "How do I pull a model?",
    "hi",
    "what is the capital of France",
    "write a python function for even numbers",
    "tell me a story about a fox",
)
TURNS_OF_A_CHAT = 6
MOST_GROWTH = 1.03
"""The last third's memory against that of the third before."""


def turn(terminal: Terminal, number: int) -> None:
    """Ask one question, and look at every other screen while the answer comes."""
    if number % TURNS_OF_A_CHAT == 0:
        terminal.keys("C-n")
        time.sleep(0.5)
    terminal.type(QUESTIONS[number % len(QUESTIONS)])
    terminal.keys("Enter")
    time.sleep(2.0)
    for digit in "12453":
        terminal.type(f"\x1b{digit}")  # with Alt: a digit alone would be written
        terminal.wait_for(rf"\[{digit} \w+\]", 60)
        time.sleep(0.4)


def main() -> int:
    """Drive the program for some minutes, and say whether it grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    end = time.monotonic() + 60 * parser.parse_args().minutes
    with tempfile.TemporaryDirectory(prefix="dmr-soak-") as home:
        homes = {f"XDG_{kind}_HOME": f"{home}/{kind}" for kind in ("DATA", "CONFIG", "STATE")}
        command = [sys.executable, "-m", "dmr_tui"]
        environment = {"HOME": home, "MODELS_PATH": f"{home}/models", **homes}
        with Terminal(command, rows=36, columns=120, environment=environment) as terminal:
            terminal.wait_for("dmr/guide", 120)
            terminal.keys("Enter")
            terminal.wait_for(r"\[3 Chat\]", 120)
            program = psutil.Process(terminal.pid)
            seen: list[int] = []
            number, minute = 0, time.monotonic()
            while time.monotonic() < end:
                turn(terminal, number)
                number += 1
                engines = [child.memory_info().rss >> 20 for child in program.children()]
                if not engines:
                    print(f"no engine answers after {number} turns:\n{terminal.screen()}")
                    return 1
                if time.monotonic() - minute > 60:
                    minute += 60
                    seen.append(program.memory_info().rss >> 20)
                    print(
                        f"minute {len(seen):>3}  turns {number:>4}  {seen[-1]} MiB  "
                        f"{program.num_fds()} files  {program.num_threads()} threads  "
                        f"engine {engines} MiB",
                        flush=True,
                    )
    third = max(len(seen) // 3, 1)
    before, last = statistics.median(seen[-2 * third : -third]), statistics.median(seen[-third:])
    verdict = "holds" if last <= before * MOST_GROWTH else "DOES NOT HOLD"
    print(f"memory, last third {last} MiB, third before {before} MiB: {verdict}")
    return 0 if verdict == "holds" else 1


if __name__ == "__main__":
    sys.exit(main())
