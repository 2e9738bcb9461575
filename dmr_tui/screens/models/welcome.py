"""What an empty store says: what this machine is, and how to get to a first answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker, WorkerState

from dmr_tui.actions import bindings
from dmr_tui.errors import DmrError
from dmr_tui.screens.models.suggestions import BUILT_IN, Choice, suggestions
from dmr_tui.screens.pull_view import pull_content
from dmr_tui.screens.shell import report
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.field import Field
from dmr_tui.widgets.figures import long_size

if TYPE_CHECKING:
    from dmr_tui.runner.base import Importable
    from dmr_tui.system.sampler import Machine

_PROGRAMS = {
    "ollama": "Ollama",
    "huggingface": "the Hugging Face cache",
    "lmstudio": "LM Studio",
    "ramalama": "RamaLama",
}
_SHELL = (
    ('dmr run smollm2 "hello"', "one answer, no screen"),
    ("dmr package --gguf FILE NAME", "take a file that you have"),
    ("dmr serve", "OpenAI-compatible, for other programs"),
)
_INVITATION = Content.assemble(
    ("⏎", "bold $primary"),
    (" begins; you can write while it downloads  ", "$text-muted"),
    ("↑↓", "bold $primary"),
    (" chooses another", "$text-muted"),
)
_EXAMPLES = "or a name: gemma3:4b · hf.co/org/repo:Q4_K_M"


class Welcome(VerticalScroll, can_focus=False):
    """Greets an empty store."""

    BINDINGS = bindings("welcome")

    class Taken(Message):
        """A choice was clicked."""

    class Moved(Message):
        """Another choice is highlighted, or another name is written."""

    def __init__(self, workspace: Workspace) -> None:
        """A greeting on the machine and the pulls of a workspace."""
        super().__init__(id="welcome")
        self._workspace = workspace
        self._choices = [BUILT_IN]

    def compose(self) -> ComposeResult:
        """Facts, what to begin with, a field, and other ways in."""
        yield Static(_greeting("looking at this machine …"), id="welcome-machine")
        yield _Choices(id="welcome-choices")
        yield Field(placeholder=_EXAMPLES, id="welcome-name")
        yield Static(_INVITATION, id="welcome-pull")
        yield Static(_ways_in(), id="welcome-ways")

    def on_mount(self) -> None:
        """Take the focus, and look at the machine."""
        self.query_one(Input).focus()
        self._offer()
        self._look_around()

    @property
    def chosen(self) -> Choice:
        """What to begin with: the name in the field, else what is highlighted."""
        name = self.query_one(Input).value.strip()
        if name:
            return Choice(name, 0, "")
        return self._choices[self._list.highlighted or 0]

    @property
    def _list(self) -> OptionList:
        return self.query_one(OptionList)

    def show(self) -> None:
        """Show how far the first model is, or what may be typed."""
        active = self._workspace.pulls.active
        shown = pull_content(active[0], self.size.width) if active else _INVITATION
        self.query_one("#welcome-pull", Static).update(shown)

    def action_next(self) -> None:
        """Highlight the next choice."""
        self._list.action_cursor_down()

    def action_previous(self) -> None:
        """Highlight the choice before."""
        self._list.action_cursor_up()

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.query_one(Input).value = ""
        self.post_message(self.Taken())

    @work(group="machine", exclusive=True, exit_on_error=False)
    async def _look_around(self) -> None:
        machine = await self._workspace.machine()
        self.query_one("#welcome-machine", Static).update(_greeting(*_facts(machine)))
        self._choices = [BUILT_IN, *suggestions(machine)]
        self._offer()
        try:
            found = await self._workspace.runner.importable()
        except DmrError:
            return  # nothing to offer; whoever asks for it by `dmr import` is told why
        self._choices += _imports(found)
        self._offer()

    def _offer(self) -> None:
        at = self._list.highlighted or 0
        self._list.set_options(Option(row) for row in self._rows(at))
        self._list.highlighted = at

    @on(OptionList.OptionHighlighted)
    def _mark(self) -> None:
        for at, row in enumerate(self._rows(self._list.highlighted)):
            self._list.replace_option_prompt_at_index(at, row)
        self.post_message(self.Moved())

    @on(Input.Changed)
    def _written(self) -> None:
        self.post_message(self.Moved())

    def _rows(self, marked: int | None) -> list[Content]:
        widest = max(len(choice.name) for choice in self._choices)
        return [
            Content("▸ " if at == marked else "  ") + _row(choice, widest)
            for at, choice in enumerate(self._choices)
        ]

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """See `ShellScreen.on_worker_state_changed`."""
        if event.state is WorkerState.ERROR:
            report(self.app, event.worker.error)


class _Choices(OptionList, can_focus=False):
    """The choices; the field keeps the focus, so that a name can be typed at any moment."""


def _row(choice: Choice, widest: int) -> Content:
    size = f"~{long_size(choice.size)}" if choice.size and not choice.imported else "here"
    return Content.assemble(
        (f"{choice.name:<{widest}}", "bold"),
        (f"  {size:>8}  ", ""),
        (choice.what, "$text-muted"),
    )


def _imports(found: list[Importable]) -> list[Choice]:
    """For each program that has models here, one choice to use them all."""
    choices = []
    for program, name in _PROGRAMS.items():
        theirs = [each for each in found if each.program == program]
        if theirs:
            count = f"{len(theirs)} models" if len(theirs) > 1 else theirs[0].name
            size = sum(each.size for each in theirs)
            what = f"{count}, {long_size(size)}: use them here, without a copy"
            names = tuple(each.name for each in theirs)
            choices.append(Choice(f"from {name}", size, what, names))
    return choices


def _greeting(*facts: str) -> Content:
    lines = [
        Content.assemble(
            ("Welcome to dmr.", "bold $text-primary"),
            (" AI models on your own machine, handled like packages.", "$text-muted"),
        ),
        Content(""),
        *(
            Content.assemble(("This machine  " if not at else " " * 14, "bold"), fact)
            for at, fact in enumerate(facts)
        ),
        Content(""),
        Content.styled("Begin with", "bold"),
    ]
    return Content("\n").join(lines)


def _facts(machine: Machine) -> list[str]:
    memory = machine.memory
    free = f"{long_size(memory.total)} of memory, {long_size(memory.available)} free"
    facts = [f"{free} · {machine.cores} cores"]
    for gpu in machine.gpus:
        left = long_size(gpu.memory_total - gpu.memory_used)
        facts.append(f"{gpu.name}, {long_size(gpu.memory_total)}, {left} free")
    disk = f"{long_size(machine.disk_free)} free on disk"
    facts.append(disk if machine.gpus else f"no GPU that can be read · {disk}")
    return facts


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
