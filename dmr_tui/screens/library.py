"""The models as the screens show them: what is stored, and what of it is in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from dmr_tui.errors import DmrError
from dmr_tui.screens.disk import Disk
from dmr_tui.widgets.figures import parse_size

if TYPE_CHECKING:
    from dmr_tui.engine.profile import RunningModel
    from dmr_tui.runner.base import Model, Runner
    from dmr_tui.runner.measured import Measured
    from dmr_tui.store.reference import Reference

State = Literal["idle", "loading", "ready", "unloading"]


@dataclass(frozen=True)
class Entry:
    """One stored model.

    Attributes:
        name: shortest name that means it.
        model: what the runner says about it.
        size: bytes of its weights; 0 where unknown.
        context: tokens it can attend to; None where unknown.
        text: its names and facts in lower case: where words are looked for.
        running: its worker, if it is in memory or on its way.
        measured: how fast it was here, and when; None where nothing is known.
        last_used: Unix time of its last answer; None where it is not known.
    """

    name: str
    model: Model
    size: int
    context: int | None
    text: str = ""
    running: RunningModel | None = None
    measured: Measured | None = None
    last_used: float | None = None

    @property
    def state(self) -> State:
        """Where it is: on disk only, or in memory."""
        if self.running is None:
            return "idle"
        states: dict[str, State] = {"loading": "loading", "unloading": "unloading"}
        return states.get(self.running.state, "ready")

    @property
    def names(self) -> str:
        """Its name and, where it has more, those: each can be looked for."""
        if len(self.model.tags) < 2:
            return self.name
        others = dict.fromkeys(map(familiar_name, self.model.tags))
        others.pop(self.name, None)
        return f"{self.name}  also {', '.join(others)}" if others else self.name

    @property
    def pinned(self) -> bool:
        """It stays in memory until somebody says otherwise."""
        return self.running is not None and self.running.keep_alive < 0


class Library:
    """The runner's models and which of them are in memory, read when asked.

    What is shown is put together once for each change, so that a list of thousands costs nothing
    while nothing happens.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        """An empty library.

        Args:
            changed: called when what it holds has become different.
        """
        self._changed = changed
        self._last_used: dict[str, float] = {}
        self._models: list[Model] | None = None
        self._running: list[RunningModel] = []
        self._measured: Mapping[str, Measured] = {}
        self._stored: list[Entry] = []
        self._entries: list[Entry] = []
        self._places: dict[str, int] = {}
        self.disk = Disk()
        """What the models take of it."""
        self.taken = 0
        """Bytes that all of them take."""
        self.failure: DmrError | None = None
        """Why the last reading failed; what was read before it is kept."""

    @property
    def loaded(self) -> bool:
        """Whether the models have been read at least once."""
        return self._models is not None

    @property
    def running(self) -> list[RunningModel]:
        """The models in memory, and those on their way there."""
        return self._running

    @property
    def entries(self) -> list[Entry]:
        """All stored models; the same list until something about them is different."""
        return self._entries

    def find(self, name: str) -> Entry | None:
        """The entry that a name means."""
        place = self._places.get(name)
        if place is None and (reference := _reference(name)):
            place = self._places.get(str(reference))
        return None if place is None else self._entries[place]

    async def refresh(self, runner: Runner) -> None:
        """Read the stored models, what was measured of them, and the running ones."""
        await self._read(runner, models=True)

    async def refresh_running(self, runner: Runner) -> None:
        """Read which models are in memory: cheap, for once in a while."""
        await self._read(runner, models=False)

    async def _read(self, runner: Runner, *, models: bool) -> None:
        before = (self._models, self._running, self._measured, self.failure)
        try:
            if models:
                self._models = await runner.models()
                self.disk = Disk(await runner.files())
            self._running = await runner.running()
            if models or self._running != before[1]:
                self._measured = await runner.measured()
            self.failure = None
        except DmrError as error:
            self.failure = error
        for worker in self._running:
            if worker.last_used is not None:
                self._last_used[worker.id] = worker.last_used
        if self._models != before[0]:
            self._stored = [_entry(model) for model in self._models or []]
            self._places = _places(self._stored)
            self.taken = self.disk.taken_by(self._stored)
        if (self._models, self._running, self._measured, self.failure) != before:
            self._join()
            self._changed()

    def _join(self) -> None:
        """Put stored models together with their workers and what was measured."""
        running = {worker.id: worker for worker in self._running}
        moved = {*running, *self._measured, *self._last_used}
        self._entries = [
            self._joined(entry, running.get(entry.model.id)) if entry.model.id in moved else entry
            for entry in self._stored
        ]

    def _joined(self, entry: Entry, worker: RunningModel | None) -> Entry:
        measured = self._measured.get(entry.model.id)
        times = [self._last_used.get(entry.model.id), measured.last_used if measured else None]
        used = max((time for time in times if time), default=None)
        return replace(entry, running=worker, measured=measured, last_used=used)


def familiar(model: Model) -> str:
    """The shortest name of a model; the front of its id where it has none."""
    if not model.tags:
        return model.id.removeprefix("sha256:")[:12]
    return familiar_name(model.tags[0])


def familiar_name(name: str) -> str:
    """The shortest text for a name; a name that is no reference stays as it is."""
    reference = _reference(name)
    return reference.familiar() if reference else name


def short_name(name: str, width: int = 0) -> str:
    """A name as it fits into a column: without the middle of a long path.

    Args:
        name: the whole name.
        width: cells; where they are too few, the last part is told before the first. 0: enough.
    """
    parts = name.replace("huggingface.co/", "hf.co/").split("/")
    short = "/".join([parts[0], "…", parts[-1]] if len(parts) > 2 else parts)
    return f"…/{parts[-1]}" if 0 < width < len(short) and len(parts) > 1 else short


def _entry(model: Model) -> Entry:
    config = model.config
    name = familiar(model)
    facts = [
        name,
        name.replace("huggingface.co/", "hf.co/"),
        *model.tags,
        config.architecture,
        config.parameters,
        config.quantization,
    ]
    facts.append(config.gguf.get("general.name", ""))
    return Entry(
        name,
        model,
        parse_size(config.size),
        config.context_size or config.trained_context,
        " ".join(facts).lower(),
    )


def _places(entries: list[Entry]) -> dict[str, int]:
    """Where each name and id is in a list; short names count before ids and whole names."""
    places: dict[str, int] = {}
    for index, entry in enumerate(entries):
        places.setdefault(entry.name, index)
    for index, entry in enumerate(entries):
        for name in (entry.model.id, *entry.model.tags):
            places.setdefault(name, index)
    return places


def _reference(name: str) -> Reference | None:
    from dmr_tui.store.reference import parse_reference  # not before the first frame

    try:
        return parse_reference(name)
    except DmrError:
        return None
