"""What the keys are called here and now, and which of them would do nothing."""

from __future__ import annotations

from dataclasses import dataclass

from dmr_tui.actions import Action

_PAUSE = {"running": "Pause", "queued": "Pause", "paused": "Go on"}
_TAKE_UP = {"failed": "Try again", "cancelled": "Go on", "paused": "Go on"}
_UNFINISHED = ("running", "queued", "paused")


@dataclass(frozen=True)
class Standing:
    """How the screen stands.

    Attributes:
        pane: the part of it with the focus.
        typed: there is a text in the box.
        words: which is to be searched for.
        file: which is a file that can be run.
        selected: name of the model that would be pulled; empty: none.
        here: it is in the store already.
        found: how many models were.
        shown: how many of them are.
        failed: something can be asked again.
        pull: state of the pull under the queue's cursor; empty: there is none.
        waiting: pulls that have not ended.
    """

    pane: str
    typed: bool
    words: bool
    file: bool
    selected: str
    here: bool
    found: int
    shown: int
    failed: bool
    pull: str
    waiting: int


def title_of(action: Action, now: Standing) -> str | None:
    """What an action is called; None while it would do nothing."""
    match action.id:
        case "get.take":
            return _take(now)
        case "get.back":
            return ("Clear" if now.typed else None) if now.pane == "wish" else "Back"
        case "get.search":
            return action.title if now.pane != "wish" else None
        case "get.pull":
            return action.title if now.selected and now.pane != "queue" else None
        case "get.page" | "get.copy":
            return action.title if now.selected else None
        case "get.fits" | "get.sort" | "get.more":
            return action.title if now.found else None
        case "get.again":
            return action.title if now.failed and now.pane != "queue" else None
        case "app.toggle_endpoint" | "app.endpoint":
            return None
    return _of_queue(action, now)


def _of_queue(action: Action, now: Standing) -> str | None:
    match action.id:
        case "get.pause":
            return _PAUSE.get(now.pull)
        case "get.cancel":
            return ("Cancel" if now.pull in _UNFINISHED else "Forget") if now.pull else None
        case "get.up" | "get.down":
            return action.title if now.pull in _UNFINISHED and now.waiting > 1 else None
        case "get.edit":
            return action.title if now.pull == "failed" else None
    return action.title


def _take(now: Standing) -> str | None:
    if now.pane == "queue":
        return _TAKE_UP.get(now.pull, "Chat") if now.pull else None
    if now.file:
        return "Chat"
    if now.pane == "wish" and now.words:
        return "Results" if now.shown else None
    if not now.selected:
        return None
    return "Chat" if now.here else "Get & chat"
