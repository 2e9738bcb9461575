"""The queue of pulls: a line for each, and more of the one under the cursor."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from dmr_tui.actions import bindings
from dmr_tui.screens.library import short_name
from dmr_tui.screens.pulls import Pull
from dmr_tui.widgets.figures import clock, long_size, part_of
from dmr_tui.widgets.gauge import bar
from dmr_tui.widgets.graph import spark
from dmr_tui.widgets.printable import printable

_WIDE = 96
_GLYPHS = {
    "running": ("↓", "$text-primary"),
    "queued": ("·", "$text-muted"),
    "paused": ("‖", "$text-warning"),
    "done": ("✓", "$text-success"),
    "failed": ("×", "$text-error"),
    "cancelled": ("–", "$text-muted"),
}
_NOBODY = Content.styled(
    "Nothing is on its way. p gets what is selected, ⏎ opens its chat too.",
    "$text-muted",
)
_CURVE = 8
"""Seconds of the speed's curve."""
_LAYERS = 3
"""Layers that are told of the pull under the cursor."""


class Queue(OptionList):
    """The pulls of this program, the unfinished ones first and in their order."""

    BINDINGS = bindings("list")

    def __init__(self) -> None:
        super().__init__(id="queue")
        self._pulls: list[Pull] = []
        self._drawn: list[Content] = []

    @property
    def current(self) -> Pull | None:
        """The pull under the cursor."""
        place = self.highlighted
        return self._pulls[place] if place is not None and place < len(self._pulls) else None

    def show(self, unfinished: Sequence[Pull], finished: Sequence[Pull]) -> None:
        """Show these pulls; the cursor stays on its own."""
        current = self.current
        before, self._pulls = self._pulls, [*unfinished, *finished]
        if self._pulls != before:
            # One that goes on again is another pull of the same name.
            names = [pull.name for pull in self._pulls]
            there = current is not None and current.name in names
            self._draw_all(names.index(current.name) if current is not None and there else 0)
        else:
            self._draw()

    def on_resize(self) -> None:
        """Use the room there is."""
        self._draw()
        self.call_after_refresh(self.scroll_to_highlight)

    def on_option_list_option_highlighted(self) -> None:
        """Tell more of this one, and no longer of the other."""
        self._draw()
        self.call_after_refresh(self.scroll_to_highlight)

    def move_to(self, pull: Pull) -> None:
        """Put the cursor on a pull."""
        if pull in self._pulls:
            self.highlighted = self._pulls.index(pull)

    def action_scroll_top(self) -> None:
        """First pull."""
        self.action_first()

    def action_scroll_bottom(self) -> None:
        """Last pull."""
        self.action_last()

    def _draw_all(self, place: int) -> None:
        self._drawn = [self._line(index, place) for index in range(len(self._pulls))]
        self.set_options([Option(line) for line in self._drawn] or [Option(_NOBODY, disabled=True)])
        if self._pulls:
            self.highlighted = place

    def _draw(self) -> None:
        """Draw anew what has become different."""
        if len(self._drawn) != len(self._pulls):
            self._draw_all(self.highlighted or 0)
        for index in range(len(self._pulls)):
            line = self._line(index, self.highlighted)
            if line != self._drawn[index]:
                self._drawn[index] = line
                self.replace_option_prompt_at_index(index, line)
        if not self._pulls and self.option_count != 1:
            self._draw_all(0)

    def _line(self, index: int, highlighted: int | None) -> Content:
        pull, here = self._pulls[index], index == highlighted
        width = max(self.scrollable_content_region.width - 2, 40)
        cursor = Content.styled("▸ ", "$primary") if here else Content("  ")
        line = cursor + _front(pull, width) + _rest(pull, self._before(index), width)
        more = _more(pull, width) if here else []
        return Content("\n").join([line.truncate(width, ellipsis=True), *more])

    def _before(self, index: int) -> str:
        """Whom a pull waits for."""
        return next(
            (pull.name for pull in reversed(self._pulls[:index]) if pull.state == "running"),
            "",
        )


def heading(pulls: Sequence[Pull]) -> str:
    """What the frame says: how many run, wait, are halted, have failed."""
    words = {"running": "", "queued": "queued", "paused": "paused", "failed": "failed"}
    counts = [(sum(pull.state == state for pull in pulls), word) for state, word in words.items()]
    shown = [f"{count} {word}".rstrip() for count, word in counts if count]
    return "Pulls " + " · ".join(shown) if shown else "Pulls"


def outlook(pulls: Sequence[Pull], now: float, disk_free: int | None) -> str:
    """What is still to come, when that will be, and what it leaves of the disk."""
    active = [pull for pull in pulls if pull.state in ("running", "queued")]
    left = sum(max(pull.total - pull.done, 0) for pull in pulls if pull.unfinished)
    rate = sum(pull.rate for pull in active)
    parts = [f"{long_size(left)} to come"] if left else []
    if left and rate and all(pull.total for pull in active) and active:
        due = sum(max(pull.total - pull.done, 0) for pull in active)
        when = time.strftime("%H:%M", time.localtime(now + due / rate))
        parts.append(f"done about {when}")
    if disk_free is not None:
        parts.append(f"{long_size(disk_free)} free")
        if left:
            parts.append(f"{long_size(max(disk_free - left, 0))} after")
    return " · ".join(parts)


def _front(pull: Pull, width: int) -> Content:
    """State and name."""
    name = 24 if width >= _WIDE else 16
    shown = Content(printable(short_name(pull.name, name))).truncate(name, ellipsis=True)
    glyph = Content.styled(*_GLYPHS[pull.state])
    return glyph + Content(" ") + shown.pad_right(name - shown.cell_length + 1)


def _rest(pull: Pull, before: str, width: int) -> Content:
    match pull.state:
        case "running":
            return _running(pull, width)
        case "paused":
            # A small screen has the kept bytes in front of it.
            told = pull.done and width >= _WIDE
            kept = f"  paused · {long_size(pull.done)} kept" if told else "  paused"
            return _progress(pull, width) + Content.styled(kept, "$text-warning")
        case "queued":
            after = f" · starts after {before}" if before else ""
            return Content.styled(f"queued{after}", "$text-muted")
        case "done":
            size = f"{long_size(pull.done)}  " if pull.done else ""
            return Content.styled(f"here  {size}{_moment(pull)}", "$text-muted")
        case "cancelled":
            kept = f", {long_size(pull.done)} kept" if pull.done else ""
            return Content.styled(f"cancelled{kept} · ⏎ goes on · x forgets it", "$text-muted")
        case _:
            message = pull.failure.message if pull.failure else "it failed"
            return Content.styled(printable(message), "$text-error")


def _running(pull: Pull, width: int) -> Content:
    if not pull.total:
        return Content.styled(f"asking … {printable(pull.message)}", "$text-muted")
    rate = f"{long_size(pull.rate)}/s" if pull.rate else ""
    left = clock(pull.seconds_left) if pull.seconds_left is not None else ""
    shown = _progress(pull, width) + Content(f"  {rate:>9}")
    if width >= _WIDE:
        last = list(pull.speeds)[-_CURVE:]
        curve = spark(last, max(last, default=0.0), style="$text-primary")
        shown += Content(" " * (_CURVE - len(last) + 1)) + curve
    shown += Content(f"  {left:>6}")
    if width >= _WIDE:
        here = sum(size and current >= size for size, current in pull.layers.values())
        shown += Content.styled(f"  {here}/{len(pull.layers)} parts", "$text-muted")
    return shown


def _progress(pull: Pull, width: int) -> Content:
    size = max(width - (90 if width >= _WIDE else 63), 8)
    figures = part_of(pull.done, pull.total) if pull.total else ""
    return bar(pull.fraction, size) + Content(f" {pull.fraction:4.0%}  {figures:>11}")


def _more(pull: Pull, width: int) -> list[Content]:
    """What the line of a pull leaves out, for the one under the cursor."""
    if pull.state == "failed":
        hint = (pull.failure.hint if pull.failure else "") or ""
        lines = [*hint.splitlines()[:3], "⏎ tries again · e edits the name · x forgets it"]
    elif pull.unfinished and pull.total:
        lines = [_layer(digest, *sizes) for digest, sizes in pull.layers.items()]
        if len(lines) > _LAYERS:
            lines = [*lines[:_LAYERS], f"and {len(lines) - _LAYERS} more"]
        lines = ["   ".join(lines)]
    else:
        return []
    return [
        Content.styled(f"    {printable(line)}", "$text-muted").truncate(width, ellipsis=True)
        for line in lines
        if line
    ]


def _layer(digest: str, size: int, current: int) -> str:
    sign = "✓" if size and current >= size else "↓" if current else "·"
    return f"{sign} {digest.removeprefix('sha256:')[:12]} {part_of(current, size)}"


def _moment(pull: Pull) -> str:
    return time.strftime("%H:%M", time.localtime(pull.ended)) if pull.ended else ""
