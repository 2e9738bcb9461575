"""How busy the processor is."""

from __future__ import annotations

import psutil


class CpuMeter:
    """Reads the load of all cores together, each time since the reading before."""

    def __init__(self) -> None:
        # psutil measures from one call to the next, and answers 0 to the very first.
        psutil.cpu_percent(interval=None)

    def read(self) -> float:
        """Per cent of all cores, 0 to 100."""
        return psutil.cpu_percent(interval=None)


def core_count() -> int:
    """Physical cores, the number that inference scales with; logical ones where unknown."""
    return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1


def load_average() -> float | None:
    """Processes that ran or wanted to, in the mean of the last minute; None where not counted."""
    try:
        return psutil.getloadavg()[0]
    except OSError:
        return None
