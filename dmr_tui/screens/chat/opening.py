"""What an empty conversation says."""

from __future__ import annotations

from textual.content import Content

from dmr_tui.screens.pull_view import pull_content
from dmr_tui.screens.pulls import Pull
from dmr_tui.screens.workspace import Workspace
from dmr_tui.widgets.printable import printable

_NO_MODEL = Content.assemble(
    ("There is no model yet.\n\n", "bold"),
    ("esc 1", "bold $primary"),
    (" goes to Models, where you can get one.", "$text-muted"),
)
_LATER = "Write your first message now; it is sent when the model is ready."
_ABSENT = Content.assemble(
    ("alt+2", "bold $primary"),
    (" tries again on Get, or finds another one\n", "$text-muted"),
    ("alt+1", "bold $primary"),
    (" has what is here; dmr/guide needs no network", "$text-muted"),
)
_KEYS = Content.assemble(
    ("Write below, ⏎ sends. The model is loaded with your first message.\n", "$text-muted"),
    ("/", "bold $primary"),
    (" commands    ", "$text-muted"),
    ("^o", "bold $primary"),
    (" another model    ", "$text-muted"),
    ("F1", "bold $primary"),
    (" help", "$text-muted"),
)


def opening(workspace: Workspace, model: str, width: int) -> Content:
    """Whom one talks to and how; or how far the model's pull is, or where to get one."""
    if not model and workspace.library.loaded:
        return _NO_MODEL
    pull = workspace.pulls.find(model)
    missed = workspace.pulls.without_result(model)
    if missed is not None and not workspace.library.find(model):
        return _absent(missed)
    verb = "Getting " if pull else "Chat with "
    title = Content.assemble((verb, "$text-muted"), (model or "…", "bold"))
    if pull is None:
        return Content("\n\n").join([title, _KEYS])
    later = Content.styled(_LATER, "$text-muted")
    return Content("\n\n").join([title, pull_content(pull, width), later])


def _absent(pull: Pull) -> Content:
    """That the model is not here, and why."""
    title = Content.assemble((pull.name, "bold"), (" is not here", "$text-muted"))
    failure = pull.failure
    if failure is None:
        return Content("\n\n").join([title, Content("Its pull was cancelled."), _ABSENT])
    why = Content.styled(printable(failure.message), "$text-error")
    if failure.hint:
        why += Content.styled(printable(f"\n{failure.hint}"), "$text-muted")
    return Content("\n\n").join([title, why, _ABSENT])
