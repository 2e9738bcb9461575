"""New connections that need not be waited for.

The system looks a name up, and tries one address after the other, for as long as it likes: half a
minute where a network answers nothing, and no signal and no closed socket ends that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

_HEARING = 0.1  # seconds until it is heard that nobody waits any more
_LONGEST = 30.0  # seconds for the name and all of its addresses


class Patient(httpx.HTTPTransport):
    """Connections of httpx's kind, each of which can be given up while it is made."""

    def __init__(self, trusted: SSLContext, check: Callable[[], None]) -> None:
        """Nothing is connected yet.

        Args:
            trusted: whose certificates are believed.
            check: raises when nobody waits any more.
        """
        self._pool = httpcore.ConnectionPool(
            ssl_context=trusted,
            max_connections=None,
            keepalive_expiry=5.0,
            network_backend=_Connecting(check),
        )


class _Connecting(httpcore.SyncBackend):
    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """As its base does, in a thread that is left alone when nobody waits for it.

        Raises:
            httpcore.ConnectTimeout: even the name has not been found in time.
        """
        made: Future[httpcore.NetworkStream] = Future()
        plain = super().connect_tcp

        def connect() -> None:
            try:
                stream = plain(host, port, timeout, local_address, socket_options)
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                if made.set_running_or_notify_cancel():
                    made.set_exception(error)
                return
            if made.set_running_or_notify_cancel():
                made.set_result(stream)
            else:
                stream.close()

        threading.Thread(target=connect, name=f"connect {host}", daemon=True).start()
        late = time.monotonic() + _LONGEST
        try:
            while not wait((made,), _HEARING).done:
                self._check()
                if time.monotonic() > late:
                    raise httpcore.ConnectTimeout
            return made.result()
        finally:
            made.cancel()
