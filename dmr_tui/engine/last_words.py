"""Why a worker died: its exit status in words, what its log says, and what the kernel knows."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from dmr_tui.engine import watchdog
from dmr_tui.system.cgroup import memory_groups

MOST_LINES = 5
_TAIL_BYTES = 8192
_VMSTAT = Path("/proc/vmstat")
_CHATTER = "I "
"""How llama.cpp's informational lines begin in a worker's log, after their time."""

_NO_MEMORY = re.compile(r"(out of|insufficient) memory|to allocate|bad_alloc|MemoryError", re.I)
_STAMP = re.compile(r"^\[\d{4}-[^\]]*\] ")


@dataclass(frozen=True)
class Death:
    """How a worker ended.

    Attributes:
        cause: in one line.
        out_of_memory: the system took its memory away, or gave it no more.
    """

    cause: str
    out_of_memory: bool = False


class Postmortem:
    """Finds out how a worker ended; made before it is started."""

    def __init__(self, log: Path) -> None:
        """Note what is there already, in the log and in the kernel's count."""
        self._log = log
        self._start = log.stat().st_size if log.exists() else 0
        self._kills = out_of_memory_kills()

    def examine(self, status: int, *, stuck: bool) -> Death:
        """Explain an exit status; `stuck` when its parent had to end it."""
        if stuck:
            return Death(
                f"the worker was stuck: it said nothing for {watchdog.SILENCE:g} s and was ended"
            )
        if status == -signal.SIGKILL and out_of_memory_kills() > self._kills:
            return Death("the system ran out of memory and killed the worker", out_of_memory=True)
        words = last_words(self._log, self._start)
        cause = f"the worker died: {describe_exit(status)}"
        return Death(f"{cause}: {words}" if words else cause, lacks_memory(words))


def lacks_memory(words: str) -> bool:
    """Whether llama.cpp or Python say that an allocation was refused."""
    return _NO_MEMORY.search(words) is not None


def out_of_memory_kills() -> int:
    """How many processes Linux has killed to get memory: of this one's group, or else of all.

    Always 0 elsewhere.
    """
    told = [group.kills for group in memory_groups() if group.kills is not None]
    if told:
        return told[0]
    try:
        lines = _VMSTAT.read_text().splitlines()
    except OSError:
        return 0
    counts = (line.split()[1] for line in lines if line.startswith("oom_kill "))
    return int(next(counts, 0))


def describe_exit(status: int) -> str:
    """An exit status as `asyncio.subprocess` gives it: negative for a signal.

    >>> describe_exit(-11)
    'killed by signal 11 (SIGSEGV)'
    """
    if status >= 0:
        return f"exit status {status}"
    number = -status
    try:
        text = f"killed by signal {number} ({signal.Signals(number).name})"
    except ValueError:
        text = f"killed by signal {number}"
    return text


def last_words(log: Path, start: int) -> str:
    """The last lines of a log that are more than information, in one line; may be empty.

    Args:
        log: the file.
        start: where the worker's own part begins, in bytes.
    """
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            # A log that is shorter than it was has been begun anew in between.
            begin = start if start <= end else 0
            file.seek(max(begin, end - _TAIL_BYTES))
            cut = file.tell() > begin
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    if cut and len(lines) > 1:
        # The rest of a line does not show any more whether it is information.
        del lines[0]
    bare = [_STAMP.sub("", line) for line in lines]
    telling = [line.strip() for line in bare if line.strip() and not line.startswith(_CHATTER)]
    return " | ".join(telling[-MOST_LINES:])
