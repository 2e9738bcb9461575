"""What may stand in place of the word that is being typed."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

_WORD = 16


class Completion(OptionList, can_focus=False):
    """A list above the prompt; the prompt's own keys move in it.

    Attributes:
        steered: the highlight is where a person has moved it.
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's own name
        super().__init__(id=id)
        self.steered = False

    def show(self, choices: Sequence[tuple[str, str]]) -> None:
        """Show words and what they do; nothing to choose from hides the list."""
        chosen = self.chosen
        self.display = bool(choices)
        self.set_options(
            Option(
                Content.assemble((f"{word:<{_WORD}}", "bold"), (f" {summary}", "$text-muted")),
                id=word,
            )
            for word, summary in choices
        )
        words = [word for word, _ in choices]
        self.steered = self.steered and chosen in words
        self.highlighted = words.index(chosen) if chosen in words else (0 if words else None)

    @property
    def chosen(self) -> str:
        """The highlighted word; empty without one."""
        option = self.highlighted_option
        return (option.id or "") if option else ""

    def steer(self, step: int) -> None:
        """Move the highlight."""
        self.steered = True
        if step > 0:
            self.action_cursor_down()
        else:
            self.action_cursor_up()
