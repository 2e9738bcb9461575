"""The last row of every screen: the keys that do something here and now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.reactive import reactive

from dmr_tui.widgets.line import Line, Part

_GAP = Content("  ")


@dataclass(frozen=True)
class Hint:
    """One key and what it does now.

    Attributes:
        key: as people write it.
        title: a word or two.
        target: the Textual action, for a click.
    """

    key: str
    title: str
    target: str


class KeyBar(Line):
    """Keys and what they do, as many as fit, and always the last one: help. Each can be clicked."""

    hints: reactive[Sequence[Hint]] = reactive(())
    """The most important first; the last one is always shown."""

    def left(self, width: int) -> list[Part]:
        """The hints that fit."""
        if not self.hints:
            return []
        *others, last = map(_part, self.hints)
        room = width - 1 - last.content.cell_length
        parts = [Part(Content(" "))]
        for part in others:
            room -= part.content.cell_length + len(_GAP)
            if room < 0:
                break
            parts += [part, Part(_GAP)]
        return [*parts, last]


def _part(hint: Hint) -> Part:
    text = Content.styled(hint.key, "bold $primary") + Content.styled(
        f" {hint.title}", "$text-muted"
    )
    return Part(text, hint.target)
