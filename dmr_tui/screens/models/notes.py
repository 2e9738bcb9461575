"""What has been found out about the models so far: read once, and kept while the program runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dmr_tui.errors import DmrError
from dmr_tui.screens.library import Entry
from dmr_tui.screens.models.fits import Fits
from dmr_tui.screens.models.knowledge import Knowledge, next_context
from dmr_tui.screens.models.updates import Updates
from dmr_tui.screens.workspace import Workspace

if TYPE_CHECKING:
    from dmr_tui.engine.fit import Fit
    from dmr_tui.engine.profile import Profile

_DEFAULT_CONTEXT = 8192


class Notes:
    """Manifests, settings, contexts that somebody wants to see, and the last fits."""

    def __init__(self, workspace: Workspace, fits: Fits, updates: Updates) -> None:
        """Know nothing of any model yet."""
        self._workspace = workspace
        self._fits = fits
        self._updates = updates
        self._manifests: dict[str, Mapping[str, Any]] = {}
        self._profiles: dict[str, Profile] = {}
        self._contexts: dict[str, int] = {}
        self._last_fit: dict[str, Fit] = {}

    def of(self, entry: Entry) -> Knowledge:
        """Everything that is known of a model by now."""
        model_id = entry.model.id
        context = self.context(entry)
        fit = self._fits.get(model_id, context)
        if fit is not None:
            self._last_fit[model_id] = fit
        disk = self._workspace.library.disk
        freed = disk.freed_by([entry])
        return Knowledge(
            entry,
            fit or self._last_fit.get(model_id),
            context,
            self._manifests.get(model_id, {}),
            self._profiles.get(model_id),
            self._updates.has(entry),
            self._workspace.clocks.now(),
            shared=disk.taken_by([entry]) - freed,
            freed=freed,
        )

    def context(self, entry: Entry) -> int:
        """Tokens that its memory is shown for; 0: what it would be loaded with."""
        return self._contexts.get(entry.model.id, 0)

    def change_context(self, entry: Entry, step: int) -> None:
        """Have its memory shown for the next larger or smaller context."""
        known = self.of(entry)
        trained = known.fit.trained_context if known.fit else entry.context or 0
        planned = known.fit.context if known.fit else _DEFAULT_CONTEXT
        self._contexts[entry.model.id] = next_context(known.context or planned, trained, step)

    def has_read(self, entry: Entry) -> bool:
        """Whether its manifest and its settings are known."""
        return entry.model.id in self._manifests and entry.model.id in self._profiles

    async def read(self, entry: Entry) -> None:
        """Read its manifest and what is set for it."""
        from dmr_tui.engine.profile import Profile

        runner, model_id = self._workspace.runner, entry.model.id
        try:
            self._manifests[model_id] = await runner.manifest(model_id)
        except DmrError:
            # Not every runner gives manifests away; the pane then does without file sizes.
            self._manifests[model_id] = {}
        try:
            self._profiles[model_id] = await runner.profile(model_id)
        except DmrError:
            self._profiles[model_id] = Profile()

    def forget_settings(self, entry: Entry) -> None:
        """What is set for a model has become different."""
        self._profiles.pop(entry.model.id, None)
        self._contexts.pop(entry.model.id, None)
