"""The endpoint's panel: on or off, where, for whom, and what other programs need to know."""

from __future__ import annotations

import secrets
from dataclasses import replace

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static
from textual.worker import Worker, WorkerState

from dmr_tui.actions import actions, bindings
from dmr_tui.errors import DmrError, InvalidRequestError
from dmr_tui.screens.endpoint import openai_base_url, shell_lines
from dmr_tui.screens.remembered import EndpointChoice
from dmr_tui.screens.shell import report
from dmr_tui.screens.workspace import Workspace
from dmr_tui.settings import check_key
from dmr_tui.widgets.panel import explain

_LOOPBACK = ("localhost", "::1")


class EndpointPanel(ModalScreen[None]):
    """Above any screen; what is typed counts when the endpoint is switched on."""

    CSS_PATH = "endpoint_panel.tcss"
    BINDINGS = bindings("endpoint")

    def __init__(self, workspace: Workspace) -> None:
        """The endpoint of a workspace."""
        super().__init__()
        self._workspace = workspace
        self._failure: DmrError | None = None

    def compose(self) -> ComposeResult:
        """State, three fields, and the lines for others."""
        choice = self._workspace.endpoint.choice
        with VerticalScroll(id="endpoint", can_focus=False) as box:
            box.border_title = "Endpoint for other programs"
            yield Static(id="endpoint-state")
            yield from _field("Address", choice.host, "host", "127.0.0.1: this machine alone")
            yield from _field("Port", str(choice.port), "port", "0: a free one")
            yield from _field("API key", choice.api_key, "key", "none: who can connect may ask")
            yield Static(id="endpoint-lines")

    def on_mount(self) -> None:
        """Show how it stands."""
        self.query_one("#endpoint-port", Input).focus()
        self._show()

    @on(Input.Changed)
    def _edited(self) -> None:
        self._show()

    def _typed(self, name: str) -> str:
        return self.query_one(f"#endpoint-{name}", Input).value.strip()

    def _choice(self) -> EndpointChoice:
        """What the fields say.

        Raises:
            InvalidRequestError: the port or the key is none.
        """
        port = self._typed("port")
        if not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise InvalidRequestError(f"{port!r} is no port", "a number from 0 to 65535")
        on = bool(self._workspace.endpoint.url)
        key = check_key(self._typed("key"), "API key")
        return EndpointChoice(on, self._typed("host"), int(port), key)

    @property
    def _differs(self) -> bool:
        """Whether the fields say something else than what holds."""
        held = self._workspace.endpoint.choice
        try:
            return replace(self._choice(), on=held.on) != held
        except InvalidRequestError:
            return True

    @property
    def _serving_elsewhere(self) -> str:
        """Where another process of this user serves; empty when none does."""
        status = self._workspace.status
        return status.endpoint if status is not None and status.kind != "embedded" else ""

    def _show(self) -> None:
        here = self._workspace.endpoint
        url = here.url or self._serving_elsewhere
        state = [self._state(url)]
        if self._failure is not None:
            state.append(Content.styled("× ", "$text-error") + explain(self._failure))
        anew = bool(here.url) and self._differs
        if anew:
            words = "! changed, but it does not hold yet: ⏎ listens anew with it"
            state.append(Content.styled(words, "$text-warning"))
        titles = {each.name: each.title.lower() for each in actions("endpoint")}
        if anew:
            titles["switch"] = "listen anew"
        keys = [f"{each.key} {titles[each.name]}" for each in actions("endpoint")]
        self.query_one("#endpoint").border_subtitle = " · ".join(keys)
        self.query_one("#endpoint-state", Static).update(Content("\n").join(state))
        self.query_one("#endpoint-lines", Static).update(_lines(url, here.choice.api_key))

    def _state(self, url: str) -> Content:
        if self._serving_elsewhere:
            return Content.styled(f"● another dmr serves at {url}", "$text-success")
        if not url:
            return Content.styled("○ off: only this program uses your models", "$text-muted")
        state = Content.styled(f"● on at {url}", "$text-success")
        choice = self._workspace.endpoint.choice
        loopback = choice.host in _LOOPBACK or choice.host.startswith("127.")
        if not loopback and not choice.api_key:
            warning = "\n! Everybody who reaches this address may ask; ^k makes a key."
            state += Content.styled(warning, "$text-warning")
        return state

    # What the keys do.

    @work(group="endpoint", exclusive=True, exit_on_error=False)
    async def action_switch(self) -> None:
        """On, or off; on anew when something else was typed."""
        workspace, here = self._workspace, self._workspace.endpoint
        self._failure = None
        try:
            choice = self._choice()
            if self._serving_elsewhere:
                raise InvalidRequestError(
                    "another dmr serves your models already", "stop it first: dmr stop-runner"
                )
            if here.url and choice == here.choice:
                await here.stop()
                workspace.say("The endpoint is off.")
            else:
                url = await here.start(workspace.runner, choice)
                workspace.say(f"Other programs: OPENAI_BASE_URL={openai_base_url(url)}")
        except DmrError as error:
            self._failure = error
        self._show()

    def action_new_key(self) -> None:
        """Make up a key; it counts when the endpoint is switched on with it."""
        self.query_one("#endpoint-key", Input).value = f"dmr-{secrets.token_urlsafe(24)}"

    def action_copy(self) -> None:
        """Copy the lines for a shell."""
        url = self._workspace.endpoint.url or self._serving_elsewhere
        if url:
            lines = shell_lines(url, self._workspace.endpoint.choice.api_key)
            self.app.copy_to_clipboard("\n".join(lines) + "\n")
            self.notify("The lines are in the clipboard.")
        else:
            self.notify("There is nothing to copy before it is on: ⏎.", severity="warning")

    def action_close(self) -> None:
        """Back to the screen below; what was typed is gone, which is said."""
        if self._differs and not self._serving_elsewhere:
            self._workspace.say("The endpoint is as it was: ⏎ makes a change hold.", "warning")
        self.dismiss()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """See `ShellScreen.on_worker_state_changed`."""
        if event.state is WorkerState.ERROR:
            report(self.app, event.worker.error)


def _field(label: str, value: str, name: str, placeholder: str) -> ComposeResult:
    with Container(classes="field"):
        yield Label(label)
        yield Input(value, id=f"endpoint-{name}", compact=True, placeholder=placeholder)


def _lines(url: str, api_key: str) -> Content:
    """What other programs need; before it is on, what it will be good for."""
    if not url:
        return Content.styled(
            "Once it is on, editors, agents and scripts that speak OpenAI's protocol "
            "use your models at this address; the lines for them appear here.",
            "$text-muted",
        )
    lines = shell_lines(url, api_key)
    bearer = f" -H 'Authorization: Bearer {api_key}'" if api_key else ""
    lines.append(f"curl {openai_base_url(url)}/models{bearer}")
    return Content("\n").join([Content.styled(line, "$text-accent") for line in lines])
