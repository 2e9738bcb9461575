"""Who asked for something in the last minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from dmr_tui.runner.activity.records import CLIENT_LEFT, RequestRecord
from dmr_tui.widgets.figures import grouped, span
from dmr_tui.widgets.printable import printable
from dmr_tui.widgets.table import Column

LATELY = 300.0
"""Seconds for which a client is shown."""


@dataclass(frozen=True)
class Client:
    """What one client has asked lately.

    Attributes:
        name: what it calls itself.
        requests: how many.
        tokens: of the answers, all together.
        errors: requests that were refused or failed.
        age: seconds since it was last heard of; 0 while it is being answered.
    """

    name: str
    requests: int
    tokens: int
    errors: int
    age: float


def clients(requests: Sequence[RequestRecord], time: float) -> list[Client]:
    """The clients of the last minutes, who asked last before the others.

    Args:
        requests: the oldest first.
        time: Unix time now.
    """
    found: dict[str, list[RequestRecord]] = {}
    for record in requests:
        if record.running or time - _end(record) <= LATELY:
            found.setdefault(record.client or "unnamed", []).append(record)
    rows = [_client(name, records, time) for name, records in found.items()]
    return sorted(rows, key=lambda row: (row.age, row.name))


def _client(name: str, records: list[RequestRecord], time: float) -> Client:
    ages = [0.0 if record.running else max(time - _end(record), 0.0) for record in records]
    failed = [record for record in records if record.status >= 400]
    return Client(
        name=name,
        requests=len(records),
        tokens=sum(record.completion_tokens or 0 for record in records),
        errors=sum(record.status != CLIENT_LEFT for record in failed),
        age=min(ages),
    )


def _end(record: RequestRecord) -> float:
    return record.time + (record.seconds or 0.0)


def _last(client: Client) -> Content:
    if client.age < 1:
        return Content.styled("now", "$text-success")
    return Content(span(client.age))


COLUMNS: Sequence[Column[Client]] = (
    Column("client", "CLIENT", lambda client: Content(printable(client.name))),
    Column("requests", "REQ", lambda client: Content(str(client.requests)), 5, "right"),
    Column("tokens", "TOK OUT", lambda client: Content(grouped(client.tokens)), 8, "right"),
    Column(
        "errors",
        "ERR",
        lambda client: Content.styled(
            str(client.errors), "$text-error" if client.errors else "$text-muted"
        ),
        4,
        "right",
    ),
    Column("last", "LAST", _last, 6, "right"),
)
"""The columns of the table of clients."""
