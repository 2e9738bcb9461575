"""What an empty store says: what this machine is, and how to get a first model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static
from textual.worker import Worker, WorkerState

from dmr_tui.screens.pull_view import pull_content
from dmr_tui.screens.shell import report
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import long_size

if TYPE_CHECKING:
    from dmr_tui.system.sampler import Machine


_SUGGESTION = "smollm2"
_SHELL = (
    ('dmr run smollm2 "hello"', "one answer, no screen"),
    ("dmr package --gguf FILE NAME", "take a file that you have"),
    ("dmr serve", "OpenAI-compatible, for other programs"),
)


_INVITATION = Content("\n").join(
    [
        Content.assemble(
            ("  ⏎", "bold $primary"),
            (" gets it and opens the chat; you can write while it downloads", "$text-muted"),
        ),
        Content.styled(
            "  for example  smollm2  ·  gemma3  ·  hf.co/org/repo:Q4_K_M", "$text-muted"
        ),
    ]
)


class Welcome(VerticalScroll, can_focus=False):
    """Greets an empty store."""

    def __init__(self, workspace: Workspace) -> None:
        """A greeting on the machine and the pulls of a workspace."""
        super().__init__(id="welcome")
        self._workspace = workspace

    def compose(self) -> ComposeResult:
        """Facts, a field, and other ways in."""
        yield Static(_greeting(["looking at this machine …"]), id="welcome-machine")
        yield Input(placeholder=_SUGGESTION, id="welcome-name")
        yield Static(_INVITATION, id="welcome-pull")
        yield Static(_ways_in(), id="welcome-ways")

    def on_mount(self) -> None:
        """Take the focus, and look at the machine."""
        field = self.query_one(Input)
        field.border_title = "Name of a model"
        field.focus()
        self._look_at_machine()

    @property
    def named(self) -> str:
        """The name in the field; an empty field means the one that is suggested."""
        return self.query_one(Input).value.strip() or _SUGGESTION

    def show(self) -> None:
        """Show how far the first model is, or what may be typed."""
        active = self._workspace.pulls.active
        shown = pull_content(active[0], self.size.width) if active else _INVITATION
        self.query_one("#welcome-pull", Static).update(shown)

    @work(group="machine", exclusive=True, exit_on_error=False)
    async def _look_at_machine(self) -> None:
        machine = await self._workspace.machine()
        self.query_one("#welcome-machine", Static).update(_greeting(_facts(machine)))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """See `ShellScreen.on_worker_state_changed`."""
        if event.state is WorkerState.ERROR:
            report(self.app, event.worker.error)


def _greeting(facts: list[str]) -> Content:
    lines = [
        Content.styled("Welcome to dmr", "bold $text-primary"),
        Content.styled("AI models on your own machine, handled like packages.", "$text-muted"),
        Content(""),
        Content.styled("This machine", "bold"),
        *(Content(f"  {fact}") for fact in facts),
        Content(""),
        Content.styled("Your first model", "bold"),
    ]
    return Content("\n").join(lines)


def _facts(machine: Machine) -> list[str]:
    lines = []
    for gpu in machine.gpus:
        free = long_size(gpu.memory_total - gpu.memory_used)
        lines.append(f"{gpu.name} · {long_size(gpu.memory_total)}, {free} free")
    memory = machine.memory
    lines.append(f"{long_size(memory.total)} of memory, {long_size(memory.available)} free")
    lines.append(f"{machine.cores} cores · {long_size(machine.disk_free)} free on disk")
    return lines


def _ways_in() -> Content:
    width = max(len(command) for command, _ in _SHELL)
    lines = [Content.styled("Other ways in", "bold")]
    lines += [
        Content.assemble(
            "  ", (f"{command:<{width}}", "$text-accent"), (f"   {what}", "$text-muted")
        )
        for command, what in _SHELL
    ]
    return Content("\n").join(lines)
