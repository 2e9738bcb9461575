"""Where a message is written: the prompt, and above it what a command may go on with."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import OptionList, TextArea

from dmr_tui.chat.commands import completions
from dmr_tui.widgets.completion import Completion
from dmr_tui.widgets.prompt import PromptArea


class Composer(Vertical):
    """The prompt and its completions."""

    def compose(self) -> ComposeResult:
        """The list is above the prompt and hidden while it is empty."""
        yield Completion(id="completion")
        yield PromptArea(id="prompt")

    def on_mount(self) -> None:
        """Say what the keys do."""
        self.query_one(PromptArea).border_title = "⏎ send · ^j new line · / commands"
        self._offer([])

    @property
    def prompt(self) -> PromptArea:
        """The box that is written in."""
        return self.query_one(PromptArea)

    def give_back(self, text: str) -> None:
        """Put a message that was not answered back, before what is typed by now."""
        typed = self.prompt.text
        self.prompt.put(f"{text}\n{typed}" if typed.strip() else text)

    def close_completions(self) -> bool:
        """Hide the completions; whether there were any."""
        shown = bool(self.query_one(Completion).display)
        self._offer([])
        return shown

    @on(TextArea.Changed)
    def _typed(self) -> None:
        text = self.prompt.text
        offered = completions(text) if text.startswith("/") and "\n" not in text else []
        if [word for word, _ in offered] == [text.split(" ")[-1]]:
            offered = []
        self._offer(offered)

    def _offer(self, offered: list[tuple[str, str]]) -> None:
        self.query_one(Completion).show(offered)
        self.prompt.completing = bool(offered)

    @on(PromptArea.Submitted)
    def _submitted(self, event: PromptArea.Submitted) -> None:
        completion = self.query_one(Completion)
        if completion.display and completion.chosen != event.text.split(" ")[-1]:
            # The key takes what is highlighted; the screen does not hear of it.
            event.stop()
            self._complete()

    @on(PromptArea.Steered)
    def _steered(self, event: PromptArea.Steered) -> None:
        self.query_one(Completion).steer(event.step)

    @on(PromptArea.Completed)
    @on(OptionList.OptionSelected)
    def _complete(self) -> None:
        words = self.prompt.text.split(" ")
        chosen = self.query_one(Completion).chosen
        self.prompt.put(" ".join([*words[:-1], chosen]) + " ")
        self.prompt.focus()
