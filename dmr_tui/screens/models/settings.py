"""A form for the settings of one model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from dmr_tui.engine.profile import Profile
from dmr_tui.errors import DmrError, InvalidRequestError
from dmr_tui.screens.models.capabilities import capabilities
from dmr_tui.screens.models.settings_fields import (
    FIELDS,
    inherited,
    read_settings,
    write_settings,
)
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.printable import printable

Save = Callable[[Profile], Awaitable[None]]
_NOTE = "An empty field takes what it shows; the brackets say from where."


class SettingsScreen(ModalScreen[bool]):
    """The settings of a model; saved all at once, and only if all of them make sense."""

    CSS_PATH = "settings.tcss"
    BINDINGS: ClassVar = [
        Binding("escape", "leave", "Leave", priority=True),
        Binding("down", "app.focus_next", "Next", priority=True),
        Binding("up", "app.focus_previous", "Previous", priority=True),
        Binding("enter,ctrl+s", "save", "Save", priority=True),
    ]

    def __init__(
        self,
        name: str,
        profile: Profile,
        save: Save,
        *,
        inherited: Mapping[str, str],
        context: int = 0,
    ) -> None:
        """Show settings.

        Args:
            name: the model's.
            profile: what is set.
            save: keeps what was written; what it raises is shown in the form.
            inherited: what holds where nothing is set, by the fields' keys.
            context: tokens to propose where no context is set; 0: none.
        """
        super().__init__()
        self._model = name
        self._inherited = inherited
        self._profile = profile
        self._save = save
        self._texts = write_settings(profile)
        if context:
            self._texts["context_size"] = str(context)

    def compose(self) -> ComposeResult:
        """A line for each setting."""
        with Vertical(id="settings") as box:
            box.border_title = f"Settings of {printable(self._model)}"
            box.border_subtitle = "⏎ saves · ↑↓ moves · esc leaves"
            with VerticalScroll(id="settings-fields", can_focus=False):
                for field in FIELDS:
                    with Horizontal(classes="setting"):
                        yield Static(field.label, classes="setting-label")
                        yield Input(
                            self._texts[field.key],
                            placeholder=self._inherited[field.key],
                            id=f"setting-{field.key}",
                            compact=True,
                        )
                        yield Static(field.explanation, classes="setting-help")
            yield Static(Content.styled(_NOTE, "$text-muted"), id="settings-note")

    def action_leave(self) -> None:
        """Change nothing."""
        self.dismiss(False)

    @work(group="save", exclusive=True, exit_on_error=False)
    async def action_save(self) -> None:
        """Keep what is written, if all of it makes sense."""
        texts = {field.key: self._field(field.key).value for field in FIELDS}
        try:
            await self._save(read_settings(texts, self._profile))
        except DmrError as error:
            self._refuse(error)
        else:
            self.dismiss(True)

    def _field(self, key: str) -> Input:
        return self.query_one(f"#setting-{key}", Input)

    def _refuse(self, error: DmrError) -> None:
        """Say what is wrong, where it is."""
        words = f"{error.message}  {error.hint}" if error.hint else error.message
        note = self.query_one("#settings-note", Static)
        note.update(Content.styled(printable(words), "$text-error"))
        fault = error.param if isinstance(error, InvalidRequestError) else None
        for field in FIELDS:
            self._field(field.key).set_class(field.key == fault, "-wrong")
            if field.key == fault:
                self._field(field.key).focus()


async def edit_settings(
    app: App[None], workspace: Workspace, name: str, *, context: int = 0
) -> bool:
    """Open the form for a model and wait until it is left; whether something was saved.

    Args:
        app: shows the form.
        workspace: whose runner has the model.
        name: the model's.
        context: tokens to propose where no context is set; 0: none.
    """
    runner, status = workspace.runner, workspace.status
    try:
        profile = await runner.profile(name)
        model = await runner.model(name)
    except DmrError as error:
        workspace.fail(error)
        return False

    async def save(changed: Profile) -> None:
        await runner.configure(name, changed, replace=True)

    known = workspace.settings if status is not None and status.kind == "embedded" else None
    pools = "embedding" in capabilities(model)
    form = SettingsScreen(
        name,
        profile,
        save,
        inherited=inherited(model.config, known, pools=pools),
        context=context,
    )
    saved = await app.push_screen_wait(form)
    if saved:
        await workspace.library.refresh_running(runner)
        workspace.say(f"The settings of {name} hold from its next load on.")
    return bool(saved)
