"""A conversation as a file: Markdown to read, JSON to work with."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.tree import Node
from dmr_tui.errors import StoreError

Format: TypeAlias = Literal["md", "json"]


def to_markdown(conversation: Conversation) -> str:
    """The path that is shown; thoughts are folded."""
    head = [f"# {conversation.title or 'Chat'}", f"{conversation.model} · {_date(conversation)}"]
    if conversation.system:
        head.append("\n".join(f"> {line}".rstrip() for line in conversation.system.splitlines()))
    return "\n\n".join([*head, *map(_said, conversation.path)]) + "\n"


def to_json(conversation: Conversation) -> str:
    """Everything, all branches too: each message names its `parent`."""
    shown = {node.id for node in conversation.path}
    messages = [
        {
            "id": node.id,
            "parent": node.parent.id or None if node.parent is not None else None,
            "shown": node.id in shown,
            "role": node.role,
            "content": node.message.content,
            **({"typed": node.typed} if node.typed else {}),
            **({"reasoning": node.reasoning} if node.reasoning else {}),
            **({"model": node.model} if node.model else {}),
            **({"stopped": True} if node.stopped else {}),
            **({"stats": node.stats} if node.stats is not None else {}),
            "created": node.created,
        }
        for node in conversation.root.everything()
        if node is not conversation.root
    ]
    chat = {
        "title": conversation.title,
        "model": conversation.model,
        "created": conversation.created,
        "system": conversation.system,
        "sampling": conversation.sampling,
        "limits": conversation.limits,
        "messages": messages,
    }
    return msgspec.json.format(msgspec.json.encode(chat), indent=2).decode() + "\n"


def export(conversation: Conversation, form: Format, file: Path | None, folder: Path) -> Path:
    """Write a conversation to a new file; blocks.

    Args:
        conversation: what to write.
        form: `md` or `json`.
        file: where to; None: a name made from the title, one that is still free.
        folder: what a relative name is relative to.

    Returns:
        The file.

    Raises:
        StoreError: it exists, or cannot be written.
    """
    text = to_markdown(conversation) if form == "md" else to_json(conversation)
    wanted = folder / (file.expanduser() if file else file_name(conversation.title, form))
    number = 1
    path = wanted
    while True:
        try:
            with path.open("x", encoding="utf-8") as out:
                out.write(text)
            return path
        except FileExistsError as error:
            if file is not None:
                raise StoreError(f"{path} exists already", "choose another name") from error
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from error
        number += 1
        path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")


def file_name(title: str, form: Format) -> str:
    """A name for the file of a chat with this title."""
    slug = re.sub(r"\W+", "-", title.lower()).strip("-")[:60] or "chat"
    return f"{slug}.{form}"


def _said(node: Node) -> str:
    who = "You" if node.role == "user" else node.model or "Assistant"
    thoughts = ""
    if node.reasoning:
        thoughts = (
            f"<details><summary>Thoughts</summary>\n\n{node.reasoning.strip()}\n\n</details>\n\n"
        )
    stopped = "\n\n*(stopped)*" if node.stopped else ""
    return f"## {who}\n\n{thoughts}{node.text.strip()}{stopped}"


def _date(conversation: Conversation) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(conversation.created))
