"""The columns of the table of requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.content import Content

from dmr_tui.runner.activity.records import RequestRecord
from dmr_tui.screens.logs import wording
from dmr_tui.widgets.table import Column


def columns(now: Callable[[], float]) -> Sequence[Column[RequestRecord]]:
    """What a row shows, from left to right; `now` is Unix time."""
    return [
        Column("time", "TIME", _time, width=10),
        Column("code", "CODE", _code, width=4),
        Column("model", "MODEL", lambda each: Content(wording.model(each))),
        Column("route", "ROUTE", lambda each: Content(wording.route(each)), width=11),
        Column("tokens", "IN→OUT", lambda each: Content(wording.tokens(each)), 9, "right"),
        Column("took", "TOOK", lambda each: Content(wording.took(each, now())), 6, "right"),
        Column(
            "client", "CLIENT", lambda each: Content(wording.client(each)), width=13, from_width=76
        ),
    ]


def _time(record: RequestRecord) -> Content:
    mark = Content.styled(f"{wording.glyph(record)} ", wording.style(record))
    return mark + Content.styled(wording.clock_time(record.time), "$text-muted")


def _code(record: RequestRecord) -> Content:
    return Content.styled(wording.status(record), wording.style(record))
