"""A hold on one connection, to break it off from another thread."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


def break_off(connection: socket.socket) -> None:
    """End a connection that another thread may be reading: it finds the stream at its end.

    Not `connection.shutdown`: that of a TLS socket forgets the keys first, and what is still in the
    kernel would be read as if it had never been encrypted.
    """
    with suppress(OSError):  # it is closed already
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class Grip:
    """The connection that serves one request at the moment, if it is known."""

    def __init__(self) -> None:
        """Nothing is held."""
        self._connection: socket.socket | None = None
        self._lock = threading.Lock()

    def take(self, connection: socket.socket | None) -> None:
        """Hold a connection from now on."""
        with self._lock:
            self._connection = connection

    def let_go(self) -> None:
        """Hold nothing: the connection may serve others now."""
        self.take(None)

    def break_off(self) -> bool:
        """End the connection that is held; False: there is none."""
        with self._lock:
            if self._connection is None:
                return False
            break_off(self._connection)
            return True
