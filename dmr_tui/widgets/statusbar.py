"""The row above the keys: what happened last, and how busy the machine is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import reactive

from dmr_tui.widgets.figures import part_of
from dmr_tui.widgets.gauge import bar, load_style
from dmr_tui.widgets.line import Line, Part

if TYPE_CHECKING:
    from dmr_tui.system.sampler import Reading

_WIDE = 100
_BAR = 8


class StatusBar(Line):
    """The last result or a question on the left, gauges on the right.

    A question may need the whole row; then the gauges give way.
    """

    message: reactive[Content] = reactive(Content(""))
    """What happened last."""

    reading: reactive[Reading | None] = reactive(None)
    """The machine as of now; None until the first reading."""

    def left(self, width: int) -> list[Part]:
        """The message."""
        del width
        return [Part(Content(" ")), Part(self.message)]

    def right(self, width: int) -> list[Part]:
        """The gauges, with bars where there is room for them."""
        if self.reading is None:
            return []
        wide = self.size.width >= _WIDE
        gauges = [self._gauge("cpu", self.reading.cpu / 100, f"{self.reading.cpu:.0f}%", wide)]
        memory = self.reading.memory
        shown = part_of(memory.used, memory.total)
        gauges.append(self._gauge("ram", memory.used / memory.total, shown, wide))
        gauges += [
            self._gauge(
                "vram" if len(self.reading.gpus) == 1 else f"vram{index}",
                gpu.memory_used / gpu.memory_total,
                part_of(gpu.memory_used, gpu.memory_total)
                + (f" {gpu.load:.0f}%" if gpu.load is not None else ""),
                wide,
            )
            for index, gpu in enumerate(self.reading.gpus)
        ]
        # Too many for the row: the last ones are left out.
        while gauges and sum(gauge.cell_length + 3 for gauge in gauges) > width:
            gauges.pop()
        return [Part(Content("   ").join(gauges) + Content(" "))]

    @staticmethod
    def _gauge(name: str, fraction: float, figures: str, wide: bool) -> Content:
        label = Content.styled(f"{name} ", "$text-muted")
        if not wide:
            return label + Content(figures)
        return label + bar(fraction, _BAR, style=load_style(fraction)) + Content(f" {figures:>4}")
