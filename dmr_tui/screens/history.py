"""What the machine and the models have done in the last minutes, for gauges and charts."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmr_tui.engine.profile import RunningModel
    from dmr_tui.engine.stats import Stats
    from dmr_tui.system.sampler import Reading

KEEP = 15 * 60.0
"""Seconds that are kept."""

CPU, MEMORY, GENERATED, PROMPTS = "cpu", "memory", "generated", "prompts"
"""Names of series: per cent, share, and tokens per second of all models."""

DISK_IN, DISK_OUT, NETWORK_IN, NETWORK_OUT = "disk in", "disk out", "network in", "network out"
"""Names of series: bytes per second."""


def gpu_load(index: int) -> Hashable:
    """Name of the series of a GPU's load, in per cent."""
    return ("gpu load", index)


def gpu_memory(index: int) -> Hashable:
    """Name of the series of a GPU's memory, as a share."""
    return ("gpu memory", index)


class Series:
    """One figure over time."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()

    def note(self, at: float, value: float) -> None:
        """Add a value; times do not go back."""
        self._samples.append((at, value))
        while self._samples[0][0] < at - KEEP:
            self._samples.popleft()

    def columns(
        self, now: float, window: float, count: int, *, hold: float = 0.0
    ) -> list[float | None]:
        """The means of so many equal spans up to now.

        The spans stand still while time goes on, so that a chart moves and does not flicker.

        Args:
            now: seconds.
            window: seconds of all spans together.
            count: how many spans.
            hold: seconds that a value stands for at least; later than that there is None.
        """
        span = window / count
        last = int(now // span)
        sums, numbers = [0.0] * count, [0] * count
        before: tuple[float, float] | None = None
        for at, value in self._samples:
            index = int(at // span) - last + count - 1
            if index < 0:
                before = (at, value)
            elif index < count:
                sums[index] += value
                numbers[index] += 1
        first = last - count + 1
        until = -inf if before is None else before[0] + hold
        known = 0.0 if before is None else before[1]
        columns: list[float | None] = []
        for index in range(count):
            if numbers[index]:
                known = sums[index] / numbers[index]
                until = (first + index + 1) * span + hold
            columns.append(known if (first + index) * span < until else None)
        return columns

    def since(self, start: float) -> list[float]:
        """The values from a time on."""
        return [value for at, value in self._samples if at >= start]

    @property
    def latest(self) -> float:
        """The last value; 0 before the first one."""
        return self._samples[-1][1] if self._samples else 0.0


class History:
    """All series, by name."""

    def __init__(self) -> None:
        self._series: dict[Hashable, Series] = {}
        self._before: dict[tuple[str, int], Stats] = {}
        self._loads: dict[tuple[str, int], tuple[float, float]] = {}

    def __getitem__(self, name: Hashable) -> Series:
        return self._series.setdefault(name, Series())

    def note(self, at: float, reading: Reading) -> None:
        """Add a look at the machine."""
        memory = reading.memory
        self[CPU].note(at, reading.cpu)
        self[MEMORY].note(at, memory.used / memory.total)
        for traffic, inward, outward in (
            (reading.disk, DISK_IN, DISK_OUT),
            (reading.network, NETWORK_IN, NETWORK_OUT),
        ):
            if traffic is not None:
                self[inward].note(at, traffic.inward)
                self[outward].note(at, traffic.outward)
        for index, gpu in enumerate(reading.gpus):
            self[gpu_memory(index)].note(at, gpu.memory_used / max(gpu.memory_total, 1))
            if gpu.load is not None:
                self[gpu_load(index)].note(at, gpu.load)

    def note_running(self, at: float, models: Sequence[RunningModel]) -> None:
        """Add a look at the models in memory."""
        generated = prompts = 0.0
        told: dict[tuple[str, int], Stats] = {}
        loads: dict[tuple[str, int], tuple[float, float]] = {}
        for model in models:
            key = (model.id, model.pid)
            if model.progress is not None:
                loads[key] = self._loads.get(key, (at, model.progress))
            if model.stats is None:
                continue
            told[key] = now = model.stats
            before = self._before.get(key)
            # Workers tell once a second: who works and has told nothing new goes on as before.
            if before == now:
                generated += now.generation_speed if now.busy else 0.0
            elif before is not None:
                # Of a worker that was not seen before nobody knows when it did what.
                written = now.generated_tokens > before.generated_tokens
                read = now.prompt_tokens > before.prompt_tokens
                generated += now.generation_speed if written else 0.0
                prompts += now.prompt_speed if read else 0.0
        self._before, self._loads = told, loads
        self[GENERATED].note(at, generated)
        self[PROMPTS].note(at, prompts)

    def load_seconds_left(self, at: float, model: RunningModel) -> float | None:
        """How long a load will take, as fast as it has been; None while that cannot be told."""
        began, first = self._loads.get((model.id, model.pid), (at, 0.0))
        progress = model.progress or 0.0
        if at <= began or progress <= first:
            return None
        return (1 - progress) * (at - began) / (progress - first)
