"""Work on models that takes a while: seen while it runs, and stopped with one key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from textual.content import Content

from dmr_tui.widgets.gauge import bar
from dmr_tui.widgets.printable import printable

_BAR = 24


@dataclass(eq=False)
class Task:
    """One piece of work.

    Attributes:
        title: what is done to which model.
        fraction: 0 to 1; None while nobody knows.
        figures: how it goes, in a few words.
    """

    title: str
    fraction: float | None = None
    figures: str = ""
    _work: asyncio.Task[object] | None = None

    def cancel(self) -> None:
        """Stop it."""
        if self._work is not None:
            self._work.cancel()


class Tasks:
    """What is under way, the newest last."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """Nothing yet; `changed` is called when something begins, moves on or ends."""
        self._changed = changed
        self.all: list[Task] = []

    def begin(self, title: str) -> Task:
        """Begin a piece of work, which is the asyncio task that calls this."""
        task = Task(title, _work=asyncio.current_task())
        self.all.append(task)
        self._changed()
        return task

    def move(self, task: Task, fraction: float | None, figures: str = "") -> None:
        """Tell how far it is."""
        task.fraction, task.figures = fraction, figures
        self._changed()

    def end(self, task: Task) -> None:
        """It is over."""
        self.all.remove(task)
        self._changed()


def task_content(task: Task) -> Content:
    """One line: the title, a bar, figures."""
    parts = [Content.styled(printable(task.title), "bold")]
    if task.fraction is not None:
        parts.append(bar(task.fraction, _BAR) + Content(f" {task.fraction:4.0%}"))
    if task.figures:
        parts.append(Content.styled(printable(task.figures), "$text-muted"))
    return Content("  ").join(parts)
