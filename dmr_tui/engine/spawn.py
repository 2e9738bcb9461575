"""Start a worker process with what it is allowed and what it should know."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

import psutil

_MODULE = "dmr_tui.engine.llamacpp.main"
_TETHER = "dmr_tui.engine.tether"
_TELLING = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|[A-Za-z0-9][A-Za-z0-9./-]*:[A-Za-z0-9.-]+")
"""Names of which no two become the same file name."""
_LONGEST_SLUG = 150


async def spawn_worker(log: Path) -> Process:
    """Start a worker that listens on its standard input.

    Args:
        log: where its standard error goes, at the end of what is there.

    Raises:
        OSError: it cannot be started, or the log cannot be written.
    """
    with log.open("ab") as stderr:
        # A session of its own: Ctrl-C at the terminal is for the parent alone. `-P`: the current
        # folder, which may be anyone's, is no place to import from.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _MODULE),
            stdin=PIPE,
            stdout=PIPE,
            stderr=stderr,
            env=_environment(),
            start_new_session=True,
        )
    _limit_memory(process.pid)
    return process


async def spawn_server(command: list[str], log: Path) -> Process:
    """Start a program that ends with this process; all that it prints goes to its log.

    Raises:
        OSError: it cannot be started, or the log cannot be written.
    """
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _TETHER, str(os.getpid()), *command),
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
            env=_environment(),
            start_new_session=True,
        )
    _limit_memory(process.pid)
    return process


def resident_memory(pid: int) -> int:
    """Bytes of main memory that a process holds; 0 when there is none of this id."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def log_file(logs: Path, name: str) -> Path:
    """Where the log of a model is; each has its own."""
    slug = re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("._")[:_LONGEST_SLUG]
    if not _TELLING.fullmatch(name) or len(slug) < len(name):
        slug += f"_{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"
    return logs / f"{slug.lstrip('_')}.log"


def _limit_memory(pid: int) -> None:
    """Let a process have no more memory of its own than the machine has, swap included.

    Linux hands out addresses for more than that, and then kills whom it likes when they are used. A
    model's weights do not count: they are a mapped file.
    """
    if sys.platform == "linux":
        most = psutil.virtual_memory().total + psutil.swap_memory().total
        # Whoever may not, as its own limit is lower, has that; and the process may be gone again.
        with suppress(psutil.Error):
            psutil.Process(pid).rlimit(psutil.RLIMIT_DATA, (most, most))


def _environment() -> dict[str, str]:
    """The worker's environment.

    OpenMP threads that spin while they wait cost others their CPU, and on a busy machine their own
    speed: a short spin is nearly as fast on a quiet one. A native crash prints no backtrace: that
    would start a debugger.
    """
    environment = dict(os.environ)
    if not environment.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        environment["GOMP_SPINCOUNT"] = "1000"
    environment.setdefault("GGML_NO_BACKTRACE", "1")
    return environment
