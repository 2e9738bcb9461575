"""The line in which one says what one wants."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static

from dmr_tui.screens.get.hunt import Place

_PAUSE = 0.3
"""Seconds without a key after which what was typed is looked for."""
_KEYS = {"dockerhub": "H", "huggingface": "F"}
_SHORT = {"dockerhub": "Hub", "huggingface": "HF"}


class Line(Input):
    """The input; the arrow down leaves it."""

    BINDINGS = [Binding("down", "leave", show=False)]  # noqa: RUF012  # as in Textual

    class Left(Message):
        """One wants to see what was found."""

    def action_leave(self) -> None:
        """Go to what was found."""
        self.post_message(self.Left())


class Box(Horizontal):
    """The input, and where it is looked for."""

    class Changed(Message):
        """Something else is wanted, and there is a pause in the typing."""

    class Submitted(Message):
        """The key was pressed that takes what is wanted."""

    def __init__(self) -> None:
        super().__init__(id="box")
        self._waiting: Timer | None = None

    def compose(self) -> ComposeResult:
        """Text on the left, sources on the right."""
        yield Line(
            id="wish",
            compact=True,
            placeholder="words · hf.co/org/repo:Q4_K_M · URL · ./m.gguf",
        )
        yield Static(id="places")

    @property
    def text(self) -> str:
        """What was typed."""
        return self.query_one(Line).value

    def put(self, text: str) -> None:
        """Have another text there, as if it had been typed."""
        line = self.query_one(Line)
        line.value = text
        line.cursor_position = len(text)

    def write(self) -> None:
        """Let one write."""
        self.screen.set_focus(self.query_one(Line))

    def show(self, places: Iterable[Place], *, only_fitting: bool, narrow: bool) -> None:
        """Show which places are asked, and how each of them stands."""
        # While one writes they would be typed.
        style = "$text-disabled" if self.query_one(Line).has_focus else "bold $primary"
        parts = []
        for place in places:
            key = Content.styled(_KEYS[place.source], style)
            name = _SHORT[place.source] if narrow else place.title
            parts.append(key + Content.styled(f" {name} ", "$text-muted") + _sign(place))
        fits = Content.styled("f", style)
        fits += Content.styled(f" fits {'✓' if only_fitting else '–'}", "$text-muted")
        self.query_one("#places", Static).update(Content("  ").join([*parts, fits]))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Wait for a pause in the typing."""
        event.stop()
        if self._waiting is not None:
            self._waiting.stop()
        self._waiting = self.set_timer(_PAUSE, self._tell)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """No more pause is needed."""
        event.stop()
        if self._waiting is not None:
            self._tell()
        self.post_message(self.Submitted())

    def _tell(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None
        self.post_message(self.Changed())


def _sign(place: Place) -> Content:
    if not place.on:
        return Content.styled("–", "$text-disabled")
    if place.asking:
        return Content.styled("…", "$text-warning")
    if place.failure is not None:
        return Content.styled("×", "$text-error")
    return Content.styled("✓", "$text-success")
