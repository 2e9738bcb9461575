"""The GPUs as their drivers tell of them: NVIDIA's through NVML, others through sysfs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from dmr_tui.system.drm import DRM, Card, find_cards

T = TypeVar("T")

_MILLIWATTS = 1000


@dataclass(frozen=True)
class GpuReading:
    """One GPU as of now; sizes in bytes.

    Attributes:
        name: as the driver calls it, e.g. `NVIDIA GeForce RTX 4090`.
        memory_total: its own memory.
        memory_used: what all processes together hold of it.
        load: per cent of time with work on it, 0 to 100; None where the driver keeps no count.
        temperature: degrees Celsius; this and what follows only in a close look.
        power: watts that it draws.
        power_limit: watts that it may draw.
        owners: what each process holds of its memory, by process id; None where that is not told.
        uuid: how CUDA names it, `GPU-8f6a…`; empty where CUDA cannot use it.
    """

    name: str
    memory_total: int
    memory_used: int
    load: float | None
    temperature: float | None = None
    power: float | None = None
    power_limit: float | None = None
    owners: dict[int, int] | None = None
    uuid: str = ""


class GpuMeter:
    """Reads every GPU. Loading NVML and each reading block, so use it from a thread.

    A machine without NVIDIA's driver is no error: it has other GPUs, or no readings.
    """

    def __init__(self, drm: Path = DRM) -> None:
        """Look for other GPUs than NVIDIA's in `drm`, when first asked."""
        self._drm = drm
        self._handles: list[Any] | None = None
        self._cards: list[Card] | None = None

    def read(self, *, closely: bool = False) -> tuple[GpuReading, ...]:
        """All GPUs as of now; empty when there is none or their driver has gone away.

        Args:
            closely: with temperature, power and owners of the memory, which takes longer.
        """
        return (*self._read_nvidia(closely), *self._read_others(closely))

    def _read_nvidia(self, closely: bool) -> list[GpuReading]:
        import pynvml

        try:
            if self._handles is None:
                self._handles = self._open()
            return [_read(handle, closely) for handle in self._handles]
        except pynvml.NVMLError:
            # Asked once only: a driver does not appear while the program runs.
            self._handles = []
            return []

    @staticmethod
    def _open() -> list[Any]:
        import pynvml

        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]

    def _read_others(self, closely: bool) -> list[GpuReading]:
        if self._cards is None:
            self._cards = find_cards(self._drm)
        readings = []
        for card in self._cards:
            reading = GpuReading(card.name, card.memory_total, card.memory_used(), card.load())
            if closely:
                reading = replace(
                    reading,
                    temperature=card.temperature(),
                    power=card.power(),
                    power_limit=card.power_limit(),
                )
            readings.append(reading)
        return readings


def shown_to_cuda(gpus: Sequence[GpuReading], wanted: str | None) -> list[GpuReading]:
    """The GPUs that a program may use.

    Args:
        gpus: all of the machine.
        wanted: `CUDA_VISIBLE_DEVICES`: numbers, or beginnings of UUIDs, with commas between them;
            None when it is not set. It speaks of NVIDIA's only, and what follows a name that fits
            none does not count.

    Source: CUDA C++ Programming Guide, "CUDA Environment Variables".
    """
    if wanted is None:
        return list(gpus)
    cuda = [gpu for gpu in gpus if gpu.uuid]
    shown = [gpu for gpu in gpus if not gpu.uuid]
    for name in map(str.strip, wanted.split(",")):
        if name.isdecimal():
            found = cuda[int(name) : int(name) + 1]
        else:
            found = [gpu for gpu in cuda if name and gpu.uuid.startswith(name)]
        if len(found) != 1:
            break
        shown += found
    return shown


def _read(handle: Any, closely: bool) -> GpuReading:
    import pynvml as nvml

    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    # A slice of a shared card has no load.
    load = _told(lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu))
    reading = GpuReading(
        name=str(nvml.nvmlDeviceGetName(handle)),
        memory_total=memory.total,
        memory_used=memory.used,
        load=load,
        uuid=_told(lambda: str(nvml.nvmlDeviceGetUUID(handle))) or "",
    )
    if not closely:
        return reading
    sensor = nvml.NVML_TEMPERATURE_GPU
    return replace(
        reading,
        temperature=_told(lambda: float(nvml.nvmlDeviceGetTemperature(handle, sensor))),
        power=_told(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / _MILLIWATTS),
        power_limit=_told(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / _MILLIWATTS),
        owners=_owners(handle),
    )


def _owners(handle: Any) -> dict[int, int] | None:
    """What each process holds; one may both compute and draw, and is then listed twice."""
    import pynvml as nvml

    computing = _told(lambda: list(nvml.nvmlDeviceGetComputeRunningProcesses(handle)))
    drawing = _told(lambda: list(nvml.nvmlDeviceGetGraphicsRunningProcesses(handle)))
    if computing is None and drawing is None:
        return None
    owners: dict[int, int] = {}
    for process in [*(computing or ()), *(drawing or ())]:
        # Some drivers name the process but not what it holds.
        owners[process.pid] = max(owners.get(process.pid, 0), process.usedGpuMemory or 0)
    return owners


def _told(question: Callable[[], T]) -> T | None:
    """What NVML answers; None when this card does not know."""
    import pynvml

    try:
        return question()
    except pynvml.NVMLError:
        return None
