"""GPUs of AMD and Intel with memory of their own, as Linux shows them in `/sys/class/drm`.

Files: `amdgpu` has `mem_info_vram_*` and `gpu_busy_percent`, Intel's drivers have `lmem_*_bytes`;
both have sensors below `hwmon` (millidegrees, microwatts).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

DRM = Path("/sys/class/drm")

_CARD = re.compile(r"card\d+")
_MAKERS = {"0x1002": "AMD", "0x8086": "Intel"}
_MILLIDEGREES = 1000
_MICROWATTS = 1_000_000


class Card:
    """One GPU's files. Reading them blocks for less than a millisecond."""

    def __init__(self, folder: Path, maker: str) -> None:
        """The card in a folder like `/sys/class/drm/card0`."""
        self._folder = folder
        self._device = folder / "device"
        self._sensors = next(iter(sorted(self._device.glob("hwmon/hwmon*"))), None)
        self.name = _text(self._device / "product_name") or f"{maker} GPU"
        """As the driver calls it, or by its maker."""
        self.memory_total = self._first("mem_info_vram_total", "lmem_total_bytes") or 0
        """Bytes of its own memory; 0: it has none."""

    def memory_used(self) -> int:
        """Bytes that are taken."""
        used = self._first("mem_info_vram_used")
        if used is not None:
            return used
        left = self._first("lmem_avail_bytes")
        return 0 if left is None else max(self.memory_total - left, 0)

    def load(self) -> float | None:
        """Per cent of time with work on it."""
        busy = self._first("gpu_busy_percent")
        return None if busy is None else float(busy)

    def temperature(self) -> float | None:
        """Degrees Celsius."""
        return self._sensor(_MILLIDEGREES, "temp1_input")

    def power(self) -> float | None:
        """Watts that it draws."""
        return self._sensor(_MICROWATTS, "power1_average", "power1_input")

    def power_limit(self) -> float | None:
        """Watts that it may draw."""
        return self._sensor(_MICROWATTS, "power1_cap", "power1_max")

    def _first(self, *names: str) -> int | None:
        found = (_number(place / name) for name in names for place in (self._device, self._folder))
        return next((value for value in found if value is not None), None)

    def _sensor(self, scale: int, *names: str) -> float | None:
        if self._sensors is None:
            return None
        found = (_number(self._sensors / name) for name in names)
        return next((value / scale for value in found if value is not None), None)


def find_cards(folder: Path = DRM) -> list[Card]:
    """The cards that have memory of their own and tell of it; none on other systems."""
    return [card for card in _cards(folder) if card.memory_total]


def _cards(folder: Path) -> Iterator[Card]:
    try:
        names = sorted(each.name for each in folder.iterdir())
    except OSError:
        return
    for name in names:
        maker = _MAKERS.get(_text(folder / name / "device" / "vendor"))
        if maker is not None and _CARD.fullmatch(name):
            yield Card(folder / name, maker)


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdigit() else None


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
