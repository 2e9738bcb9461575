"""What happened lately: loads, evictions, crashes, pulls, warnings with their remedy."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual.content import Content

from dmr_tui.runner.activity.records import RunnerEvent
from dmr_tui.screens.library import familiar_name
from dmr_tui.widgets.printable import printable
from dmr_tui.widgets.table import Column

_STYLES = {"warn": "$text-warning", "error": "$text-error"}
_MOST = 200


def chosen(events: Sequence[RunnerEvent], *, warnings: bool) -> list[RunnerEvent]:
    """The events that are shown, the newest first."""
    kept = [each for each in events if not warnings or each.level in _STYLES]
    return kept[: -_MOST - 1 : -1]


def _time(event: RunnerEvent) -> Content:
    shown = time.strftime("%H:%M:%S", time.localtime(event.time))
    return Content.styled(shown, "$text-muted")


def _kind(event: RunnerEvent) -> Content:
    return Content.styled(event.kind, _STYLES.get(event.level, ""))


def _what(event: RunnerEvent) -> Content:
    words = Content(printable(event.text))
    return words + Content.styled(f"  {printable(event.hint)}" if event.hint else "", "$text-muted")


COLUMNS: Sequence[Column[RunnerEvent]] = (
    Column("time", "TIME", _time, 8),
    Column("kind", "EVENT", _kind, 7),
    Column("model", "MODEL", lambda event: Content(printable(familiar_name(event.model))), 16),
    Column("what", "WHAT", _what),
)
"""The columns of the table of events."""
