"""Server-sent events, as OpenAI's clients read them."""

from __future__ import annotations

from typing import Any

from msgspec import json

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
MEDIA_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"

# Legal in JSON, but line ends to clients that split with str.splitlines (httpx does).
_LINE_ENDS = {b"\xc2\x85": b"\\u0085", b"\xe2\x80\xa8": b"\\u2028", b"\xe2\x80\xa9": b"\\u2029"}


def event(payload: Any, name: str = "") -> bytes:
    """One event whose data is `payload` as one line of JSON; `name` is its type, if it has one."""
    line = json.encode(payload)
    for raw, escaped in _LINE_ENDS.items():
        line = line.replace(raw, escaped)
    head = b"event: " + name.encode() + b"\n" if name else b""
    return head + b"data: " + line + b"\n\n"
