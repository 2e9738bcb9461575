"""What a scene is played with, and what a picture of it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from textual.pilot import Pilot

from dmr_tui.runner.base import Model
from tests.tui.stage import SEVEN, StageClock, StageRunner


@dataclass(frozen=True)
class Scene:
    """A program on its way to a picture."""

    pilot: Pilot[None]
    runner: StageRunner
    clock: StageClock


@dataclass(frozen=True)
class Picture:
    """One state of a screen, taken at every size.

    Attributes:
        play: brings the program there.
        theme: its colours.
        stored: the models there are; the first one is in memory.
        no_runner: nobody answers.
        gpus: how many cards the machine has.
    """

    play: Callable[[Scene], Awaitable[None]]
    theme: str = "dark"
    stored: Sequence[Model] = SEVEN
    no_runner: bool = False
    gpus: int = 1
