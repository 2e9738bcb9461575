"""The terminal between two prompts: what is typed then waits for the next one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

_INPUT, _LOCAL = 0, 3  # Indices of c_iflag and c_lflag in what tcgetattr returns.


@contextlib.contextmanager
def quiet_input() -> Iterator[None]:
    """Neither echo nor edit what is typed; the next prompt reads it as it was typed.

    Ctrl-C still interrupts. Carriage returns are kept, since the prompt tells Enter from Ctrl-J.
    """
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = termios.tcgetattr(sys.stdin)
    quiet[_INPUT] &= ~termios.ICRNL
    quiet[_LOCAL] &= ~(termios.ECHO | termios.ICANON)
    quiet[_LOCAL] |= termios.NOFLSH  # Ctrl-C does not throw away what was typed before it.
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


async def until_interrupted(work: Coroutine[Any, Any, object]) -> bool:
    """Run `work`; Ctrl-C cancels it, and only it; after Ctrl-Z the terminal is as it was.

    Returns:
        Whether it came to its end.
    """
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)
    task = asyncio.ensure_future(work)
    loop.add_signal_handler(signal.SIGINT, task.cancel)
    loop.add_signal_handler(signal.SIGCONT, _modes_again())
    try:
        await task
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if current is not None and current.cancelling():
            raise
        return False
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGCONT)
        signal.signal(signal.SIGINT, before)
    return True


def _modes_again() -> Callable[[], None]:
    """Gives the terminal the modes that it has now: a shell changes them for itself."""
    if not sys.stdin.isatty():
        return lambda: None
    modes = termios.tcgetattr(sys.stdin)

    def again() -> None:
        # Who goes on in the background is stopped when it touches the terminal.
        if os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp():
            termios.tcsetattr(sys.stdin, termios.TCSANOW, modes)

    return again
