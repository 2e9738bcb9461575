"""What is done to models: each job says in the status bar how it went."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

from dmr_tui.errors import DmrError
from dmr_tui.screens.library import Entry
from dmr_tui.screens.workspace import Workspace


async def load(workspace: Workspace, name: str) -> None:
    """Have a model in memory."""
    started = workspace.clocks.monotonic()
    workspace.say(f"Loading {name} …")
    try:
        await workspace.runner.load(name)
    except DmrError as error:
        workspace.fail(error)
    else:
        seconds = workspace.clocks.monotonic() - started
        workspace.say(f"{name} is loaded; that took {seconds:.1f} s.")
    await workspace.library.refresh_running(workspace.runner)


async def unload(workspace: Workspace, name: str) -> None:
    """Have a model out of memory, unless it is answering."""
    try:
        gone = await workspace.runner.unload([name])
    except DmrError as error:
        workspace.fail(error)
    else:
        words = "is unloaded." if gone else "is answering; it stays until that is done."
        workspace.say(f"{name} {words}")
    await workspace.library.refresh_running(workspace.runner)


async def delete(workspace: Workspace, entry: Entry) -> None:
    """Remove a name, and the model with its last one."""
    try:
        await workspace.runner.remove(entry.name)
    except DmrError as error:
        workspace.fail(error)
        return
    await workspace.library.refresh(workspace.runner)
    workspace.say(f"Deleted {entry.name}.")


async def pull(workspace: Workspace, name: str) -> None:
    """Get a model; ends when it is there, was cancelled or has failed."""
    try:
        under_way = workspace.pull(name)
    except DmrError as error:
        workspace.fail(error)
        return
    await workspace.pulls.wait(under_way)


async def take_in(workspace: Workspace, names: Sequence[str]) -> None:
    """Use models of other programs; one that fails does not keep the others out."""
    failed: DmrError | None = None
    for at, name in enumerate(names, 1):
        count = f"{at} of {len(names)}: " if len(names) > 1 else ""
        workspace.say(f"Importing {count}{name} …")
        try:
            async with aclosing(workspace.runner.adopt(name)) as lines:
                async for _ in lines:
                    pass
        except DmrError as error:
            failed = error
    if failed is not None:
        workspace.fail(failed)
    else:
        them = names[0] if len(names) == 1 else f"{len(names)} models"
        workspace.say(f"Imported {them}.")
    await workspace.library.refresh(workspace.runner)


async def reload(workspace: Workspace) -> None:
    """Read the models again; where the runner has gone away, look for one again."""
    if workspace.ready and workspace.library.failure is None:
        await workspace.library.refresh(workspace.runner)
    else:
        await workspace.open()
    failure = workspace.failure or workspace.library.failure
    if failure is not None:
        workspace.fail(failure)
    else:
        workspace.say(f"{len(workspace.library.entries)} models, read again just now.")
