"""What is done to models in memory: each job says in the status bar how it went."""

from __future__ import annotations

from collections.abc import Sequence

from dmr_tui.errors import DmrError
from dmr_tui.screens.library import familiar_name
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.figures import span

_FOR_EVER = -1.0


async def unload(workspace: Workspace, names: Sequence[str]) -> None:
    """Have models out of memory; those that are answering stay."""
    try:
        gone = await workspace.runner.unload(names)
    except DmrError as error:
        workspace.fail(error)
    else:
        workspace.say(_unloaded(names, gone))
    await workspace.look()


def _unloaded(names: Sequence[str], gone: int) -> str:
    if len(names) == 1:
        words = "is unloaded." if gone else "is answering; it stays until that is done."
        return f"{familiar_name(names[0])} {words}"
    stay = len(names) - gone
    return f"{gone} models are unloaded" + (f"; {stay} are answering and stay." if stay else ".")


async def pin(workspace: Workspace, name: str, *, pinned: bool) -> None:
    """Keep a model in memory for ever; one that is `pinned`: only as long as others again."""
    from dmr_tui.engine.profile import Profile

    runner, shown = workspace.runner, familiar_name(name)
    try:
        if pinned:
            # What was set for this model counts, unless that is what pinned it.
            chosen = (await runner.profile(name)).keep_alive
            usual = workspace.settings.keep_alive if chosen is None or chosen < 0 else chosen
            await runner.load(name, profile=Profile(keep_alive=usual))
            words = f"{shown} is no longer pinned: it leaves {span(usual)} after its last answer."
        else:
            workspace.say(f"Pinning {shown} …")
            await runner.load(name, profile=Profile(keep_alive=_FOR_EVER))
            words = f"{shown} stays in memory until you unpin (P) or unload (l) it."
    except DmrError as error:
        workspace.fail(error)
    else:
        workspace.say(words)
    await workspace.look()
