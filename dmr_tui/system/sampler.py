"""One look at the whole machine: what it has, and how busy it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dmr_tui.system.cpu import CpuMeter, core_count
from dmr_tui.system.gpu import GpuMeter, GpuReading
from dmr_tui.system.memory import MemoryReading, free_disk, read_memory


@dataclass(frozen=True)
class Reading:
    """How busy the machine is now.

    Attributes:
        cpu: per cent of all cores.
        memory: main memory.
        gpus: every GPU that can be read.
    """

    cpu: float
    memory: MemoryReading
    gpus: tuple[GpuReading, ...] = ()


@dataclass(frozen=True)
class Machine:
    """What the machine has for models.

    Attributes:
        cores: physical processor cores.
        disk_free: bytes free where the models are kept.
        memory: main memory.
        gpus: every GPU that can be read.
    """

    cores: int
    disk_free: int
    memory: MemoryReading
    gpus: tuple[GpuReading, ...] = ()


class Sampler:
    """Looks at this machine; blocks for up to some milliseconds, so use it from a thread."""

    def __init__(self) -> None:
        self._cpu = CpuMeter()
        self._gpu = GpuMeter()

    def read(self) -> Reading:
        """How busy it is."""
        return Reading(self._cpu.read(), read_memory(), self._gpu.read())

    def machine(self, folder: Path) -> Machine:
        """What it has; the disk is the one that holds `folder`."""
        return Machine(core_count(), free_disk(folder), read_memory(), self._gpu.read())
