"""The terminal below the full screen: it may be closed, and a program may be told to leave."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from threading import Thread
from typing import IO, Any, cast

from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver

_SHELLS = 128
"""A shell adds this to the number of the signal that ended a program."""


class TerminalDriver(LinuxDriver):
    """Lets a program leave as its own key does when its terminal is closed or a signal says so.

    Textual's own driver goes on where `nohup` has SIGHUP ignored: it reads the end of input again
    and again, and waits for ever to write. On SIGTERM it leaves the terminal in a state that no
    shell can use.
    """

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        """See `LinuxDriver`."""
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._file = cast("Any", _Paper(cast("IO[str]", self._file)))
        self._watched = False

    def start_application_mode(self) -> None:
        """Take the terminal; also when coming back from another program."""
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual's own
        if not self._watched:
            self._watched = True
            Thread(target=self._watch, name="terminal", daemon=True).start()
            for number in (signal.SIGHUP, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._loop.add_signal_handler(number, self._told_to_leave, number)

    def _watch(self) -> None:
        """Wait until the terminal has gone away."""
        poll = select.poll()
        poll.register(self.fileno, 0)  # Of a hang-up one is told without asking for it.
        if any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll()):
            self.exit_event.set()  # There is nothing to be read, and always an end of it.
            with open(os.devnull, "wb") as nothing:  # Who still speaks does not fail.
                for descriptor in (1, 2):
                    os.dup2(nothing.fileno(), descriptor)
            self._leave(signal.SIGHUP)

    def _told_to_leave(self, number: signal.Signals) -> None:
        self._loop.remove_signal_handler(number)  # The second time it ends the program at once.
        self._leave(number)

    def _leave(self, number: signal.Signals) -> None:
        self._app.call_later(self._app.exit, None, _SHELLS + number)


class _Paper:
    """A file that takes what is drawn, and loses it once there is no terminal."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return self._file.isatty()


def attentive(driver: type[Driver]) -> type[Driver]:
    """The driver to use in place of one of Textual's."""
    return TerminalDriver if driver is LinuxDriver else driver
