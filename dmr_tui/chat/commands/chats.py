"""Slash commands that open, find, name, remove and export chats."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from dmr_tui.chat.commands.base import ChatContext, Outcome, SlashCommand, number_of
from dmr_tui.chat.export import Format, export
from dmr_tui.chat.sessions import ChatInfo
from dmr_tui.errors import InvalidRequestError

_SHOWN = 20


async def _clear(context: ChatContext, arguments: str) -> Outcome:
    context.conversation.clear()
    return Outcome("Cleared session context.", cleared=True)


async def _chats(context: ChatContext, query: str) -> Outcome:
    found = await context.saved().chats(query)
    context.listed = [chat.id for chat in found]
    if not found:
        return Outcome(f"No chat has '{query}' in it." if query else "No chats are saved yet.")
    lines = [_line(number, chat) for number, chat in enumerate(found[:_SHOWN], 1)]
    more = len(found) - _SHOWN
    if more > 0:
        lines.append(f"  … and {more} more; /chats WORDS searches them all")
    return Outcome("\n".join([*lines, "", "/load N opens one."]))


async def _load(context: ChatContext, which: str) -> Outcome:
    if not which:
        raise InvalidRequestError("Usage: /load N|TITLE", "/chats lists them")
    chat = await _find(context, which)
    context.conversation = await context.saved().load(chat.id)
    return Outcome(f"Opened '{chat.title}', {_turns(chat)} with {chat.model}.", redraw=True)


async def _save(context: ChatContext, title: str) -> Outcome:
    sessions = context.saved()
    conversation = context.conversation
    if not conversation.root.children:
        raise InvalidRequestError("Nothing was said yet")
    if not context.saving:
        context.saving = True
        for node in conversation.root.everything():
            if node is not conversation.root:
                conversation.touch(node)
    await context.save()
    if title:
        await sessions.rename(conversation.id, title)
        conversation.title = title
    return Outcome(f"Saved as '{conversation.title}'.")


async def _rename(context: ChatContext, title: str) -> Outcome:
    if not title:
        raise InvalidRequestError("Usage: /rename TITLE")
    context.conversation.title = title
    if context.sessions is not None:
        await context.sessions.rename(context.conversation.id, title)
    return Outcome(f"This chat is called '{title}' now.")


async def _delete(context: ChatContext, which: str) -> Outcome:
    sessions = context.saved()
    if not which:
        if not context.conversation.root.children:
            raise InvalidRequestError("There is nothing to delete", "/delete N takes another chat")
        id_, title = context.conversation.id, context.conversation.title
    else:
        chat = await _find(context, which, whole=True)
        id_, title = chat.id, chat.title
    await sessions.delete(id_)
    open_one = id_ == context.conversation.id
    if open_one:
        context.conversation = context.conversation.following()
    text = f"Deleted '{title}'. /undelete brings it back, until you leave."
    return Outcome(text, redraw=open_one)


async def _undelete(context: ChatContext, arguments: str) -> Outcome:
    sessions = context.saved()
    chat = await sessions.restore()
    if chat is None:
        raise InvalidRequestError("No chat was deleted")
    conversation = await sessions.load(chat)
    if context.conversation.root.children:
        return Outcome(f"'{conversation.title}' is back.")
    context.conversation = conversation
    return Outcome(f"'{conversation.title}' is back.", redraw=True)


async def _fork(context: ChatContext, number: str) -> Outcome:
    conversation = context.conversation
    question = conversation.question(number_of(number))
    last = question.chosen or question
    context.conversation = conversation.fork(last)
    await context.save()
    return Outcome("This is a copy of the chat now; the other one stays as it is.", redraw=True)


async def _export(context: ChatContext, arguments: str) -> Outcome:
    conversation = context.conversation
    if not conversation.root.children:
        raise InvalidRequestError("Nothing was said yet")
    first, _, rest = arguments.partition(" ")
    named = first if first in ("md", "json") else ""
    name = rest.strip() if named else arguments
    file = Path(name) if name else None
    form: Format = "json" if named == "json" or (not named and name.endswith(".json")) else "md"
    folder = context.folder or Path.cwd()
    path = await asyncio.to_thread(export, conversation, form, file, folder)
    return Outcome(f"Wrote {path}")


async def _find(context: ChatContext, which: str, *, whole: bool = False) -> ChatInfo:
    """The chat of that number in the last listing, or of that title.

    Args:
        context: whose saved chats.
        which: what was typed.
        whole: no part of a title is enough, and it has to be the title of one chat alone.
    """
    chats = await context.saved().chats()
    if which.isdecimal():
        known = {chat.id: chat for chat in chats}
        listed = [known.get(id_) for id_ in context.listed] if context.listed else list(chats)
        at = int(which) - 1
        chat = listed[at] if 0 <= at < len(listed) else None
        if chat is not None:
            return chat
    wanted = which.casefold()
    titled = [chat for chat in chats if chat.title.casefold() == wanted]
    if not titled and not whole:
        titled = [chat for chat in chats if wanted in chat.title.casefold()]
    if not titled:
        raise InvalidRequestError(f"No chat is called '{which}'", "/chats lists them")
    if whole and len(titled) > 1:
        raise InvalidRequestError(f"{len(titled)} chats are called that", "/chats numbers them")
    if len({chat.title for chat in titled}) > 1:
        titles = ", ".join(f"'{chat.title}'" for chat in titled[:3])
        raise InvalidRequestError(f"'{which}' fits several chats: {titles}")
    return titled[0]


def _line(number: int, chat: ChatInfo) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(chat.updated))
    line = f"{number:3}  {chat.title}\n     {when} · {_turns(chat)} · {chat.model}"
    return f"{line}\n     {chat.snippet}" if chat.snippet else line


def _turns(chat: ChatInfo) -> str:
    return f"{chat.turns} turn{'s' if chat.turns != 1 else ''}"


COMMANDS = (
    SlashCommand("/clear", ("/new",), "", "forget what was said, begin anew", _clear, "chats",
                 waits=True),
    SlashCommand("/chats", (), "[WORDS]", "list saved chats, or those with these words",
                 _chats, "chats"),
    SlashCommand("/load", (), "N|TITLE", "open a saved chat", _load, "chats", offers="chats",
                 waits=True),
    SlashCommand("/save", (), "[TITLE]", "save this chat, under a title of your own",
                 _save, "chats"),
    SlashCommand("/rename", (), "TITLE", "give this chat another title", _rename, "chats"),
    SlashCommand("/delete", (), "[N|TITLE]", "delete this chat or another", _delete, "chats",
                 offers="chats", waits=True),
    SlashCommand("/undelete", (), "", "bring the deleted chat back", _undelete, "chats",
                 waits=True),
    SlashCommand("/fork", (), "[N]", "copy this chat, up to question N, into a new one",
                 _fork, "chats", waits=True),
    SlashCommand("/export", (), "[md|json] [FILE]", "write this chat to a file", _export, "chats",
                 ("md", "json")),
)  # fmt: skip
