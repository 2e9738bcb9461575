"""What an empty store says: what this machine is, and how to get a first model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from dmr_tui.screens.pull_view import pull_content
from dmr_tui.screens.pulls import Pull
from dmr_tui.widgets.figures import long_size

if TYPE_CHECKING:
    from dmr_tui.system.sampler import Machine


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

    @dataclass
    class Named(Message):
        """A person named a first model."""

        name: str

    def compose(self) -> ComposeResult:
        """Facts, a field, and other ways in."""
        yield Static(id="welcome-machine")
        yield Input(placeholder="smollm2", id="welcome-name")
        yield Static(id="welcome-pull")
        yield Static(_ways_in(), id="welcome-ways")

    def on_mount(self) -> None:
        """Greet; the machine's facts follow."""
        self.show_machine(None)
        self.show_pull(None)
        self.query_one(Input).border_title = "Name of a model"

    def show_machine(self, machine: Machine | None) -> None:
        """Show the facts, as soon as they are known."""
        lines = _facts(machine) if machine else ["looking at this machine …"]
        facts = [Content("  ") + Content(line) for line in lines]
        content = [
            Content.styled("Welcome to dmr", "bold $text-primary"),
            Content.styled("AI models on your own machine, handled like packages.", "$text-muted"),
            Content(""),
            Content.styled("This machine", "bold"),
            *facts,
            Content(""),
            Content.styled("Your first model", "bold"),
        ]
        self.query_one("#welcome-machine", Static).update(Content("\n").join(content))

    def show_pull(self, pull: Pull | None) -> None:
        """Show how far the first model is, or what may be typed."""
        shown = _INVITATION if pull is None else pull_content(pull, self.size.width)
        self.query_one("#welcome-pull", Static).update(shown)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Get the model that was named; an empty field means the one that is suggested."""
        event.stop()
        self.choose()

    def choose(self) -> None:
        """Take the name in the field."""
        field = self.query_one(Input)
        self.post_message(self.Named(field.value.strip() or str(field.placeholder)))


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
