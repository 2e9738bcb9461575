"""The panes of the machine: its GPUs, its processor and memory, its disk and network."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from textual.content import Content

from dmr_tui.screens.history import (
    CPU,
    DISK_IN,
    MEMORY,
    NETWORK_IN,
    gpu_load,
    gpu_memory,
)
from dmr_tui.screens.monitor.readout import Readout
from dmr_tui.screens.monitor.view import View
from dmr_tui.system.gpu import GpuReading
from dmr_tui.widgets.figures import long_size, part_of, short_size, span
from dmr_tui.widgets.gauge import bar, load_style
from dmr_tui.widgets.graph import spark
from dmr_tui.widgets.printable import printable

if TYPE_CHECKING:
    from dmr_tui.runner.base import RunnerStatus

_LABEL = 6
_FIGURES = 12
_ROUGH = 1_000_000.0
"""Bytes per second that a chart of traffic shows as full, if there is no more."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_here(status: RunnerStatus | None) -> bool:
    """Whether the runner is on this machine: its process ids are those of this system."""
    if status is None or status.kind == "embedded":
        return True
    return urlsplit(status.endpoint).hostname in _LOOPBACK or status.endpoint.startswith("unix:")


_LEAST_FOR_BARS = 48
"""Cells below which several GPUs are told in figures only."""


class Accelerators(Readout):
    """The GPUs; where there is none, the processor and the memory."""

    def lines(self, view: View, width: int, height: int) -> Sequence[Content]:
        """One GPU with its history; several in a line each."""
        gpus = view.reading.gpus if view.reading is not None else ()
        if not gpus:
            return self._processor(view, width)
        if len(gpus) > 1:
            return self._several(gpus, width, height)
        return self._one(view, gpus[0], width, height)

    def _one(self, view: View, gpu: GpuReading, width: int, height: int) -> list[Content]:
        heat = _heat(gpu)
        # What is no more than the maker's name is left out where there is little room.
        name = printable(gpu.name).removeprefix("NVIDIA ").removeprefix("GeForce ")
        facts = [f"GPU 0  {name}", long_size(gpu.memory_total) if width > 44 else "", *heat]
        self.heading = " · ".join(fact for fact in facts if fact)
        lines = []
        if gpu.load is not None:
            lines.append(_gauge("util", gpu.load / 100, f"{gpu.load:.0f} %", width))
        used = part_of(gpu.memory_used, gpu.memory_total)
        lines.append(_gauge("vram", gpu.memory_used / max(gpu.memory_total, 1), used, width))
        if height > 4:
            lines.append(_owners(view, 0, gpu.memory_used))
        if gpu.load is not None:
            lines.append(_spark(view, "util", gpu_load(0), 100, width))
        lines.append(_spark(view, "vram", gpu_memory(0), 1, width))
        return [*lines, _axis(view, width)]

    def _several(self, gpus: Sequence[GpuReading], width: int, height: int) -> list[Content]:
        total = sum(gpu.memory_total for gpu in gpus)
        self.heading = f"{len(gpus)} GPUs · {long_size(total)}"
        if len(gpus) > height or width < _LEAST_FOR_BARS:
            return _packed(gpus, height)
        lines = []
        room = max((width - 39) // 2, 4)
        for index, gpu in enumerate(gpus):
            load = gpu.load or 0.0
            percent = "–" if gpu.load is None else f"{load:.0f}%"
            part = gpu.memory_used / max(gpu.memory_total, 1)
            cells = [
                Content.styled(f"{index:>2} util ", "$text-muted"),
                bar(load / 100, room, style=load_style(load / 100)),
                Content(f"{percent:>5} "),
                Content.styled("vram ", "$text-muted"),
                bar(part, room, style=load_style(part)),
                Content(f" {part_of(gpu.memory_used, gpu.memory_total):>9}"),
                Content.styled(
                    f" {gpu.temperature:.0f}°" if gpu.temperature else "", "$text-muted"
                ),
            ]
            lines.append(Content.assemble(*cells))
        return lines

    def _processor(self, view: View, width: int) -> list[Content]:
        reading = view.reading
        self.heading = " · ".join([*_host(view, width), "no GPU"])
        if reading is None:
            return [Content.styled("looking at this machine …", "$text-muted")]
        return [
            *_loads(view, width),
            _owners(view, None, reading.memory.used),
            _spark(view, "cpu", CPU, 100, width),
            _spark(view, "ram", MEMORY, 1, width),
            _axis(view, width),
        ]


class Host(Readout):
    """Processor, memory, disk and network; the last two in more detail where there is no GPU."""

    def lines(self, view: View, width: int, height: int) -> Sequence[Content]:
        """Gauges and histories."""
        reading = view.reading
        if reading is None:
            self.heading = "Host"
            return []
        if not reading.gpus:
            self.heading = "Disk and network"
            return [
                *_disk(view, width),
                _network(view),
                _traffic_spark(view, "disk", DISK_IN, width),
                _traffic_spark(view, "net", NETWORK_IN, width),
                _axis(view, width),
            ]
        self.heading = " · ".join(_host(view, width))
        if height <= 4:
            return [*_loads(view, width), _spark(view, "cpu", CPU, 100, width)]
        return [
            *_loads(view, width),
            _disk(view, width)[0],
            _network(view),
            _spark(view, "cpu", CPU, 100, width),
            _traffic_spark(view, "net", NETWORK_IN, width),
        ]


def _packed(gpus: Sequence[GpuReading], height: int) -> list[Content]:
    """Load and memory of many GPUs in few rows."""
    told = []
    for index, gpu in enumerate(gpus):
        load = "  –" if gpu.load is None else f"{gpu.load:>3.0f}%"
        used = part_of(gpu.memory_used, gpu.memory_total)
        told.append(Content.styled(f"{index}", "$text-muted") + Content(f"{load} {used:<10}"))
    rows = [told[first :: max(height, 1)] for first in range(max(height, 1))]
    return [Content(" ").join(row) for row in rows if row]


def _host(view: View, width: int) -> list[str]:
    facts = ["Host"]
    if view.machine is not None:
        facts = [f"Host  {view.machine.cores} cores"]
    if view.reading is not None:
        if width > 44:
            facts.append(long_size(view.reading.memory.total))
        if view.reading.load is not None:
            facts.append(f"load {view.reading.load:.1f}")
    return facts


def _heat(gpu: GpuReading) -> list[str]:
    facts = []
    if gpu.temperature is not None:
        facts.append(f"{gpu.temperature:.0f} °C")
    if gpu.power is not None:
        limit = f"/{gpu.power_limit:.0f}" if gpu.power_limit else ""
        facts.append(f"{gpu.power:.0f}{limit} W")
    return facts


def _loads(view: View, width: int) -> list[Content]:
    assert view.reading is not None
    cpu, memory = view.reading.cpu, view.reading.memory
    return [
        _gauge("cpu", cpu / 100, f"{cpu:.0f} %", width),
        _gauge("ram", memory.used / memory.total, part_of(memory.used, memory.total), width),
    ]


def _owners(view: View, gpu: int | None, used: int) -> Content:
    """Whose the memory is: our models one by one, and all others together."""
    parts = []
    for model in view.models:
        size = model.memory if gpu is None else view.gpu_memory(gpu, model)
        if size and view.here:
            used -= size
            parts.append(f"{printable(view.name(model))} {short_size(size)}")
    parts.append(f"others {short_size(max(used, 0))}")
    return Content.styled(" " * _LABEL + " ▏ ".join(parts), "$text-muted")


def _disk(view: View, width: int) -> list[Content]:
    disk = view.reading.disk if view.reading is not None else None
    facts = []
    if view.stored and width > 44:
        facts.append(f"{long_size(view.stored)} models")
    if view.machine is not None:
        facts.append(f"{long_size(view.machine.disk_free)} free")
    lines = [_labelled("disk", " · ".join(facts))]
    if disk is not None:
        lines.append(_labelled("", f"{_speed(disk.inward)} read · {_speed(disk.outward)} written"))
    return lines


def _network(view: View) -> Content:
    network = view.reading.network if view.reading is not None else None
    if network is None:
        return _labelled("net", "not counted here")
    return _labelled("net", f"{_speed(network.inward)} down · {_speed(network.outward)} up")


def _speed(rate: float) -> str:
    return f"{long_size(rate)}/s" if rate >= 1000 else "0"


def _labelled(label: str, text: str) -> Content:
    return Content.styled(f"{label:<{_LABEL}}", "$text-muted") + Content(text)


def _gauge(label: str, fraction: float, figures: str, width: int) -> Content:
    room = max(width - _LABEL - _FIGURES - 2, 4)
    return (
        Content.styled(f"{label:<{_LABEL - 1}}", "$text-muted")
        + bar(fraction, room, style=load_style(fraction))
        + Content(f" {figures}")
    )


def _spark(view: View, label: str, series: Hashable, top: float, width: int) -> Content:
    drawn = spark(view.columns(series, max(width - _LABEL, 1)), top)
    return Content.styled(f"{label:<{_LABEL}}", "$text-muted") + drawn


def _traffic_spark(view: View, label: str, series: Hashable, width: int) -> Content:
    values = view.columns(series, max(width - _LABEL, 1))
    top = max([value for value in values if value is not None], default=0.0)
    shown = Content.styled(f"{label:<{_LABEL}}", "$text-muted")
    return shown + spark(values, max(top, _ROUGH), style="$accent")


def _axis(view: View, width: int) -> Content:
    begin, end = f"−{span(view.window)}", "now"
    gap = " " * max(width - _LABEL - len(begin) - len(end), 1)
    return Content.styled(" " * _LABEL + begin + gap + end, "$text-disabled")
