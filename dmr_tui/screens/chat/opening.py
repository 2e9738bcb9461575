"""What an empty conversation says."""

from __future__ import annotations

from textual.content import Content

from dmr_tui.screens.pull_view import pull_content
from dmr_tui.screens.workspace import Workspace

_NO_MODEL = Content.assemble(
    ("There is no model yet.\n\n", "bold"),
    ("esc 1", "bold $primary"),
    (" goes to Models, where you can get one.", "$text-muted"),
)
_LATER = "Write your first message now; it is sent when the model is ready."
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
    """Whom one talks to and how; or how far the model's pull is, or where to get a model."""
    if not model and workspace.library.loaded:
        return _NO_MODEL
    pull = workspace.pulls.find(model)
    verb = "Getting " if pull else "Chat with "
    title = Content.assemble((verb, "$text-muted"), (model or "…", "bold"))
    if pull is None:
        return Content("\n\n").join([title, _KEYS])
    later = Content.styled(_LATER, "$text-muted")
    return Content("\n\n").join([title, pull_content(pull, width), later])
