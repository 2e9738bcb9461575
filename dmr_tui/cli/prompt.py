"""The line at which a person writes: editing, history, completion, multi-line messages."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
from prompt_toolkit.layout.processors import AfterInput, ConditionalProcessor
from prompt_toolkit.styles import Style

from dmr_tui.chat.commands import Suggestion
from dmr_tui.chat.history import History as PromptHistory
from dmr_tui.cli.output import talk

Suggest: TypeAlias = Callable[[str], Awaitable[list[Suggestion]]]
"""What may come behind the text before the cursor."""

PLACEHOLDER = "Send a message (/? for help)"
MULTILINE_PLACEHOLDER = 'Use """ to end multi-line input'
QUOTES = '"""'

SHORTCUTS = """\
Available keyboard shortcuts:
  Enter               send the message
  Ctrl + j, Alt + ⏎   begin a new line
  Ctrl + c            stop the answer; at the prompt, clear it
  Ctrl + d            leave, at an empty prompt
  Ctrl + g            write the message in $EDITOR (also Ctrl + x Ctrl + e)
  Tab                 complete commands, and files after @
  Ctrl + r            search in what was typed before
  ↑ ↓                 earlier and later messages
  Ctrl + a, Ctrl + e  to the beginning and the end of the line
  Alt + b, Alt + f    a word to the left, to the right
  Ctrl + k, Ctrl + u  delete to the end, to the beginning of the line
  Ctrl + w            delete the word before the cursor
  Ctrl + l            clear the screen
  Ctrl + z            suspend"""

_OPENING = re.compile(r'\s*(/set\s+system\s+)?"""')
_STYLE = Style.from_dict({"placeholder": "ansibrightblack"})


def is_open(text: str) -> bool:
    '''Whether a message that begins with `"""` still waits for its end.'''
    opening = _OPENING.match(text)
    return opening is not None and not text[opening.end() :].rstrip().endswith(QUOTES)


def message_of(text: str) -> str:
    '''What was meant: without the `"""` around it.'''
    if text.strip().startswith(QUOTES):
        return text.strip().removeprefix(QUOTES).removesuffix(QUOTES).strip("\n")
    return text


class Prompt:
    """Reads messages from the terminal."""

    def __init__(self, history: Path | None, suggestions: Suggest) -> None:
        """Prepare to read.

        Args:
            history: where to remember what is typed; None: only for this session.
            suggestions: completes it.
        """
        self._session: PromptSession[str] = PromptSession(
            "> ",
            history=_SharedHistory(PromptHistory(history)),
            multiline=True,
            prompt_continuation=". ",
            placeholder=_placeholder,
            input_processors=[
                ConditionalProcessor(
                    AfterInput(MULTILINE_PLACEHOLDER, "class:placeholder"),
                    Condition(lambda: get_app().current_buffer.text in {QUOTES, QUOTES + "\n"}),
                )
            ],
            key_bindings=_bindings(),
            completer=_SuggestionCompleter(suggestions),
            complete_while_typing=Condition(_invites_completion),
            enable_open_in_editor=True,
            tempfile_suffix=".md",
            enable_suspend=True,
            style=_STYLE,
        )

    async def read(self, default: str = "") -> str:
        """One message, as typed; `default` stands in the line already.

        Raises:
            KeyboardInterrupt: Ctrl-C; see `was_empty`.
            EOFError: Ctrl-D at an empty line.
        """
        return await self._session.prompt_async(default=default)

    @property
    def was_empty(self) -> bool:
        """Whether nothing had been typed when the last `read` ended."""
        return not self._session.default_buffer.text

    @property
    def is_reading(self) -> bool:
        """Whether the prompt is on the screen now."""
        return self._session.app.is_running

    async def say(self, text: str) -> None:
        """Print above the prompt while it is on the screen."""
        await run_in_terminal(lambda: talk(text))


def _invites_completion() -> bool:
    """Commands and files are offered as one types, in prose nothing is."""
    before = get_app().current_buffer.document.text_before_cursor
    return before.startswith("/") or "@" in before.rpartition("\n")[2]


def _placeholder() -> StyleAndTextTuples:
    # Not in the last drawing: what stays in the scrollback is what was typed.
    return [] if get_app().is_done else [("class:placeholder", PLACEHOLDER)]


class _SharedHistory(History):
    """The history that the Chat screen has too, as prompt_toolkit asks for it."""

    def __init__(self, history: PromptHistory) -> None:
        super().__init__()
        self._history = history

    def load_history_strings(self) -> Iterable[str]:
        """The newest first."""
        return reversed(self._history.load())

    def store_string(self, string: str) -> None:
        """Append an entry."""
        self._history.add(string)


def _bindings() -> KeyBindings:
    bindings = KeyBindings()
    # In the line of a history search the same keys keep their own meaning.
    writing = has_focus(DEFAULT_BUFFER)

    @bindings.add("enter", filter=writing)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_open(buffer.text):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @bindings.add("c-j", filter=writing)
    @bindings.add("escape", "enter", filter=writing)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @bindings.add("c-g", filter=writing)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.open_in_editor()

    return bindings


class _SuggestionCompleter(Completer):
    """Offers what `suggest` says; the line is never held up by it."""

    def __init__(self, suggestions: Suggest) -> None:
        self._suggestions = suggestions

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Only the asynchronous kind is used."""
        return ()

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        before = document.text_before_cursor
        for each in await self._suggestions(before):
            yield Completion(
                each.text, start_position=each.start - len(before), display_meta=each.summary
            )
