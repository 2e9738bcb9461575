"""What is done to models: each job says in the status bar how it went."""

from __future__ import annotations

from dmr_tui.errors import DmrError
from dmr_tui.screens.library import Entry, familiar_name
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import long_size


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
        under_way = workspace.pulls.start(workspace.runner, familiar_name(name))
    except DmrError as error:
        workspace.fail(error)
        return
    workspace.say(f"Getting {under_way.name} …")
    await workspace.pulls.wait(under_way)
    if under_way.failure is not None:
        workspace.fail(under_way.failure)
    elif under_way.state == "cancelled":
        kept = f"; {long_size(under_way.done)} are kept, p goes on" if under_way.done else ""
        workspace.say(f"Cancelled {under_way.name}{kept}.")
    else:
        await workspace.library.refresh(workspace.runner)
        workspace.say(f"{under_way.name} is here.")


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
