"""Code that never ends is broken off, and only that."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import signal
from dmr_tui.engine.llamacpp.deadline import deadline
from dmr_tui.errors import InvalidRequestError

with deadline(60, "the quick one"):
    pass
assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
try:
    with deadline(0.05, "the endless one"):
        while True:
            pass
except InvalidRequestError as error:
    print(error.message)
assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
"""


def test_what_never_ends_is_broken_off() -> None:
    # In a process of its own: the test runner's time limit uses the same timer.
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=30)
    assert done.stdout == "the endless one did not end within 0.05 seconds\n", done.stderr
