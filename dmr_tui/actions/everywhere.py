"""What works everywhere."""

from __future__ import annotations

from dmr_tui.actions.action import Action

EVERYWHERE: tuple[Action, ...] = (
    Action("app.show_models", ("1", "alt+1"), "Models", "Go to your models.", "Go to Models"),
    Action("app.show_get", ("2", "alt+2"), "Get", "Find and get models.", "Go to Get"),
    Action("app.show_chat", ("3", "alt+3"), "Chat", "Go to the chat.", "Go to Chat"),
    Action("app.show_monitor", ("4", "alt+4"), "Monitor", "See what runs and what it takes.",
           "Go to Monitor"),
    Action("app.show_logs", ("5", "alt+5"), "Logs", "See requests and logs.", "Go to Logs"),
    Action("app.show_previous", ("minus",), "Back", "Go to the screen before.", "Go back"),
    Action("app.command_palette", ("ctrl+p", "colon"), "Palette",
           "Search everything that can be done; `get qwen3`, `chat gemma3` and `logs` do too.",
           rank=80),
    Action("app.pick_model", ("ctrl+o",), "Model", "Choose the model to chat with.",
           "Choose the model to chat with"),
    Action("app.endpoint", ("E",), "Endpoint",
           "Let other programs use your models over HTTP: on, off, address, key.",
           "Endpoint for other programs", rank=70),
    Action("app.toggle_endpoint", (), "Endpoint on or off",
           "Let other programs use your models over HTTP, or stop that.",
           "Endpoint for other programs: on or off"),
    Action("app.next_theme", ("T",), "Theme", "Next theme: dark, light, high contrast.",
           "Next theme: dark, light, high contrast"),
    Action("app.interrupt", ("ctrl+c",), "Copy or stop",
           "Copy what is selected; else stop the answer; else, pressed twice, quit."),
    Action("app.suspend_process", ("ctrl+z",), "Suspend", "Back to the shell; `fg` returns."),
    Action("app.help", ("question_mark", "f1"), "Help", "Show what the keys do.",
           "Help: what the keys do", rank=99),
    Action("app.quit", ("ctrl+q", "q"), "Quit", "Leave; what was downloaded so far is kept.",
           "Quit", rank=85),
)  # fmt: skip
