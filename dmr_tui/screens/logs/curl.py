"""Requests in forms that other programs take: a command line, and JSON lines."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec

from dmr_tui.runner.activity.records import Bodies, RequestRecord

DEFAULT_PATH = "/engines/v1/chat/completions"
"""Where this program's own requests would go."""


def curl_command(record: RequestRecord, bodies: Bodies | None, url: str, *, key: bool) -> str:
    """The request as a command for a shell.

    Args:
        record: the request.
        bodies: its texts; without them the command has a place for one.
        url: base URL of the endpoint.
        key: the endpoint wants an API key, which the command takes from the environment.
    """
    method = record.method or "POST"
    verb = "" if method == "POST" else f"-X {shlex.quote(method)} "
    parts = [f"curl {verb}{shlex.quote(url.rstrip('/') + (record.path or DEFAULT_PATH))}"]
    if key:
        parts.append('-H "Authorization: Bearer $DMR_API_KEY"')
    if method == "POST":
        text = bodies.request if bodies is not None and bodies.request else "{}"
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(text)}"]
    return " \\\n  ".join(parts)


def json_line(record: RequestRecord, bodies: Bodies | None) -> bytes:
    """The request as one line of JSON, its texts as JSON within."""
    fields: dict[str, Any] = msgspec.to_builtins(record)
    if bodies is not None:
        fields["request"], fields["response"] = _json(bodies.request), _json(bodies.response)
    return msgspec.json.encode(fields) + b"\n"


def _json(text: str) -> Any:
    """A text as JSON, or as it is."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
