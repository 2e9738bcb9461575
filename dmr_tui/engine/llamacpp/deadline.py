"""A time limit for code that is not trusted to end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from dmr_tui.errors import InvalidRequestError


@contextmanager
def deadline(seconds: float, what: str) -> Iterator[None]:
    """Break off Python code of the main thread that takes too long.

    Args:
        seconds: how long it may take.
        what: what is running, for the message.

    Raises:
        InvalidRequestError: the time is over.
    """

    def expire(_number: int, _frame: FrameType | None) -> NoReturn:
        raise InvalidRequestError(f"{what} did not end within {seconds:g} seconds")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
