"""The texts of requests and answers: in memory only, so many of each model, cut where too long."""

from __future__ import annotations

import re
from collections import OrderedDict

from dmr_tui.runner.activity.records import Bodies

MOST_OF_A_MODEL = 100
"""Requests of one model whose texts are kept, the newest."""

LONGEST = 1024 * 1024
"""Characters of one text."""

MOST = 32 * 1024 * 1024
"""Characters of all texts together."""

_MEDIA = re.compile(r"([A-Za-z0-9+/=_-]{100})[A-Za-z0-9+/=_-]{3900,}")
"""Base64, as images and sounds come: nothing that people write is so long without a blank."""


def clipped(raw: bytes) -> str:
    """A body as text; media are cut to 100 characters, as Docker Model Runner does it."""
    text = raw.decode("utf-8", "replace")

    def mark(found: re.Match[str]) -> str:
        return f"{found[1]}...[truncated {found.end() - found.start() - 100} chars]"

    text = _MEDIA.sub(mark, text)
    over = len(text) - LONGEST
    return f"{text[:LONGEST]}...[truncated {over} chars]" if over > 0 else text


class BodyStore:
    """The texts of the newest requests."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[str, Bodies]] = OrderedDict()
        self._ids: dict[str, list[str]] = {}
        self._size = 0

    def __contains__(self, request: str) -> bool:
        return request in self._kept

    def get(self, request: str) -> Bodies | None:
        """The texts of a request; None when they are not kept (any more)."""
        found = self._kept.get(request)
        return None if found is None else found[1]

    def put(self, request: str, model: str, bodies: Bodies) -> list[str]:
        """Keep texts; returns whose texts had to make room."""
        self._kept[request] = (model, bodies)
        self._ids.setdefault(model, []).append(request)
        self._size += _size(bodies)
        gone = []
        while len(self._ids.get(model, ())) > MOST_OF_A_MODEL:
            gone.append(self._drop(self._ids[model][0]))
        while self._size > MOST and len(self._kept) > 1:
            gone.append(self._drop(next(iter(self._kept))))
        return gone

    def clear(self) -> None:
        """Forget all texts."""
        self._kept.clear()
        self._ids.clear()
        self._size = 0

    def _drop(self, request: str) -> str:
        model, bodies = self._kept.pop(request)
        self._ids[model].remove(request)
        if not self._ids[model]:
            del self._ids[model]
        self._size -= _size(bodies)
        return request


def _size(bodies: Bodies) -> int:
    return len(bodies.request) + len(bodies.response)
