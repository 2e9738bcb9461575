"""What can be done on the panel of the endpoint."""

from __future__ import annotations

from dmr_tui.actions.action import Action

ENDPOINT: tuple[Action, ...] = (
    Action("endpoint.switch", ("enter",), "On or off",
           "Begin to listen, or stop; after a change, listen anew.", rank=10, priority=True),
    Action("endpoint.new_key", ("ctrl+k",), "New key", "Make up an API key.", rank=20,
           priority=True),
    Action("endpoint.copy", ("ctrl+y",), "Copy lines", "Copy the lines for a shell.", rank=30,
           priority=True),
    Action("endpoint.close", ("escape",), "Close", "Back to the screen below.", rank=40,
           priority=True),
)  # fmt: skip
