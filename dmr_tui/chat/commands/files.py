"""Slash commands that attach files; they write the `@name` that a person could write."""

from __future__ import annotations

import asyncio

from dmr_tui.chat.attachments import check_file, is_image, mention
from dmr_tui.chat.commands.base import ChatContext, Outcome, SlashCommand
from dmr_tui.errors import InvalidRequestError

FILES_HELP = """\
Files in messages:
  @notes.txt          the text of the file takes the place of its name
  @"my notes.txt"     a name with blanks; @my\\ notes.txt means the same
  @cat.png            shows the image (PNG, JPEG, WebP) to a model that can see
  ~/pictures/cat.png  the path of an image also works without @, as when it is dropped here

Tab completes names after @. What is no file stays as it is typed."""


async def _file(context: ChatContext, name: str) -> Outcome:
    return Outcome(put=await _mention(context, name, "/file PATH", image=False))


async def _image(context: ChatContext, name: str) -> Outcome:
    return Outcome(put=await _mention(context, name, "/image PATH", image=True))


async def _mention(context: ChatContext, name: str, usage: str, *, image: bool) -> str:
    if not name:
        raise InvalidRequestError(f"Usage: {usage}")
    clean = name[1:-1] if name[0] == name[-1] and name[0] in "\"'" and len(name) > 2 else name
    path = await asyncio.to_thread(check_file, clean, context.folder)
    if image and not is_image(path):
        raise InvalidRequestError(f"{clean} is no PNG, JPEG or WebP image")
    return mention(clean.replace("\\ ", " ")) + " "


COMMANDS = (
    SlashCommand("/file", (), "PATH", "send a text file with the next message", _file, "files",
                 offers="files"),
    SlashCommand("/image", (), "PATH", "show an image with the next message", _image, "files",
                 offers="files"),
)  # fmt: skip
