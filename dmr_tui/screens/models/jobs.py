"""What is done to models: each job says in the status bar how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from dmr_tui.errors import DmrError
from dmr_tui.screens.library import Entry
from dmr_tui.screens.models.updates import Updates
from dmr_tui.screens.tasks import Task
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import long_size, speed

if TYPE_CHECKING:
    from dmr_tui.store.transfer.progress import TransferProgress

_LOOK_SECONDS = 0.3


async def load(workspace: Workspace, names: Sequence[str]) -> None:
    """Have models in memory, one after the other; how far each is can be seen meanwhile."""
    for name in names:
        started = workspace.clocks.monotonic()
        workspace.say(f"Loading {name} …")
        looking = asyncio.create_task(_look(workspace), name=f"look at the load of {name}")
        try:
            await workspace.runner.load(name)
        except DmrError as error:
            workspace.fail(error)
            return
        finally:
            looking.cancel()
            await workspace.library.refresh_running(workspace.runner)
        seconds = workspace.clocks.monotonic() - started
        workspace.say(f"{name} is loaded; that took {seconds:.1f} s.")


async def _look(workspace: Workspace) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        await workspace.library.refresh_running(workspace.runner)


async def delete(workspace: Workspace, entries: Sequence[Entry]) -> None:
    """Remove names, and each model with its last one."""
    gone: list[str] = []
    failure: DmrError | None = None
    for entry in entries:
        try:
            await workspace.runner.remove(entry.name)
            gone.append(entry.name)
        except DmrError as error:
            failure = failure or error
    await workspace.library.refresh(workspace.runner)
    if failure is not None:
        workspace.fail(failure)
    elif len(gone) == 1:
        workspace.say(f"Deleted {gone[0]}.")
    else:
        workspace.say(f"Deleted {len(gone)} models.")


async def tag(workspace: Workspace, name: str, target: str) -> bool:
    """Give a model one more name; whether it has it now."""
    try:
        await workspace.runner.tag(name, target)
    except DmrError as error:
        workspace.fail(error)
        return False
    await workspace.library.refresh(workspace.runner)
    workspace.say(f"{name} is also called {target} now.")
    return True


async def push(workspace: Workspace, name: str) -> None:
    """Upload a model to the registry in its name."""
    task = workspace.tasks.begin(f"↑ {name}")
    sent: dict[str, int] = {}
    workspace.say(f"Pushing {name} …")
    try:
        async with aclosing(workspace.runner.push(name)) as lines:
            async for line in lines:
                _note(workspace, task, line, sent)
    except DmrError as error:
        workspace.fail(error)
    except asyncio.CancelledError:
        workspace.say(f"Cancelled the push of {name}; what was sent is kept there for a while.")
    else:
        workspace.say(f"Pushed {name}.")
    finally:
        workspace.tasks.end(task)


def _note(workspace: Workspace, task: Task, line: TransferProgress, sent: dict[str, int]) -> None:
    if line.layer.id:
        sent[line.layer.id] = line.layer.current
    done = sum(sent.values())
    if line.total:
        figures = f"{long_size(done)} of {long_size(line.total)}"
        workspace.tasks.move(task, min(done / line.total, 1.0), figures)


async def benchmark(workspace: Workspace, entry: Entry) -> None:
    """Measure how fast a model is; the runner keeps what it learns of each answer."""
    from dmr_tui.screens.models.benchmark import measure_speeds

    name = entry.name
    task = workspace.tasks.begin(f"Measuring {name}")
    try:
        speeds = await measure_speeds(
            workspace.runner,
            name,
            lambda fraction, words: workspace.tasks.move(task, fraction, words),
            context=entry.context or 8192,
        )
    except DmrError as error:
        workspace.fail(error)
    except asyncio.CancelledError:
        workspace.say(f"The measurement of {name} was stopped.")
    else:
        workspace.say(
            f"{name} here: prompt {speed(speeds.prompt)} · gen {speed(speeds.generation)}."
        )
    finally:
        workspace.tasks.end(task)
    await workspace.library.refresh(workspace.runner)


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
        count = len(workspace.library.entries)
        models = "1 model" if count == 1 else f"{count} models"
        workspace.say(f"{models}, read again just now.")


async def check(workspace: Workspace, updates: Updates, entries: Sequence[Entry]) -> None:
    """Ask the registries whether they have something newer."""
    task = workspace.tasks.begin("Looking for updates")
    total = len(entries)
    try:
        newer, failures = await updates.check(
            workspace.runner, entries, lambda done: workspace.tasks.move(task, done / total)
        )
    except DmrError as error:
        workspace.fail(error)
        return
    except asyncio.CancelledError:
        workspace.say("Stopped looking for updates.")
        return
    finally:
        workspace.tasks.end(task)
    told = total - len(failures)
    untold = f" Of {len(failures)} the registry did not tell." if failures else ""
    if failures and total == 1:
        workspace.fail(failures[0])
    elif failures and not told:
        workspace.say(f"None could be compared: {failures[0].message}", "error")
    elif newer:
        which = f"{entries[0].name} has a newer version" if total == 1 else f"{newer} are newer"
        workspace.say(f"{which} in the registry: u gets it.{untold}", "warning")
    elif failures:
        workspace.say(f"{told} of {total} are up to date.{untold}")
    else:
        which = f"{entries[0].name} is" if total == 1 else "All are"
        workspace.say(f"{which} up to date.")
