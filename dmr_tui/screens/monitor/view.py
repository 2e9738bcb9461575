"""What all panes of Monitor show at one time: a frozen screen keeps an old one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from dmr_tui.engine.profile import RunningModel
from dmr_tui.runner.activity.records import RequestRecord, RunnerEvent
from dmr_tui.screens.history import History
from dmr_tui.system.sampler import Machine, Reading

_HOLD = 2.5
"""So many times the interval between two looks a figure is taken to hold."""


@dataclass(frozen=True)
class View:
    """One look at everything.

    Attributes:
        now: by the clock that measures spans, in seconds.
        time: Unix time.
        interval: seconds between two looks.
        window: seconds that the charts show.
        history: figures up to `now`; later ones are not looked at.
        reading: the machine; None before the first look.
        machine: what it has; None before that is known.
        here: the runner is on this machine, so that process ids mean the same.
        stored: bytes of all stored models.
        models: in memory, or on their way.
        names: the shortest name of each, by its id.
        requests: what the runner was asked lately, the oldest first.
        events: what happened in it, the oldest first.
        lost_for: seconds since the runner stopped to answer; None: it answers.
    """

    now: float
    time: float
    interval: float
    window: float
    history: History
    reading: Reading | None = None
    machine: Machine | None = None
    here: bool = True
    stored: int = 0
    models: Sequence[RunningModel] = ()
    names: Mapping[str, str] | None = None
    requests: Sequence[RequestRecord] = ()
    events: Sequence[RunnerEvent] = ()
    lost_for: float | None = None

    def columns(self, series: Hashable, count: int) -> list[float | None]:
        """So many columns of a chart of one figure."""
        held = _HOLD * self.interval
        return self.history[series].columns(self.now, self.window, count, hold=held)

    def name(self, model: RunningModel) -> str:
        """The shortest name of a model."""
        return (self.names or {}).get(model.id, model.name)

    def memory(self, model: RunningModel) -> int:
        """What a model really takes, in bytes: main memory, and GPU memory where that is told."""
        return model.memory + sum(self.gpu_memory(index, model) for index in range(self.gpus))

    @property
    def gpus(self) -> int:
        """How many GPUs there are."""
        return 0 if self.reading is None else len(self.reading.gpus)

    def gpu_memory(self, index: int, model: RunningModel) -> int:
        """What a model takes of a GPU's memory; 0 where that is not told."""
        owners = self.reading.gpus[index].owners if self.reading is not None else None
        return (owners or {}).get(model.pid, 0) if self.here else 0
