"""The saved chats in a pane: by day, with their branches, and found by any word in them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from dmr_tui.actions import bindings
from dmr_tui.chat.sessions import ChatInfo, Sessions
from dmr_tui.errors import DmrError
from dmr_tui.widgets.printable import printable

Wish = Literal["open", "new", "fork", "rename", "delete", "undelete", "export"]
_DAY = 86400.0


class ChatList(OptionList):
    """The list itself; single letters act on the chat under the cursor."""

    BINDINGS = bindings("chats")

    @dataclass
    class Wished(Message):
        """Something is to be done with a chat; None where there is none under the cursor."""

        wish: Wish
        chat: ChatInfo | None

    def __init__(self, now: Callable[[], float]) -> None:
        """An empty list.

        Args:
            now: Unix time.
        """
        super().__init__(id="chat-list", compact=True)
        self._now = now
        self._chats: dict[str, ChatInfo] = {}
        self._open = ""
        self._depths: dict[str, int] = {}
        self._pointed = ""

    @property
    def chat(self) -> ChatInfo | None:
        """The chat under the cursor."""
        option = self.highlighted_option
        return self._chats.get(option.id or "") if option else None

    def show(self, chats: Sequence[ChatInfo], open_one: str) -> None:
        """Show these chats, the last used first.

        Args:
            chats: in their order.
            open_one: id of the chat that is on screen.
        """
        chosen = self.chat.id if self.chat else open_one
        self._chats, self._open = {chat.id: chat for chat in chats}, open_one
        self._draw(chosen)

    def on_resize(self) -> None:
        """Lines are cut for the width."""
        self._draw(self.chat.id if self.chat else self._open)

    def _draw(self, chosen: str) -> None:
        ids: list[str] = []
        options: list[Option] = []
        self._depths, self._pointed = {}, ""
        for heading, rows in grouped_by_day(self._chats.values(), self._now()):
            options.append(Option(Content.styled(heading, "bold $text-muted"), disabled=True))
            ids.append("")
            for chat, depth in rows:
                self._depths[chat.id] = depth
                options.append(Option(self._line(chat), id=chat.id))
                ids.append(chat.id)
        self.set_options(options)
        first = 1 if options else None
        self.highlighted = ids.index(chosen) if chosen in ids else first

    def on_option_list_option_highlighted(self) -> None:
        """Put the cursor's mark before another chat."""
        before, chat = self._pointed, self.chat
        self._pointed = chat.id if chat is not None else ""
        for each in {before, self._pointed} & self._depths.keys():
            self.replace_option_prompt(each, self._line(self._chats[each]))

    def _line(self, chat: ChatInfo) -> Content:
        width = max(self.scrollable_content_region.width - 2, 12)
        here, depth = chat.id == self._open, self._depths[chat.id]
        lead = "▸ " if chat.id == self._pointed else "  "
        lead += "  " * max(depth - 1, 0) + ("└ " if depth else "")
        count = f" {chat.turns}"
        room = width - len(lead) - len(count)
        title = Content(printable(chat.title)).truncate(room, ellipsis=True, pad=True)
        line = Content(lead) + (title.stylize("bold $text-primary") if here else title)
        line += Content.styled(count, "$text-muted")
        if chat.snippet:
            snippet = Content(printable(chat.snippet)).truncate(width - 2, ellipsis=True)
            line += Content("\n  ") + snippet.stylize("$text-muted italic")
        return line

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._wish("open")

    def _wish(self, wish: Wish) -> None:
        self.post_message(self.Wished(wish, self.chat))

    def action_open(self) -> None:
        """Open the chat."""
        self._wish("open")

    def action_new(self) -> None:
        """Begin another chat."""
        self._wish("new")

    def action_fork(self) -> None:
        """Copy the chat."""
        self._wish("fork")

    def action_rename(self) -> None:
        """Give it another title."""
        self._wish("rename")

    def action_delete(self) -> None:
        """Delete it."""
        self._wish("delete")

    def action_undelete(self) -> None:
        """Bring the deleted one back."""
        self._wish("undelete")

    def action_export(self) -> None:
        """Write it to a file."""
        self._wish("export")

    def action_find(self) -> None:
        """To the search line."""
        self.screen.query_one("#find", Input).focus()


class ChatsPane(Vertical):
    """The search line and the list."""

    def __init__(self, sessions: Callable[[], Sessions], now: Callable[[], float]) -> None:
        """A pane that is not shown yet.

        Args:
            sessions: the saved chats.
            now: Unix time.
        """
        super().__init__(id="chats")
        self._sessions = sessions
        self._now = now
        self._open = ""

    def compose(self) -> ComposeResult:
        """The search line above the list."""
        yield Input(id="find", placeholder="/ search all messages", compact=True)
        yield ChatList(self._now)

    @property
    def list(self) -> ChatList:
        """The list."""
        return self.query_one(ChatList)

    @property
    def query_text(self) -> str:
        """What is searched for."""
        return self.query_one("#find", Input).value.strip()

    def refresh_list(self, open_one: str) -> None:
        """Read the chats again.

        Args:
            open_one: id of the chat that is on screen.
        """
        self._open = open_one
        self._read()

    def leave_search(self) -> bool:
        """Show all chats again; whether they were not."""
        searched = bool(self.query_text)
        self.query_one("#find", Input).value = ""
        return searched

    @on(Input.Changed, "#find")
    def _search(self) -> None:
        self._read()

    @on(Input.Submitted, "#find")
    def _to_list(self) -> None:
        self.list.focus()

    @work(group="chats", exclusive=True, exit_on_error=False)
    async def _read(self) -> None:
        query = self.query_text
        try:
            chats = await self._sessions().chats(query)
        except DmrError as error:
            self.border_subtitle = error.message
            return
        what = "found" if query else "chat" + ("s" if len(chats) != 1 else "")
        self.border_title = f"{len(chats)} {what}"
        self.border_subtitle = "" if chats or not query else "nothing has these words"
        self.list.show(chats, self._open)


def grouped_by_day(
    chats: Iterable[ChatInfo], now: float
) -> list[tuple[str, list[tuple[ChatInfo, int]]]]:
    """Chats below `Today`, `Yesterday` and `Older`, branches below what they were forked from.

    Args:
        chats: the last used first.
        now: Unix time.

    Returns:
        Headings that have chats, each with its chats and how deep they branch.
    """
    known = {chat.id: chat for chat in chats}
    branches: dict[str, list[ChatInfo]] = {}
    stems: list[ChatInfo] = []
    for chat in known.values():
        if chat.origin in known and not _circular(chat, known):
            branches.setdefault(chat.origin, []).append(chat)
        else:
            stems.append(chat)
    groups: dict[str, list[tuple[ChatInfo, int]]] = {"Today": [], "Yesterday": [], "Older": []}
    for stem in stems:
        # A branch that was used later brings its stem up with it.
        tree = list(_tree(stem, branches, 0))
        newest = max(chat.updated for chat, _ in tree)
        groups[_day(newest, now)] += tree
    return [(name, rows) for name, rows in groups.items() if rows]


def _tree(
    chat: ChatInfo, branches: dict[str, list[ChatInfo]], depth: int
) -> Iterable[tuple[ChatInfo, int]]:
    yield chat, depth
    for branch in branches.get(chat.id, ()):
        yield from _tree(branch, branches, depth + 1)


def _circular(chat: ChatInfo, known: dict[str, ChatInfo]) -> bool:
    """Whether its origins lead back to it, as no program writes it."""
    seen = {chat.id}
    while chat.origin in known:
        chat = known[chat.origin]
        if chat.id in seen:
            return True
        seen.add(chat.id)
    return False


def _day(when: float, now: float) -> str:
    today = time.localtime(now)
    midnight = now - (today.tm_hour * 3600 + today.tm_min * 60 + today.tm_sec)
    if when >= midnight:
        return "Today"
    return "Yesterday" if when >= midnight - _DAY else "Older"
