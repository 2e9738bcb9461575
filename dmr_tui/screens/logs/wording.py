"""How facts of requests are written."""

from __future__ import annotations

import re
import time

from dmr_tui.runner.activity.records import CLIENT_LEFT, RequestRecord
from dmr_tui.screens.library import familiar_name
from dmr_tui.widgets.printable import printable

_OURS = re.compile(r"dmr/\S+ \((\w+)\)")
_SHORT = {
    "chat": "chat",
    "embeddings": "embed",
    "completions": "complete",
    "responses": "responses",
}


def client(record: RequestRecord) -> str:
    """Who asked: the first product of a User-Agent, or the part of this program."""
    ours = _OURS.match(record.client)
    if ours:
        return f"dmr {ours[1]}"
    name = record.client.partition(" (")[0]
    first, _, rest = name.partition(" ")
    if "/" in first and not rest[:1].isdigit():
        name = first  # other products follow
    return printable(name)


def model(record: RequestRecord) -> str:
    """The model's shortest name."""
    return printable(familiar_name(record.model)) if record.model else "–"


def route(record: RequestRecord) -> str:
    """What was asked for."""
    name = _SHORT.get(record.protocol, record.protocol) or record.path
    return printable(f"{name} stream" if record.stream and record.protocol else name)


def status(record: RequestRecord) -> str:
    """The status; dots while it runs."""
    return "…" if record.running else str(record.status)


def glyph(record: RequestRecord) -> str:
    """Whether it went well: blank, `!`, or `×` for a client that left."""
    if record.status == CLIENT_LEFT:
        return "×"
    return "!" if record.status >= 400 else " "


def style(record: RequestRecord) -> str:
    """The colour of how it went."""
    if record.running:
        return "$text-primary"
    if record.status == CLIENT_LEFT:
        return "$text-warning"
    return "$text-error" if record.status >= 400 else "$text-success"


def tokens(record: RequestRecord) -> str:
    """Tokens in and out; a plus while there will be more."""
    if record.prompt_tokens is None and not record.completion_tokens:
        return "–"
    into = "" if record.prompt_tokens is None else str(record.prompt_tokens)
    out = "–" if record.completion_tokens is None else str(record.completion_tokens)
    return f"{into}→{out}{'+' if record.running else ''}"


def took(record: RequestRecord, now: float) -> str:
    """How long it took, or takes already."""
    seconds = max(now - record.time, 0.0) if record.seconds is None else record.seconds
    digits = 2 if seconds < 1 else 1 if seconds < 100 else 0
    return f"{seconds:.{digits}f} s"


def clock_time(moment: float) -> str:
    """The time of day."""
    return time.strftime("%H:%M:%S", time.localtime(moment))
