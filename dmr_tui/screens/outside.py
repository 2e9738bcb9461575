"""Other programs in the terminal's foreground: an editor, a pager."""

from __future__ import annotations

import asyncio
import os
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

from textual.app import App, SuspendNotSupported

from dmr_tui.errors import DmrError, InvalidRequestError, UnavailableError


async def run_outside(app: App[None], command: Sequence[str]) -> None:
    """Give the terminal to another program until it ends; whatever else runs goes on meanwhile.

    Raises:
        DmrError: it cannot be started, or there is no terminal to give away.
    """
    try:
        # Nothing may be drawn over the other program.
        with app.batch_update(), app.suspend():
            process = await asyncio.create_subprocess_exec(*command)
            await process.wait()
    except SuspendNotSupported as error:
        raise UnavailableError("no other program can be started here") from error
    except OSError as error:
        raise DmrError(f"cannot start {command[0]}: {error.strerror}") from error


async def edit(app: App[None], text: str) -> str:
    """Let a person write in `$VISUAL` or `$EDITOR`; returns what was written.

    Raises:
        DmrError: as `run_outside` says.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="dmr-") as folder:
        file = Path(folder) / "message.md"
        file.write_text(text, "utf-8")
        await run_outside(app, [*_words(editor), str(file)])
        return file.read_text("utf-8", "replace").rstrip("\n")


async def page(app: App[None], text: str, suffix: str = ".md") -> None:
    """Show a text in `$PAGER`.

    Raises:
        DmrError: as `run_outside` says.
    """
    pager = os.environ.get("PAGER") or "less"
    with tempfile.TemporaryDirectory(prefix="dmr-") as folder:
        file = Path(folder) / f"message{suffix}"
        file.write_text(text, "utf-8")
        await run_outside(app, [*_words(pager), str(file)])


def _words(command: str) -> list[str]:
    """A command as a shell would take it apart."""
    try:
        return shlex.split(command)
    except ValueError as error:
        raise InvalidRequestError(
            f"{command!r} is no command: {error}", "set VISUAL, EDITOR or PAGER to another one"
        ) from error
