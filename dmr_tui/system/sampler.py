"""One look at the whole machine: what it has, and how busy it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dmr_tui.system.cpu import CpuMeter, core_count, load_average
from dmr_tui.system.gpu import GpuMeter, GpuReading
from dmr_tui.system.memory import MemoryReading, free_disk, read_memory
from dmr_tui.system.traffic import Traffic, TrafficMeter, disk_totals, network_totals


@dataclass(frozen=True)
class Reading:
    """How busy the machine is now.

    Attributes:
        cpu: per cent of all cores.
        memory: main memory.
        gpus: every GPU that can be read.
        load: processes that ran or wanted to, in the mean of the last minute; None: not known.
        disk: what goes from and to disks; None: not known, as of the network.
        network: what comes and goes through the network.
    """

    cpu: float
    memory: MemoryReading
    gpus: tuple[GpuReading, ...] = ()
    load: float | None = None
    disk: Traffic | None = None
    network: Traffic | None = None


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
        self._disk = TrafficMeter(disk_totals)
        self._network = TrafficMeter(network_totals)

    def read(self, *, closely: bool = False) -> Reading:
        """How busy it is; `closely`: with all that the GPUs' drivers tell."""
        return Reading(
            cpu=self._cpu.read(),
            memory=read_memory(),
            gpus=self._gpu.read(closely=closely),
            load=load_average(),
            disk=self._disk.read(),
            network=self._network.read(),
        )

    def machine(self, folder: Path) -> Machine:
        """What it has; the disk is the one that holds `folder`."""
        return Machine(core_count(), free_disk(folder), read_memory(), self._gpu.read())
