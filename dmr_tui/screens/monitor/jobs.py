"""What is done to models in memory: each job says in the status bar how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dmr_tui.engine.profile import Profile, RunningModel
from dmr_tui.errors import DmrError
from dmr_tui.screens.library import familiar_name
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import span

if TYPE_CHECKING:
    from dmr_tui.runner.base import RunnerStatus

_FOR_EVER = -1.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def short(name: str) -> str:
    """A name as requests may have it: without what goes without saying."""
    return familiar_name(name)


def is_here(status: RunnerStatus | None) -> bool:
    """Whether the runner is on this machine: its process ids are those of this system."""
    if status is None or status.kind == "embedded":
        return True
    return urlsplit(status.endpoint).hostname in _LOOPBACK or status.endpoint.startswith("unix:")


async def unload(workspace: Workspace, model: RunningModel) -> None:
    """Have a model out of memory, unless it is answering."""
    name = short(model.name)
    try:
        gone = await workspace.runner.unload([model.name])
    except DmrError as error:
        workspace.fail(error)
    else:
        words = "is unloaded." if gone else "is in use; it stays until that is done."
        workspace.say(f"{name} {words}")
    await workspace.look()


async def pin(workspace: Workspace, model: RunningModel) -> None:
    """Keep a model in memory until it is unloaded, or let it go after its usual time again."""
    name, runner = short(model.name), workspace.runner
    try:
        if model.keep_alive >= 0:
            await runner.load(model.name, profile=Profile(keep_alive=_FOR_EVER))
            words = f"{name} stays in memory until it is unloaded."
        else:
            chosen = (await runner.profile(model.name)).keep_alive
            usual = workspace.settings.keep_alive if chosen is None or chosen < 0 else chosen
            await runner.load(model.name, profile=Profile(keep_alive=usual))
            words = f"{name} leaves {span(usual)} after its last answer."
    except DmrError as error:
        workspace.fail(error)
    else:
        workspace.say(words)
    await workspace.look()
