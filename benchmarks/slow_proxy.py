"""A loopback TCP proxy that looks like a content server: each connection throttled and far away.

Bytes are moved by `splice(2)`, so that the proxy hardly takes part in what is measured. Linux only.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress

_STEP = 128 << 10  # bytes moved at once
_BURST = 0.02  # seconds' worth of bytes that may come together
_QUEUE = 64 << 10  # bytes that may wait to be sent to a client
_REQUEST = 16 << 10  # bytes; what a client sends in smaller pieces is a request, not a body


class SlowProxy:
    """Forwards connections to one port of this machine until it is closed."""

    def __init__(self, upstream: int, *, rate: float, round_trip: float) -> None:
        """Listen on a free port.

        Args:
            upstream: the port to forward to.
            rate: bytes per second of each connection, towards the client.
            round_trip: seconds that a handshake and each request take longer.
        """
        self.sent = 0
        """Bytes handed to clients so far, HTTP's heads included."""
        self._upstream = upstream
        self._rate = rate
        self._round_trip = round_trip
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._count = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        time.sleep(self._round_trip)
        server = socket.create_connection(("127.0.0.1", self._upstream))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # What waits in this process would be counted as sent.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _QUEUE)
        threading.Thread(target=self._answer, args=(server, client), daemon=True).start()
        with suppress(OSError), client:
            while data := client.recv(64 << 10):
                if len(data) < _REQUEST:
                    time.sleep(self._round_trip)
                server.sendall(data)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        source, sink = os.pipe()
        due = time.monotonic()
        try:
            with suppress(OSError), server:
                while count := os.splice(server.fileno(), sink, _STEP):
                    due = max(due, time.monotonic() - _BURST) + count / self._rate
                    time.sleep(max(0.0, due - time.monotonic()))
                    while count:
                        moved = os.splice(source, client.fileno(), count)
                        count -= moved
                        with self._count:
                            self.sent += moved
        finally:
            os.close(source)
            os.close(sink)
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
