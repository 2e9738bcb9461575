"""Where a message is written: the prompt, and above it what may come next in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, OptionList, TextArea
from textual.worker import Worker, WorkerState

from dmr_tui.chat.attachments import image_at
from dmr_tui.chat.commands import Suggestion, is_whole
from dmr_tui.chat.drafts import Draft
from dmr_tui.chat.history import History
from dmr_tui.errors import DmrError
from dmr_tui.screens.chat.chips import Chips, is_long
from dmr_tui.screens.outside import edit
from dmr_tui.screens.shell import report
from dmr_tui.widgets.completion import Completion
from dmr_tui.widgets.prompt import PromptArea

Suggest = Callable[[str], Awaitable[list[Suggestion]]]

_TITLE = "⏎ send · ^j new line · / commands · @ file"
_SEARCH_TITLE = "^r older · ⏎ takes it · esc back"
_IMAGES = (".png", ".jpg", ".jpeg", ".webp")
_MATCHES = 50


class Composer(Vertical):
    """The prompt and what is suggested for it.

    That is commands after `/`, files after `@`, or, while one searches, what was sent before.
    """

    class DraftChanged(Message):
        """Something else is written in the prompt."""

    @dataclass
    class Said(Message):
        """A result, for the status bar."""

        text: str
        failed: bool = False

    def __init__(self, suggest: Suggest, history: History) -> None:
        """A prompt.

        Args:
            suggest: what may come after a text.
            history: what was sent before.
        """
        super().__init__(id="composer")
        self._suggest = suggest
        self._history = history
        self._offered: Sequence[Suggestion] = ()
        self._offered_for = ""
        self._chips = Chips()
        self._searching: str | None = None
        self._aside: Draft | None = None
        self._asked: asyncio.Future[str | None] | None = None

    def compose(self) -> ComposeResult:
        """The list is above the prompt and hidden while it is empty."""
        yield Completion(id="completion")
        yield Input(id="ask")
        yield PromptArea(id="prompt")

    def on_mount(self) -> None:
        """Say what the keys do; look up what was sent before."""
        self.prompt.border_title = _TITLE
        self.prompt.whole_before = lambda before: self._chips.before(before)
        self.prompt.marks = lambda line: self._chips.spans(line)
        self._offer([])
        self._load_history()

    @work(group="history", exit_on_error=False)
    async def _load_history(self) -> None:
        self.prompt.sent = await asyncio.to_thread(self._history.load)

    @property
    def prompt(self) -> PromptArea:
        """The box that is written in."""
        return self.query_one(PromptArea)

    # What is written.

    def draft(self, waiting: Sequence[str]) -> Draft:
        """What is not sent yet: what waits, what was put aside for an edit, what is written."""
        aside = []
        if self._aside is not None and self._aside.text.strip():
            aside.append(Chips(self._aside.chips).expand(self._aside.text))
        held = {label: text for label, text in self._chips.held.items() if label in self.text}
        return Draft(self.text, held, [*waiting, *aside])

    @property
    def text(self) -> str:
        """What stands in the prompt, chips as chips."""
        return self.prompt.text if self._searching is None else self._searching

    @property
    def message(self) -> str:
        """What stands in the prompt, with what the chips stand for."""
        return self._chips.expand(self.text)

    def take(self) -> str:
        """Empty the prompt and remember its text for the arrow keys."""
        message = self._chips.expand(self.prompt.take())
        sent = self.prompt.sent
        if message.strip() and message not in sent[-1:]:
            sent.append(message)
            self._remember(message)
        self._chips = Chips()
        return message

    @work(group="history", exit_on_error=False)
    async def _remember(self, message: str) -> None:
        await asyncio.to_thread(self._history.add, message)

    def give_back(self, text: str) -> None:
        """Put a message that was not answered back, before what is typed by now."""
        self._leave_search()
        if self._aside is not None:  # Giving up the edit would throw it away.
            aside = _joined(text, self._aside.text)
            self._aside = Draft(aside, self._aside.chips)
        else:
            self.prompt.put(_joined(text, self.prompt.text))

    def restore(self, draft: Draft) -> None:
        """Put back what an earlier program has not sent, before what is typed by now."""
        self._leave_search()
        self._chips = Chips({**draft.chips, **self._chips.held})
        self.prompt.put(_joined(*draft.waiting, draft.text, self.prompt.text))

    # Writing another version of what was said.

    @property
    def editing(self) -> bool:
        """Whether the prompt holds an earlier message."""
        return self._aside is not None

    def begin_edit(self, text: str, what: str) -> None:
        """Put an earlier message into the prompt; what is typed comes back afterwards."""
        self._leave_search()
        if self._aside is None:
            self._aside = Draft(self.prompt.text, dict(self._chips.held))
        self._chips = Chips()
        self.prompt.put(text)
        self.prompt.border_subtitle = f"editing {what} · ⏎ another version · esc gives up"
        self.prompt.focus()

    def end_edit(self) -> None:
        """Put back what was typed before."""
        if self._aside is not None:
            self._leave_search()
            aside, self._aside = self._aside, None
            self._chips = Chips(aside.chips)
            self.prompt.put(aside.text)
            self.prompt.border_subtitle = ""

    @on(PromptArea.EditorWanted)
    @work(group="editor", exclusive=True, exit_on_error=False)
    async def _edit_outside(self) -> None:
        self._leave_search()
        try:
            text = await edit(self.app, self.message)
        except DmrError as error:
            self.post_message(self.Said(error.message, failed=True))
        else:
            self._chips = Chips()
            self.prompt.put(text)

    # Pasting.

    @on(PromptArea.Pasted)
    async def _pasted(self, event: PromptArea.Pasted) -> None:
        await self.paste(event.text)

    async def paste(self, text: str) -> None:
        """Insert a text at the cursor: as it is, or as a chip when it is long or an image."""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if is_long(text):
            self.prompt.paste(self._chips.add_text(text))
        else:
            self.prompt.paste(text)
            self._look_at_path(text)

    @work(group="paste", exit_on_error=False)
    async def _look_at_path(self, text: str) -> None:
        """Let the path of an image become a chip, once it is known to be one."""
        path = await asyncio.to_thread(image_at, text)
        if path and self.prompt.before.endswith(text):
            self._put_chip(len(self.prompt.before) - len(text), path)

    def _put_chip(self, start: int, path: str) -> None:
        """Put an image's chip in place of what stands from there to the cursor."""
        before, text = self.prompt.before, self.prompt.text
        written = before[:start] + self._chips.add_image(path) + " "
        self.prompt.put(written + text[len(before) :].lstrip(" "), cursor=len(written))

    # What is suggested.

    def close(self) -> bool:
        """Close what is open above the prompt: a question, a search, suggestions."""
        if self._asked is not None:
            self._answer(None)
            return True
        if self._searching is not None:
            self._leave_search()
            return True
        shown = bool(self._offered)
        self._offer([])
        return shown

    @on(TextArea.Changed)
    def _typed(self) -> None:
        before = self.prompt.before
        if self._searching is not None:
            self._offer(self._found(self.prompt.text))
        elif before.startswith("/") or "@" in before:
            self._look_up(before)
        else:
            self._offer([])
        self.post_message(self.DraftChanged())

    @work(group="suggest", exclusive=True, exit_on_error=False)
    async def _look_up(self, before: str) -> None:
        offered = await self._suggest(before)
        if self.prompt.before == before and self._searching is None:
            complete = [before[each.start :] for each in offered] == [s.text for s in offered]
            self._offer([] if complete else offered)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """See `ShellScreen.on_worker_state_changed`."""
        if event.state is WorkerState.ERROR:
            report(self.app, event.worker.error)

    def _offer(self, offered: Sequence[Suggestion]) -> None:
        self._offered, self._offered_for = offered, self.prompt.before
        self.query_one(Completion).show([(each.text, each.summary) for each in offered])
        self.prompt.completing = bool(offered)

    @on(PromptArea.Submitted)
    def _submitted(self, event: PromptArea.Submitted) -> None:
        if self._searching is not None:
            event.stop()
            self._complete()
            return
        chosen = self._chosen()
        # A whole command is not held up by what could follow.
        whole = is_whole(self.prompt.text) and not self.query_one(Completion).steered
        if chosen is not None and not whole and not self.prompt.before.endswith(chosen.text):
            # The key takes what is highlighted; the screen does not hear of it.
            event.stop()
            self._complete()

    @on(PromptArea.Steered)
    def _steered(self, event: PromptArea.Steered) -> None:
        # The newest of what was sent before is the nearest to the prompt.
        self.query_one(Completion).steer(event.step)

    @on(PromptArea.Completed)
    @on(OptionList.OptionSelected)
    def _complete(self) -> None:
        chosen = self._chosen()
        if self._searching is not None:
            self._end_search(chosen.text if chosen is not None else self._searching)
        elif chosen is not None:
            before = self.prompt.before
            rest = self.prompt.text[len(before) :]
            if chosen.text.startswith("@") and chosen.text.lower().rstrip("\"'").endswith(_IMAGES):
                self._take_image(chosen)
            else:
                written = before[: chosen.start] + chosen.text + ("" if chosen.more else " ")
                self.prompt.put(written + rest, cursor=len(written))
        self.prompt.focus()

    def _take_image(self, chosen: Suggestion) -> None:
        path = chosen.text.removeprefix("@").strip("\"'")
        self._put_chip(chosen.start, path)

    def _chosen(self) -> Suggestion | None:
        chosen = self.query_one(Completion).chosen
        found = next((each for each in self._offered if each.text == chosen), None)
        before = self.prompt.before
        if found is None or before == self._offered_for or self._searching is not None:
            return found
        # More was typed since; what was offered counts while it still continues that.
        return found if found.text.startswith(before[found.start :]) else None

    # Searching what was sent before.

    @on(PromptArea.SearchWanted)
    def _search(self) -> None:
        if self._searching is not None:
            self.query_one(Completion).steer(1)
            return
        if not self.prompt.sent:
            self.post_message(self.Said("Nothing was sent before."))
            return
        self._searching = self.prompt.text
        self.prompt.border_title = _SEARCH_TITLE
        self.prompt.put("")
        self._offer(self._found(""))

    def _found(self, query: str) -> list[Suggestion]:
        words = query.casefold().split()
        newest = dict.fromkeys(reversed(self.prompt.sent))
        found = [each for each in newest if all(word in each.casefold() for word in words)]
        return [Suggestion(text, 0) for text in found[:_MATCHES]]

    def _leave_search(self) -> None:
        """Put back what stood in the prompt before the search, if there is one."""
        if self._searching is not None:
            self._end_search(self._searching)

    def _end_search(self, text: str) -> None:
        self._searching = None
        self.prompt.border_title = _TITLE
        self.prompt.put(text)
        self._offer([])

    # A question of one line.

    async def ask(self, title: str, value: str) -> str | None:
        """Let a person fill in one line; None: they would rather not."""
        self._answer(None)
        box = self.query_one("#ask", Input)
        box.border_title = f"{title} · ⏎ does it · esc does not"
        box.value = value
        box.display = True
        box.focus()
        self._asked = asyncio.get_running_loop().create_future()
        return await self._asked

    @on(Input.Submitted, "#ask")
    def _asked_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._answer(event.value.strip() or None)

    def _answer(self, text: str | None) -> None:
        asked, self._asked = self._asked, None
        self.query_one("#ask").display = False
        if asked is not None and not asked.done():
            asked.set_result(text)
            self.screen.set_focus(self.prompt)  # before who asked moves it on


def _joined(*parts: str) -> str:
    return "\n".join(part for part in parts if part.strip())
