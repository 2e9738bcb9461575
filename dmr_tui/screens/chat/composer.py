"""Where a message is written: the prompt, and above it what may come next in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import OptionList, TextArea
from textual.worker import Worker, WorkerState

from dmr_tui.chat.commands import Suggestion
from dmr_tui.screens.shell import report
from dmr_tui.widgets.completion import Completion
from dmr_tui.widgets.prompt import PromptArea

Suggest = Callable[[str], Awaitable[list[Suggestion]]]


class Composer(Vertical):
    """The prompt and what is suggested for it: commands after `/`, files after `@`."""

    def __init__(self, suggest: Suggest) -> None:
        """A prompt.

        Args:
            suggest: what may come after a text.
        """
        super().__init__(id="composer")
        self._suggest = suggest
        self._offered: Sequence[Suggestion] = ()
        self._offered_for = ""

    def compose(self) -> ComposeResult:
        """The list is above the prompt and hidden while it is empty."""
        yield Completion(id="completion")
        yield PromptArea(id="prompt")

    def on_mount(self) -> None:
        """Say what the keys do."""
        self.prompt.border_title = "⏎ send · ^j new line · / commands · @ file"
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
        """Hide the suggestions; whether there were any."""
        shown = bool(self._offered)
        self._offer([])
        return shown

    @on(TextArea.Changed)
    def _typed(self) -> None:
        before = self._before()
        if before.startswith("/") or "@" in before:
            self._look_up(before)
        else:
            self._offer([])

    @work(group="suggest", exclusive=True, exit_on_error=False)
    async def _look_up(self, before: str) -> None:
        offered = await self._suggest(before)
        if self._before() == before:
            complete = [before[each.start :] for each in offered] == [s.text for s in offered]
            self._offer([] if complete else offered)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """See `ShellScreen.on_worker_state_changed`."""
        if event.state is WorkerState.ERROR:
            report(self.app, event.worker.error)

    def _before(self) -> str:
        """The text up to the cursor."""
        return self.prompt.get_text_range((0, 0), self.prompt.cursor_location)

    def _offer(self, offered: Sequence[Suggestion]) -> None:
        self._offered, self._offered_for = offered, self._before()
        self.query_one(Completion).show([(each.text, each.summary) for each in offered])
        self.prompt.completing = bool(offered)

    @on(PromptArea.Submitted)
    def _submitted(self, event: PromptArea.Submitted) -> None:
        chosen = self._chosen()
        if chosen is not None and not self._before().endswith(chosen.text):
            # The key takes what is highlighted; the screen does not hear of it.
            event.stop()
            self._complete()

    @on(PromptArea.Steered)
    def _steered(self, event: PromptArea.Steered) -> None:
        self.query_one(Completion).steer(event.step)

    @on(PromptArea.Completed)
    @on(OptionList.OptionSelected)
    def _complete(self) -> None:
        chosen = self._chosen()
        if chosen is not None:
            before = self._before()
            rest = self.prompt.text[len(before) :]
            written = before[: chosen.start] + chosen.text + ("" if chosen.more else " ")
            self.prompt.put(written + rest, cursor=len(written))
        self.prompt.focus()

    def _chosen(self) -> Suggestion | None:
        chosen = self.query_one(Completion).chosen
        found = next((each for each in self._offered if each.text == chosen), None)
        before = self._before()
        if found is None or before == self._offered_for:
            return found
        # More was typed since; what was offered counts while it still continues that.
        return found if found.text.startswith(before[found.start :]) else None
