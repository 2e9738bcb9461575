"""llama.cpp's C interface, as llama-cpp-python binds it, and what it says while it works."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, TextIO


def _import_bindings() -> Any:
    """The module of bindings, without its package's `__init__`.

    That would import the high-level classes with numpy and much else, which take three times as
    long as everything that is needed here. The bare package is gone again afterwards, so that
    others who import it get all of it.
    """
    name = "llama_cpp"
    spec = importlib.util.find_spec(name)
    if name in sys.modules or spec is None:
        return importlib.import_module(f"{name}.{name}")
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules[name] = package
    try:
        return importlib.import_module(f"{name}.{name}")
    finally:
        del sys.modules[name]


llama = _import_bindings()

_DEBUG, _INFO, _WARNING, _ERROR, _CONTINUED = range(1, 6)
INFORMATION = "I"
_MARKS = {_INFO: INFORMATION, _WARNING: "W", _ERROR: "E"}
_SOURCE = re.compile(r"^(\w+: )+(error loading model: )?(\w+: )?")
"""Function names in front of a message, e.g. `llama_model_load: error loading model: `."""


def log_line(mark: str, text: str) -> str:
    """A line of the log with its time and level; see `runner.activity.log_lines`."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"[{time}] {mark} {text}"


class NativeLog:
    """Writes llama.cpp's messages to a stream, each with its level, and remembers the errors.

    Installed for the rest of the process; there is one at a time.
    """

    _installed: NativeLog | None = None
    """Keeps the callback alive: C holds no reference to it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._level = _INFO
        self._errors: list[str] = []
        self._callback = llama.llama_log_callback(self._write)
        llama.llama_log_set(self._callback, None)
        NativeLog._installed = self

    def forget(self) -> None:
        """Start anew: what follows is another job."""
        self._errors.clear()

    @property
    def reason(self) -> str | None:
        """The first error since the last `forget`: what follows it only passes it on."""
        return _SOURCE.sub("", self._errors[0]).strip() if self._errors else None

    @classmethod
    def complaint(cls, call: Callable[[], object]) -> str:
        """What llama.cpp says while it does something that fails, and what it prints itself.

        Nothing of it goes to the log, nor to standard error, where nothing else may be written
        meanwhile.
        """
        said: list[str] = []
        callback = llama.llama_log_callback(
            lambda _level, text, _: said.append(text.decode("utf-8", "replace"))
        )
        llama.llama_log_set(callback, None)
        standard_error = os.dup(2)
        try:
            with tempfile.TemporaryFile() as printed:
                os.dup2(printed.fileno(), 2)
                call()
                printed.seek(0)
                said.append(printed.read().decode("utf-8", "replace"))
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
            usual = cls._installed
            llama.llama_log_set(None if usual is None else usual._callback, None)
        return "".join(said)

    def _write(self, level: int, text: bytes, _: object) -> None:
        continued = level == _CONTINUED
        self._level = self._level if continued else level
        if self._level not in _MARKS:
            return
        line = text.decode("utf-8", "replace")
        if self._level == _ERROR and not continued:
            self._errors.append(line)
        self._out.write(line if continued else log_line(_MARKS[self._level], line))
        self._out.flush()
