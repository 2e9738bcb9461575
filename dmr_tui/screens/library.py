"""The models as the screens show them: what is stored, and what of it is in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dmr_tui.errors import DmrError
from dmr_tui.widgets.figures import parse_size

if TYPE_CHECKING:
    from dmr_tui.engine.profile import RunningModel
    from dmr_tui.runner.base import Model, Runner
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
        running: its worker, if it is in memory or on its way.
        last_used: Unix time of its last answer as far as this program has seen it.
    """

    name: str
    model: Model
    size: int
    context: int | None
    running: RunningModel | None = None
    last_used: float | None = None

    @property
    def state(self) -> State:
        """Where it is: on disk only, or in memory."""
        if self.running is None:
            return "idle"
        states: dict[str, State] = {"loading": "loading", "unloading": "unloading"}
        return states.get(self.running.state, "ready")

    def matches(self, words: str) -> bool:
        """Whether every word is found in its names or its facts."""
        config = self.model.config
        facts = [self.name, *self.model.tags, config.architecture, config.parameters]
        facts += [config.quantization, "loaded" if self.running else "idle"]
        text = " ".join(facts).lower()
        return all(word in text for word in words.lower().split())


class Library:
    """The runner's models and which of them are in memory, read when asked."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """An empty library.

        Args:
            changed: called when what it holds has become different.
        """
        self._changed = changed
        self._last_used: dict[str, float] = {}
        self._models: list[Model] | None = None
        self._running: list[RunningModel] = []
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
        """All stored models."""
        running = {worker.id: worker for worker in self._running}
        return [
            Entry(
                name=familiar(model),
                model=model,
                size=parse_size(model.config.size),
                context=_context(model),
                running=running.get(model.id),
                last_used=self._last_used.get(model.id),
            )
            for model in self._models or []
        ]

    def find(self, name: str) -> Entry | None:
        """The entry that a name means."""
        for entry in self.entries:
            if name in (entry.name, entry.model.id, *entry.model.tags):
                return entry
        reference = _reference(name)
        canonical = str(reference) if reference else ""
        return next((entry for entry in self.entries if canonical in entry.model.tags), None)

    async def refresh(self, runner: Runner) -> None:
        """Read the stored models and the running ones."""
        await self._read(runner, models=True)

    async def refresh_running(self, runner: Runner) -> None:
        """Read which models are in memory: cheap, for once in a while."""
        await self._read(runner, models=False)

    async def _read(self, runner: Runner, *, models: bool) -> None:
        before = (self._models, self._running, self.failure)
        try:
            if models:
                self._models = await runner.models()
            self._running = await runner.running()
            self.failure = None
        except DmrError as error:
            self.failure = error
        for worker in self._running:
            if worker.last_used is not None:
                self._last_used[worker.id] = worker.last_used
        if (self._models, self._running, self.failure) != before:
            self._changed()


def familiar(model: Model) -> str:
    """The shortest name of a model; the front of its id where it has none."""
    if not model.tags:
        return model.id.removeprefix("sha256:")[:12]
    return familiar_name(model.tags[0])


def familiar_name(name: str) -> str:
    """The shortest text for a name; a name that is no reference stays as it is."""
    reference = _reference(name)
    return reference.familiar() if reference else name


def _reference(name: str) -> Reference | None:
    from dmr_tui.store.reference import parse_reference  # not before the first frame

    try:
        return parse_reference(name)
    except DmrError:
        return None


def _context(model: Model) -> int | None:
    """What the package asks for, else what the weights were trained with."""
    if model.config.context_size:
        return model.config.context_size
    facts: dict[str, Any] = model.config.gguf
    text = facts.get(f"{model.config.architecture}.context_length", "")
    return int(text) if str(text).isdigit() else None
