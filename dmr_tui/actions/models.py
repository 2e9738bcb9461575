"""What can be done on Models."""

from __future__ import annotations

from dmr_tui.actions.action import Action

MODELS: tuple[Action, ...] = (
    Action("models.chat", ("enter",), "Chat", "Chat with this model; it is loaded when needed.",
           "Chat with the selected model", rank=10, command="chat"),
    Action("models.toggle_load", ("l",), "Load", "Load this model into memory, or unload it.",
           "Load or unload the selected model", rank=20),
    Action("models.pull", ("p",), "Pull", "Get a model by its name.", "Pull a model by name",
           rank=15),
    Action("models.cancel_pull", ("x",), "Cancel", "Stop a pull; what has come is kept.",
           "Cancel a pull", rank=12),
    Action("models.delete", ("d", "delete"), "Delete", "Delete this model; asks once.",
           "Delete the selected model", rank=30),
    Action("models.copy_name", ("y",), "Copy", "Copy the model's name.",
           "Copy the selected model's name", rank=50),
    Action("models.filter", ("slash",), "Filter", "Show only what matches some words.",
           "Filter the models", rank=40),
    Action("models.sort", ("s",), "Sort", "Sort by the next column.", "Sort the models", rank=45),
    Action("models.reload", ("r", "ctrl+l"), "Refresh", "Read the models again.",
           "Refresh the models", rank=60),
    Action("models.back", ("escape",), "Back",
           "Close an input line, keep a model, show all again.", rank=5),
)  # fmt: skip
