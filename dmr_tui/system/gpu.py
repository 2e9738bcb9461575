"""NVIDIA GPUs, as far as the driver's own library (NVML) tells of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GpuReading:
    """One GPU as of now; sizes in bytes.

    Attributes:
        name: as the driver calls it, e.g. `NVIDIA GeForce RTX 4090`.
        memory_total: its own memory.
        memory_used: what all processes together hold of it.
        load: per cent of time with work on it, 0 to 100; None where the driver keeps no count.
    """

    name: str
    memory_total: int
    memory_used: int
    load: float | None


class GpuMeter:
    """Reads every GPU. Loading NVML and each reading block, so use it from a thread.

    A machine without NVIDIA's driver is no error: it has no readings.
    """

    def __init__(self) -> None:
        self._handles: list[Any] | None = None

    def read(self) -> tuple[GpuReading, ...]:
        """All GPUs as of now; empty when there is none or the driver has gone away."""
        import pynvml

        try:
            if self._handles is None:
                self._handles = self._open()
            return tuple(_read(handle) for handle in self._handles)
        except pynvml.NVMLError:
            # Asked once only: a driver does not appear while the program runs.
            self._handles = []
            return ()

    @staticmethod
    def _open() -> list[Any]:
        import pynvml

        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]


def _read(handle: Any) -> GpuReading:
    import pynvml

    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    try:
        load = float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except pynvml.NVMLError:  # e.g. a slice of a shared card
        load = None
    return GpuReading(str(pynvml.nvmlDeviceGetName(handle)), memory.total, memory.used, load)
