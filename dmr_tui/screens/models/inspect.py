"""Everything that is known of one model, over the whole screen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from dmr_tui.screens.models.details import full
from dmr_tui.screens.models.knowledge import Knowledge
from dmr_tui.widgets.figures import grouped
from dmr_tui.widgets.printable import printable

_TEMPLATE = "tokenizer.chat_template"
_LABEL = 36


class InspectScreen(ModalScreen[None]):
    """A model's metadata, chat template, layers and digests, to scroll through and to copy."""

    CSS_PATH = "inspect.tcss"
    BINDINGS: ClassVar = [
        Binding("escape,i,q,enter", "dismiss", "Close"),
        Binding("y,Y", "copy", "Copy"),
        Binding("down,j", "scroll('down')"),
        Binding("up,k", "scroll('up')"),
        Binding("pagedown,ctrl+d,space", "scroll('page_down')"),
        Binding("pageup,ctrl+u", "scroll('page_up')"),
        Binding("home,g", "scroll('home')"),
        Binding("end,G", "scroll('end')"),
    ]

    def __init__(self, known: Knowledge) -> None:
        """Show a model."""
        super().__init__()
        self._known = known

    def compose(self) -> ComposeResult:
        """One text; a person may select any part of it."""
        with VerticalScroll(id="inspect") as box:
            box.border_title = printable(self._known.entry.name)
            box.border_subtitle = "↑↓ scroll · y copies all · esc closes"
            yield Static(everything(self._known))

    def action_copy(self) -> None:
        """Copy all of it."""
        self.app.copy_to_clipboard(everything(self._known).plain)
        self.query_one("#inspect").border_subtitle = "copied · esc closes"

    def action_scroll(self, where: str) -> None:
        """Scroll the text."""
        box = self.query_one("#inspect", VerticalScroll)
        getattr(box, f"scroll_{where}")(animate=False)


def everything(known: Knowledge) -> Content:
    """The details, then all that the package says."""
    model = known.entry.model
    lines = full(known)
    lines += _section("Id", [model.id])
    layers = [
        f"{layer.get('mediaType', '')}\n    {layer.get('digest', '')}"
        f"  {grouped(int(layer.get('size', 0)))} B"
        for layer in known.layers
    ]
    lines += _section("Layers", layers)
    annotations = known.manifest.get("annotations") or {}
    lines += _section("Annotations", _pairs(annotations.items()))
    facts = {**model.config.gguf, **model.config.safetensors, **model.config.diffusers}
    template = facts.pop(_TEMPLATE, "")
    lines += _section("Metadata", _pairs(sorted(facts.items())))
    lines += _section("Chat template", template.splitlines())
    return Content("\n").join(lines)


def _pairs(items: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{key:<{_LABEL}} {value}" for key, value in items]


def _section(title: str, rows: Iterable[str]) -> list[Content]:
    found = [Content(f"  {printable(line)}") for row in rows for line in row.split("\n")]
    return [Content(""), Content.styled(title, "bold $text-primary"), *found] if found else []
