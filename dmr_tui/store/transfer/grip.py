"""Connections by their sockets: a hold on one, to break it off, and a limit of what waits in it."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import suppress

_ROUND_TRIP = slice(68, 72)  # bytes of Linux's `struct tcp_info`: the round trip in microseconds
_NEAR = 1000  # microseconds
_QUEUE = 128 << 10  # bytes


def break_off(connection: socket.socket) -> None:
    """End a connection that another thread may be reading: it finds the stream at its end.

    Not `connection.shutdown`: that of a TLS socket forgets the keys first, and what is still in the
    kernel would be read as if it had never been encrypted.
    """
    with suppress(OSError):  # it is closed already
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def limit_queue(connection: socket.socket) -> None:
    """Let little wait unread in a connection whose other end is near.

    What waits is lost when the process is killed, and has to be fetched again. The system lets it
    become many megabytes when the disk holds us up; only a long way needs that much under way.
    """
    if not hasattr(socket, "TCP_INFO"):
        return
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROUND_TRIP.stop)
    if int.from_bytes(info[_ROUND_TRIP], sys.byteorder) < _NEAR:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE)


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
