"""Which program is the llama-server: one on PATH, a configured one, or the xllamacpp wheel."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from dmr_tui.engine.xllamacpp_server import MODULE, PACKAGE

NAME = "llama-server"


@dataclass(frozen=True)
class Program:
    """How to start a llama-server.

    Attributes:
        command: its words, in front of the options.
        shown: where it comes from, for people.
    """

    command: tuple[str, ...]
    shown: str


def find_server(configured: str) -> Program | None:
    """The server to use.

    Args:
        configured: a program, the folder it is in, or `xllamacpp`; empty: the program on PATH, or
            else xllamacpp.
    """
    if configured == PACKAGE:
        return _wheel()
    program = _find_program(configured)
    if program is not None:
        return Program((str(program),), str(program))
    return None if configured else _wheel()


def _wheel() -> Program | None:
    """The server in the xllamacpp wheel; finding out imports nothing of it."""
    if importlib.util.find_spec(PACKAGE) is None:
        return None
    version = importlib.metadata.version(PACKAGE)
    return Program((sys.executable, "-P", "-m", MODULE), f"{PACKAGE} {version}")


def _find_program(configured: str) -> Path | None:
    if not configured:
        found = shutil.which(NAME)
        return Path(found) if found else None
    path = Path(configured).expanduser()
    program = path / NAME if path.is_dir() else path
    return program if os.access(program, os.X_OK) and program.is_file() else None
