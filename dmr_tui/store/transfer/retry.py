"""Which failures of a transfer may go away by themselves, and how long it keeps trying."""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dmr_tui.errors import RegistryError, StoppedError

_HEARING = 0.1  # seconds until a wait hears that nobody needs it any more


class TransientError(RegistryError):
    """The connection broke, or the other side was not able to answer just now.

    Attributes:
        retry_after: the header of that name, if the other side sent one.
        status: of the answer; 0 when there was none.
    """

    def __init__(
        self, message: str, hint: str | None = None, *, retry_after: str = "", status: int = 0
    ) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after
        self.status = status


class UnreachableError(TransientError):
    """Nobody answers there, or not in that protocol.

    Attributes:
        untrusted: somebody does, with a certificate that is not believed.
    """

    def __init__(self, message: str, hint: str | None = None, *, untrusted: bool = False) -> None:
        super().__init__(message, hint)
        self.untrusted = untrusted


def _nobody(reason: str) -> None:
    """Be told, and do nothing."""


def _never() -> bool:
    """Nobody has given up."""
    return False


@dataclass(frozen=True)
class Persistence:
    """How long a transfer keeps trying, and what ends it.

    Attributes:
        cancelled: when set, the transfer stops with `StoppedError`.
        halted: when set, the same, because another part of the transfer has failed.
        notify: told in a sentence why the transfer waits before it tries again.
        attempts: how often in a row one thing may fail.
        first: seconds before the second attempt; each next wait is twice as long.
        longest: seconds; a server that asks for more is not waited for.
    """

    cancelled: threading.Event
    notify: Callable[[str], None] = _nobody
    attempts: int = 5
    first: float = 0.5
    longest: float = 60.0
    halted: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise `StoppedError` if the transfer was cancelled."""
        if self.cancelled.is_set() or self.halted.is_set():
            raise StoppedError("stopped", "the same command goes on from here")

    def begin(self, given_up: Callable[[], bool] = _never) -> Attempts:
        """Start to count the failures of one thing.

        Args:
            given_up: whether nobody waits for it any more.
        """
        return Attempts(self, given_up)


class Attempts:
    """The failures of one thing in a row, and the waits between them."""

    def __init__(self, persistence: Persistence, given_up: Callable[[], bool]) -> None:
        self._persistence = persistence
        self._given_up = given_up
        self._failures = 0

    def progressed(self) -> None:
        """Something went well: the next failure is the first in a row again."""
        self._failures = 0

    def failed(self, error: TransientError) -> None:
        """Wait before another attempt.

        Raises:
            TransientError: the same error, when it has been tried often enough, or nobody waits.
            StoppedError: the transfer was cancelled.
        """
        self._failures += 1
        limits = self._persistence
        wait = self._wait(error.retry_after)
        if self._failures >= limits.attempts or wait > limits.longest:
            raise error
        limits.notify(f"{error.message}; trying again in {wait:.0f} s")
        until = time.monotonic() + wait
        while not limits.cancelled.wait(min(max(until - time.monotonic(), 0), _HEARING)):
            limits.check()
            if self._given_up():
                raise error
            if time.monotonic() >= until:
                return
        limits.check()

    def _wait(self, retry_after: str) -> float:
        asked = _seconds(retry_after)
        if asked is not None:
            return asked
        # Spread out, so that clients which failed together do not come back together.
        wait = self._persistence.first * 2.0 ** (self._failures - 1) * random.uniform(0.7, 1.0)
        return min(wait, self._persistence.longest)


def _seconds(retry_after: str) -> float | None:
    """Seconds of a `Retry-After` header (RFC 9110, 10.2.3): a number, or a date."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        moment = email.utils.parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, moment - time.time())
