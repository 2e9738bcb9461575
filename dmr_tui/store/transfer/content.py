"""Blobs that are read from a web address, wherever it leads: for registries and Hugging Face.

The first request finds out where a redirect leads; that address serves all lanes until it runs out,
as signed ones do. Then the first address is asked again.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dmr_tui.errors import DmrError, RegistryError
from dmr_tui.store.transfer.grip import Grip
from dmr_tui.store.transfer.lanes import BlobStream
from dmr_tui.store.transfer.wire import Part, Wire

if TYPE_CHECKING:
    import httpx

_RUN_OUT = {401, 403, 404, 410}
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")

Get = Callable[[str, dict[str, str]], "httpx.Response"]


class Content:
    """A `lanes.BlobSource` of blobs that have an address each."""

    def __init__(
        self,
        wire: Wire,
        get: Get,
        *,
        address: Callable[[str], str],
        secret: Callable[[str], str],
        failure: Callable[[httpx.Response, str], DmrError],
    ) -> None:
        """Nothing is sent yet.

        Args:
            wire: what carries the requests.
            get: sends a request with the right credentials and follows redirects.
            address: where a digest's blob is asked for first.
            secret: the `Authorization` header for an address; empty where none may go.
            failure: what an unexpected answer for a digest means; closes it.
        """
        self._wire = wire
        self._get = get
        self._address = address
        self._secret = secret
        self._failure = failure
        self._located: dict[str, str] = {}
        self._locating = threading.Lock()

    @contextmanager
    def open(self, digest: str, start: int, stop: int | None, grip: Grip) -> Iterator[BlobStream]:
        """See `lanes.BlobSource.open`."""
        headers = _range_header(start, stop)
        response = self._find(digest, headers)
        if response is None:
            with self._known_part(digest, headers, grip) as part:
                if part is not None:
                    yield _stream(part, start)
                    return
            response = self._ask(digest, headers)
        try:
            if response.status_code not in (200, 206):
                raise self._failure(response, digest)
            yield _stream(self._wire.as_part(response, grip), start)
        finally:
            grip.let_go()
            response.close()

    def _find(self, digest: str, headers: dict[str, str]) -> httpx.Response | None:
        """Ask where a blob is, and for a part of it; None once that is known."""
        if digest in self._located:
            return None
        with self._locating:
            return None if digest in self._located else self._locate(digest, headers)

    @contextmanager
    def _known_part(
        self, digest: str, headers: dict[str, str], grip: Grip
    ) -> Iterator[Part | None]:
        """The quick way to a part, once it is known where the blob is."""
        known = self._located.get(digest)
        if known is None:
            yield None
            return
        secret = self._secret(known)
        signed = {**headers, "Authorization": secret} if secret else headers
        with self._wire.part(known, signed, grip) as part:
            yield part

    def _ask(self, digest: str, headers: dict[str, str]) -> httpx.Response:
        """Ask where the blob was found last, and if it is there no more, where it is now."""
        home = self._address(digest)
        known = self._located.get(digest, home)
        response = self._get(known, headers)
        if known == home or response.status_code not in _RUN_OUT:
            return response
        self._wire.discard(response)
        with self._locating:
            if self._located.get(digest) == known:
                return self._locate(digest, headers)
            known = self._located.get(digest, home)  # another lane was first
        return self._get(known, headers)

    def _locate(self, digest: str, headers: dict[str, str]) -> httpx.Response:
        self._located.pop(digest, None)
        response = self._get(self._address(digest), headers)
        if response.status_code in (200, 206):
            self._located[digest] = str(response.url)
        return response


def _range_header(start: int, stop: int | None) -> dict[str, str]:
    """The header that asks for a part (RFC 9110, 14.2); none for a whole.

    Args:
        start: offset of the first byte.
        stop: offset after the last one; None: to the end.
    """
    if start == 0 and stop is None:
        return {}
    return {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}


def _stream(part: Part, start: int) -> BlobStream:
    """What an answer brings of a blob.

    Args:
        part: the answer.
        start: offset of the first byte that was asked for.

    Raises:
        RegistryError: it is another part than the one asked for.
    """
    if part.status == 200:
        return BlobStream(0, part.length, part.length, part.chunks)
    found = _CONTENT_RANGE.fullmatch(part.told)
    if found is None or int(found[1]) != start or int(found[2]) < start:
        raise RegistryError(f"{part.host} sent {part.told!r} where bytes {start}- were due")
    total = None if found[3] == "*" else int(found[3])
    return BlobStream(start, int(found[2]) + 1, total, part.chunks)
