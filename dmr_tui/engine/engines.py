"""Which engine runs a model: the built-in one, or llama-server."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from pathlib import Path

import psutil

from dmr_tui.engine.backend import Backend
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.llama_server import Connect, LlamaServer
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.programs import NAME, find_server
from dmr_tui.engine.protocol import Load
from dmr_tui.engine.worker import BACKEND, Worker
from dmr_tui.errors import EngineError, InvalidRequestError
from dmr_tui.settings import Settings

_PACKAGE, _DISTRIBUTION = "llama_cpp", "llama-cpp-python"


class Engines:
    """Makes the process for a model.

    The built-in engine is first choice. llama-server runs what a profile gives to it, models with
    images where it is there, everything where llama-cpp-python is not installed, and what the
    built-in engine dies of or cannot load.
    """

    def __init__(self, settings: Settings, logs: Path, connect: Connect | None) -> None:
        """Take the settings, the folder of the logs, and who speaks HTTP, if anybody does."""
        self._settings = settings
        self._logs = logs
        self._connect = connect

    def make(self, files: ModelFiles, profile: Profile) -> Backend:
        """A process for a model; not started yet.

        Raises:
            InvalidRequestError: there is no engine of the name in the profile.
            EngineError: the engine is not installed.
        """
        load = self._load(files, profile)
        wanted = profile.backend
        if wanted not in (None, BACKEND, NAME):
            raise InvalidRequestError(
                f"there is no engine {wanted!r}", f"{BACKEND} and {NAME} can be chosen"
            )
        has_own = importlib.util.find_spec(_PACKAGE) is not None
        if wanted == NAME or (wanted is None and (files.mmproj is not None or not has_own)):
            server = self._server(files, load)
            if server is not None:
                return server
            if wanted == NAME:
                raise EngineError(
                    f"{NAME} is not installed", "put it on PATH, or `pip install xllamacpp`"
                )
        if not has_own:
            raise EngineError(
                f"{_DISTRIBUTION} is not installed",
                f"run `pip install {_DISTRIBUTION}`, or `pip install xllamacpp` where there is no"
                " compiler",
            )
        return Worker(files, load, self._logs)

    def other(self, files: ModelFiles, failed: Backend, profile: Profile) -> Backend | None:
        """Who else may load a model that the built-in engine could not, if nobody chose that."""
        if failed.name != BACKEND or profile.backend is not None:
            return None
        return self._server(files, failed.load)

    def states(self) -> dict[str, str]:
        """Engines and their state, in the words of `dmr status`; imports none of them."""
        found = {BACKEND: "Not Installed"}
        if importlib.util.find_spec(_PACKAGE) is not None:
            version = importlib.metadata.version(_DISTRIBUTION)
            found[BACKEND] = f"Running: {BACKEND} {version}"
        program = find_server(self._settings.llama_server)
        if program is not None:
            found[NAME] = f"Installed: {program.shown}"
        return found

    def _server(self, files: ModelFiles, load: Load) -> LlamaServer | None:
        program = find_server(self._settings.llama_server)
        if program is None or self._connect is None:
            return None
        return LlamaServer(program, files, load, self._logs, self._connect)

    def _load(self, files: ModelFiles, profile: Profile) -> Load:
        layers = profile.gpu_layers
        return Load(
            gguf=str(files.gguf),
            chat_template=None if files.chat_template is None else str(files.chat_template),
            profile_context=profile.context_size,
            package_context=files.context_size,
            settings_context=self._settings.context_size,
            threads=_positive(profile.threads, self._settings.threads) or _physical_cores(),
            gpu_layers=self._settings.gpu_layers if layers is None else layers,
            adapters=[str(file) for file in files.adapters],
            context_shift=bool(profile.context_shift),
        )


def _positive(*wishes: int | None) -> int:
    """The first of some numbers that says something; 0 when none does."""
    return next((wish for wish in wishes if wish is not None and wish > 0), 0)


def _physical_cores() -> int:
    """Cores that this process may use, without counting hyper-threads."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(psutil.cpu_count(logical=False) or 1, allowed or 1))
