"""Which models of a store fit this machine: their headers, read once, and the memory plan."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct

from dmr_tui.engine.fit import Fit, estimate, room_for
from dmr_tui.engine.plan import Memory, ModelShape, Verdict
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.room import free_memory, make_wish
from dmr_tui.errors import DmrError
from dmr_tui.runner.profiles import Profiles
from dmr_tui.runner.shapes import model_shape
from dmr_tui.settings import Settings
from dmr_tui.store.gguf import read_header
from dmr_tui.store.store import Store, StoredModel

_WRITE_SECONDS = 2.0
"""Between two writes of what was read; what is lost by that is read again."""


class Known(Struct, frozen=True, array_like=True):
    """What a plan needs of one model; a model's files never change, so it holds for ever."""

    shape: ModelShape | None
    """None: there is nothing to plan, as it is no GGUF model."""
    package_context: int | None = None


class _File(Struct, frozen=True, array_like=True, tag="shapes-1"):
    """The tag changes whenever the meaning of the shapes does."""

    models: dict[str, Known]


class Shapes:
    """The shapes of a store's models by id, kept in a file that may be deleted at any time."""

    def __init__(self, store: Store, file: Path) -> None:
        """Look at a store; nothing is read yet."""
        self._store = store
        self._file = file
        self._known: dict[str, Known] | None = None
        self._write_from = 0.0

    def get(self, ids: Iterable[str]) -> Mapping[str, Known]:
        """What is known of these models and maybe of others. Blocks while headers are read."""
        if self._known is None:
            self._known = self._read()
        known = self._known
        unknown = {model_id for model_id in ids if model_id not in known}
        if unknown:
            for model in self._store.models(unknown):
                known[model.id] = self._describe(model)
            # Thousands of models come in many small calls.
            if time.monotonic() >= self._write_from:
                self._write(known)
                self._write_from = time.monotonic() + _WRITE_SECONDS
        return known

    def _describe(self, model: StoredModel) -> Known:
        try:
            headers = [read_header(file) for file in self._store.weights(model)]
            shape = model_shape(headers) if headers else None
        except DmrError:
            shape = None
        return Known(shape, model.config.context_size)

    def _read(self) -> dict[str, Known]:
        try:
            return msgspec.msgpack.decode(self._file.read_bytes(), type=_File).models
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return {}  # not written yet, or not by this version

    def _write(self, known: dict[str, Known]) -> None:
        temporary = self._file.with_name(f"{self._file.name}.tmp-{os.urandom(5).hex()}")
        with suppress(OSError):  # without the file the headers are read again
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(msgspec.msgpack.encode(_File(known)))
            os.replace(temporary, self._file)


@dataclass(frozen=True)
class Surroundings:
    """What decides, beside the model itself, whether it fits.

    Attributes:
        memory: as the system tells it.
        plans: of the models in memory, by id: what each was loaded with, and whether it would
            leave for another one.
        profiles: settings of single models, by id.
        settings: of all models.
    """

    memory: Memory
    plans: Mapping[str, tuple[Verdict, bool]]
    profiles: Mapping[str, Profile]
    settings: Settings

    def fit(self, model_id: str, known: Known, context: int | None) -> Fit | None:
        """What loading a model would take; None when nothing can be known of it.

        Args:
            model_id: the model.
            known: what its header says.
            context: tokens; None for what it would be loaded with.
        """
        if known.shape is None:
            return None
        profile = self.profiles.get(model_id, Profile())
        layers = profile.gpu_layers
        wish = make_wish(
            known.shape,
            profile=context or profile.context_size,
            package=known.package_context,
            settings=self.settings.context_size,
            gpu_layers=self.settings.gpu_layers if layers is None else layers,
        )
        staying: list[Verdict] = []
        leaving: list[Verdict] = []
        for each, (verdict, leaves) in self.plans.items():
            (leaving if leaves or each == model_id else staying).append(verdict)
        return estimate(known.shape, wish, room_for(self.memory, staying, leaving))


class Fitting:
    """Tells of a store's models what loading them would take. Blocks: call it in a thread."""

    def __init__(self, store: Store, settings: Settings, profiles: Profiles, file: Path) -> None:
        """Look at a store.

        Args:
            store: the models.
            settings: of all models.
            profiles: of single models.
            file: where what was read of headers is kept.
        """
        self._shapes = Shapes(store, file)
        self._settings = settings
        self._profiles = profiles

    def fits(
        self, ids: Sequence[str], context: int | None, plans: Mapping[str, tuple[Verdict, bool]]
    ) -> list[Fit | None]:
        """The fit of each of these models.

        Args:
            ids: the models.
            context: tokens; None for what each would be loaded with.
            plans: of the models in memory, see `Surroundings`.
        """
        known, nothing = self._shapes.get(ids), Known(None)
        around = Surroundings(free_memory(), plans, self._profiles.all(), self._settings)
        return [around.fit(each, known.get(each, nothing), context) for each in ids]
