"""What may come next in a half-written message: commands, their arguments, files after `@`."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path

from dmr_tui.chat.attachments import mention
from dmr_tui.chat.commands.base import ChatContext
from dmr_tui.chat.commands.registry import completions, named
from dmr_tui.errors import DmrError
from dmr_tui.store.reference import familiar

MAX_FILES = 200
"""Most names of one folder that are offered."""

# A mention that the cursor stands behind; one in quotes may hold blanks.
_OPEN_MENTION = re.compile(r"""(?<![^\s(\[{<"'`])@(?:"(?P<double>[^"\n]*)|(?P<bare>[^\s"']*))\Z""")


@dataclass(frozen=True)
class Suggestion:
    """One thing that may stand before the cursor.

    Attributes:
        text: what to write there.
        start: where in the text before the cursor it begins; what follows is replaced.
        summary: a few words on it.
        more: it is a folder, in which the name goes on; anything else may be followed by a blank.
    """

    text: str
    start: int
    summary: str = ""
    more: bool = False


async def suggest(before: str, context: ChatContext) -> list[Suggestion]:
    """What may come next.

    Args:
        before: the text up to the cursor.
        context: whose chats, models and folder are offered.
    """
    if before.startswith("/") and "\n" not in before:
        start = len(before) - len(before.rpartition(" ")[2])
        fixed = [Suggestion(text, start, summary) for text, summary in completions(before)]
        if fixed or " " not in before:
            return fixed
        return await _arguments(before, context)
    return await asyncio.to_thread(file_suggestions, before, context.folder)


def file_suggestions(before: str, folder: Path | None = None) -> list[Suggestion]:
    """Files for the `@` before the cursor, folders first; reads the folder, so it may block.

    Args:
        before: the text up to the cursor.
        folder: what relative names are relative to; None: the working directory.
    """
    found = _OPEN_MENTION.search(before)
    if found is None:
        return []
    typed = found["bare"] if found["double"] is None else found["double"]
    quoted = found["double"] is not None
    return [
        Suggestion(_written(name, quoted=quoted), found.start(), more=name.endswith("/"))
        for name in matching_files(typed, folder)
    ]


def matching_files(typed: str, folder: Path | None = None) -> list[str]:
    """Names that begin as typed; folders first, with a slash. Hidden ones only after a dot."""
    parent, slash, start = typed.rpartition("/")
    try:
        where = (folder or Path.cwd()) / Path(parent + slash).expanduser()
        with os.scandir(where) as entries:
            found = [
                (not entry.is_dir(), entry.name)
                for entry in entries
                if entry.name.startswith(start)
                and (start.startswith(".") or not entry.name.startswith("."))
            ]
    except (OSError, ValueError, RuntimeError):
        return []  # No such folder; no such user; not even a possible name.
    found.sort(key=lambda each: (each[0], each[1].casefold()))
    return [f"{parent}{slash}{name}{'' if is_file else '/'}" for is_file, name in found[:MAX_FILES]]


def _written(name: str, *, quoted: bool) -> str:
    text = f'@"{name}"' if quoted and '"' not in name else mention(name)
    # In a folder the name goes on, so its quote stays open.
    return text[:-1] if name.endswith("/") and text[-1] in "\"'" else text


async def _arguments(before: str, context: ChatContext) -> list[Suggestion]:
    name, _, typed = before.partition(" ")
    command = named(name)
    if command is None:
        return []
    start = len(name) + 1
    match command.offers:
        case "files":
            files = await asyncio.to_thread(matching_files, typed, context.folder)
            return [Suggestion(file, start, more=file.endswith("/")) for file in files]
        case "chats" if context.sessions is not None:
            chats = await context.sessions.chats()
            found = [(chat.title, chat.model) for chat in chats]
        case "models":
            found = [(model, "") for model in await _models(context)]
        case _:
            return []
    wanted = typed.casefold()
    return [
        Suggestion(text, start, summary)
        for text, summary in dict(found).items()
        if text.casefold().startswith(wanted)
    ]


async def _models(context: ChatContext) -> list[str]:
    try:
        models = await context.runner.models()
    except DmrError:
        return []  # Whoever sends the line is told; a completion is no place for it.
    return [familiar(tag) for model in models for tag in model.tags]
