"""Run a program that ends with its parent.

python -m dmr_tui.engine.tether PARENT PROGRAM ARGUMENT…

PARENT is the process id of who starts it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1

_LOOK = 0.5
"""Seconds between two looks at whether a parent lives, where the kernel does not tell."""


def die_with_parent() -> None:
    """Have the kernel end this process, and what it becomes, with its parent; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def post_watch(parent: int) -> None:
    """Leave a process behind that ends this one, and what it becomes, when `parent` is gone."""
    watched = os.getpid()
    if os.fork():
        return
    while os.getppid() == watched:
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os.kill(watched, signal.SIGKILL)
        time.sleep(_LOOK)
    os._exit(0)


def main() -> None:
    """Become the program."""
    parent = int(sys.argv[1])
    if sys.platform == "linux":
        die_with_parent()
    else:
        post_watch(parent)
    if os.getppid() != parent:
        raise SystemExit("the parent is gone")  # before this one was tied to it
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
