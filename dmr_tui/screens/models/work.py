"""What the keys of the Models screen do to models."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import work

from dmr_tui.errors import DmrError
from dmr_tui.screens import memory
from dmr_tui.screens.disk import Disk
from dmr_tui.screens.library import Entry
from dmr_tui.screens.messages import OpenChat
from dmr_tui.screens.models import jobs
from dmr_tui.screens.models.updates import Updates
from dmr_tui.screens.pulls import Pull
from dmr_tui.screens.shell import ShellScreen
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import long_size

if TYPE_CHECKING:
    from dmr_tui.screens.models.columns import Row
    from dmr_tui.screens.models.shelf import Shelf

_SHARED = "docker.io/ai/"
"""Where names without a registry and an organisation are; hardly anybody may push there."""


class ModelWork(ShellScreen):
    """The actions on the model under the cursor, or on all marked ones."""

    MODE: ClassVar[str] = "models"

    def __init__(self, workspace: Workspace) -> None:
        """Nothing is under way."""
        super().__init__(workspace)
        self._shelf: Shelf | None = None
        self._updates = Updates()

    @property
    def _row(self) -> Row | None:
        shelf = self._shelf
        return shelf.current if shelf is not None and shelf.is_mounted else None

    @property
    def _entry(self) -> Entry | None:
        """The model under the cursor."""
        row = self._row
        return row if isinstance(row, Entry) else None

    @property
    def _targets(self) -> list[Entry]:
        """What is meant: the marked models, else the one under the cursor."""
        marked = self._shelf.marked if self._shelf is not None and self._shelf.is_mounted else []
        return marked or ([self._entry] if self._entry else [])

    # Questions in the status bar.

    def _keep_question(self) -> None:
        """Forget what was asked if it was about other models."""
        notice, targets = self.workspace.notice, tuple(entry.name for entry in self._targets)
        if notice.deed in ("delete", "push") and notice.names != targets:
            self.workspace.say("")

    # In and out of memory.

    def action_toggle_load(self) -> None:
        """Load what is meant, or unload it if all of it is loaded."""
        targets = self._targets
        idle = [entry.name for entry in targets if entry.running is None]
        if idle:
            self._load(idle)
        elif targets:
            self._unload([entry.name for entry in targets])

    @work(group="load", exit_on_error=False)
    async def _load(self, names: list[str]) -> None:
        await jobs.load(self.workspace, names)

    @work(group="load", exit_on_error=False)
    async def _unload(self, names: list[str]) -> None:
        await memory.unload(self.workspace, names)

    @work(group="load", exit_on_error=False)
    async def action_pin(self) -> None:
        """Keep the model under the cursor in memory, or not any more."""
        if entry := self._entry:
            await memory.pin(self.workspace, entry.name, pinned=entry.pinned)

    # Deleting.

    def action_delete(self) -> None:
        """Ask once, then delete."""
        targets = self._targets
        names = [entry.name for entry in targets]
        question = _deletion(targets, self.workspace.library.disk)
        if targets and self.workspace.confirmed("delete", names, question):
            self._delete(targets)

    @work(group="delete", exit_on_error=False)
    async def _delete(self, entries: list[Entry]) -> None:
        await jobs.delete(self.workspace, entries)

    # Names and registries.

    def action_pull(self) -> None:
        """Open the line that takes the name of a model to get."""
        if shelf := self._shelf:
            shelf.open_line("pull")

    def action_tag(self) -> None:
        """Open the line that takes one more name for the model under the cursor."""
        if self._shelf and self._entry:
            self._shelf.open_line("tag")

    def line_submitted(self) -> None:
        """A name was typed; one that means nothing stays in the line, to be put right."""
        if self._shelf is None:
            return
        entry = self._entry
        what, name = self._shelf.line
        if name and what == "tag" and entry is not None:
            self._tag(entry.name, name)
            return
        if name and what == "pull":
            from dmr_tui.store.transfer.hub.name import parse_source  # not before the first frame

            try:
                parse_source(name, default_registry=self.workspace.settings.default_registry)
            except DmrError as error:
                self.workspace.fail(error)
                return
            self.pull_named(name)
        self._shelf.close_line()

    @work(group="pull", exit_on_error=False)
    async def pull_named(self, name: str) -> None:
        """Get a model."""
        await jobs.pull(self.workspace, name)

    @work(group="tag", exclusive=True, exit_on_error=False)
    async def _tag(self, name: str, target: str) -> None:
        if await jobs.tag(self.workspace, name, target) and self._shelf is not None:
            self._shelf.close_line()

    def action_push(self) -> None:
        """Ask once, with the registry's name, then push."""
        entry = self._entry
        if entry is None or not entry.model.tags:
            return
        tag = entry.model.tags[0]
        whose = "" if not tag.startswith(_SHARED) else " (t gives it a name of your own)"
        question = f"Push to {tag}{whose}?  p again pushes, esc does not; n gets models."
        if self.workspace.confirmed("push", [entry.name], question):
            self._push(entry.name)

    @work(group="push", exit_on_error=False)
    async def _push(self, name: str) -> None:
        await jobs.push(self.workspace, name)

    def action_update(self) -> None:
        """Look for something newer; where that is known, get it."""
        targets = self._targets
        newer = [entry for entry in targets if self._updates.has(entry)]
        for entry in newer:
            self.pull_named(entry.name)
        if targets and not newer:
            self._check(targets)

    def action_check_all(self) -> None:
        """Look for updates of all models."""
        self._check(self.workspace.library.entries)

    @work(group="updates", exclusive=True, exit_on_error=False)
    async def _check(self, entries: list[Entry]) -> None:
        await jobs.check(self.workspace, self._updates, entries)

    # Speed and settings.

    @work(group="benchmark", exit_on_error=False)
    async def action_benchmark(self) -> None:
        """Measure the model under the cursor."""
        if entry := self._entry:
            await jobs.benchmark(self.workspace, entry)

    @work(group="settings", exclusive=True, exit_on_error=False)
    async def action_settings(self) -> None:
        """Open the form with the settings of the model under the cursor."""
        from dmr_tui.screens.models.settings import edit_settings

        entry, shelf = self._entry, self._shelf
        if entry is not None and shelf is not None:
            context = shelf.known(entry).context
            if await edit_settings(self.app, self.workspace, entry.name, context=context):
                shelf.forget_settings(entry)

    # What is under way.

    def action_cancel(self) -> None:
        """Stop the pull under the cursor, else what was begun last."""
        pulls, row = self.workspace.pulls, self._row
        if isinstance(row, Pull):
            pulls.cancel(row)
        elif self.workspace.tasks.all:
            self.workspace.tasks.all[-1].cancel()
        elif pulls.active:
            pulls.cancel(pulls.active[-1])

    # Leaving to the chat.

    def chat_with(self, name: str) -> None:
        """Open the chat with a model, a new one if the open one is with another."""
        self.post_message(OpenChat(name, anew=True))


def _deletion(targets: list[Entry], disk: Disk) -> str:
    """The question before a deletion: what goes, and how much room that makes."""
    whole = [entry for entry in targets if len(entry.model.tags) <= 1]
    size = long_size(disk.freed_by(whole))
    if len(targets) == 1:
        name, others = targets[0].name, len(targets[0].model.tags) - 1
        if others > 0:
            more = "1 more name keeps" if others == 1 else f"{others} more names keep"
            return f"Delete the name {name}; {more} it?  d again deletes, esc keeps."
        return f"Delete {name}, {size}?  d again deletes, esc keeps."
    parts = [f"{len(whole)} models, {size}"] if len(whole) != 1 else [f"1 model, {size}"]
    names = len(targets) - len(whole)
    if names:
        parts.append(f"{names} names of models that keep others")
    return f"Delete {' and '.join(parts)}?  d again deletes, esc keeps."
