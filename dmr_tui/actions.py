"""Every action of the full screen, once: its key, its name, its help, its palette text.

Key bindings, the line of keys at the bottom, the help and the command palette are all made from
`ACTIONS`, so they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType

SCOPES = ("app", "models", "list", "chat", "transcript", "prompt")
"""Where an action works: everywhere, on one screen, or while one kind of widget has the focus."""

_WIDGET_SCOPES = ("list", "transcript", "prompt")
_GLYPHS = {
    "enter": "⏎",
    "escape": "esc",
    "up": "↑",
    "down": "↓",
    "slash": "/",
    "question_mark": "?",
    "minus": "-",
    "space": "space",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
}


@dataclass(frozen=True)
class Action:
    """One thing that a person can do.

    Attributes:
        id: scope and name, `models.load`; also the binding's id, for key maps.
        keys: default keys, in Textual's names; the first one is shown. Empty: palette only.
        title: a word or two for the line of keys.
        help: one sentence for the help screen.
        palette: what the command palette says; empty: not there.
        rank: place in the line of keys, the smallest first; 0: not there.
        priority: the key is taken before the focused widget sees it.
        command: the Textual action, where it is not the id's name in its scope.
    """

    id: str
    keys: tuple[str, ...]
    title: str
    help: str
    palette: str = ""
    rank: int = 0
    priority: bool = False
    command: str = ""

    @property
    def scope(self) -> str:
        """Where it works: the first part of the id."""
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        """The second part of the id."""
        return self.id.partition(".")[2]

    @property
    def target(self) -> str:
        """The action as Textual runs it."""
        if self.scope in _WIDGET_SCOPES:
            return self.command or self.name
        node = "app" if self.scope == "app" else "screen"
        return f"{node}.{self.command or self.name}"

    @property
    def key(self) -> str:
        """The first key as people write it: `^p`, `⏎`, `?`."""
        return display_key(self.keys[0]) if self.keys else ""


def display_key(key: str) -> str:
    """A key as people write it."""
    modifier, _, base = key.rpartition("+")
    shown = _GLYPHS.get(base, base.upper() if base[0] == "f" and base[1:].isdigit() else base)
    if modifier == "ctrl":
        return f"^{shown}"
    return f"{modifier}+{shown}" if modifier else shown


def is_typed(key: str) -> bool:
    """Whether a key makes or deletes a character where text can be written."""
    return len(key) == 1 or key in ("slash", "question_mark", "minus", "space", "delete")


ACTIONS: tuple[Action, ...] = (
    # Everywhere.
    Action("app.show_models", ("1", "alt+1"), "Models", "Go to your models.", "Go to Models"),
    Action("app.show_chat", ("3", "alt+3"), "Chat", "Go to the chat.", "Go to Chat"),
    Action("app.show_previous", ("minus",), "Back", "Go to the screen before.", "Go back"),
    Action("app.command_palette", ("ctrl+p",), "Palette",
           "Search everything that can be done.", rank=80),
    Action("app.pick_model", ("ctrl+o",), "Model", "Choose the model to chat with.",
           "Choose the model to chat with"),
    Action("app.toggle_endpoint", ("E",), "Endpoint",
           "Let other programs use your models over HTTP, or stop that.",
           "Endpoint for other programs: on or off", rank=70),
    Action("app.next_theme", ("T",), "Theme", "Next theme: dark, light, high contrast.",
           "Next theme: dark, light, high contrast"),
    Action("app.interrupt", ("ctrl+c",), "Copy or stop",
           "Copy what is selected; else stop the answer; else, pressed twice, quit."),
    Action("app.suspend_process", ("ctrl+z",), "Suspend", "Back to the shell; `fg` returns."),
    Action("app.help", ("question_mark", "f1"), "Help", "Show what the keys do.",
           "Help: what the keys do", rank=99),
    Action("app.quit", ("ctrl+q", "q"), "Quit", "Leave; what was downloaded so far is kept.",
           "Quit", rank=85),
    # Models.
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
    # Lists.
    Action("list.cursor_down", ("down", "j"), "Down", "Next row."),
    Action("list.cursor_up", ("up", "k"), "Up", "Row before."),
    Action("list.page_down", ("pagedown", "ctrl+d"), "Page down", "One page on."),
    Action("list.page_up", ("pageup", "ctrl+u"), "Page up", "One page back."),
    Action("list.scroll_top", ("home", "g"), "Top", "First row."),
    Action("list.scroll_bottom", ("end", "G"), "Bottom", "Last row."),
    # Chat.
    Action("chat.stop", ("escape",), "Stop",
           "Stop the answer, keep what came; take back a message; look at the conversation.",
           "Stop the answer", rank=5),
    Action("chat.new", ("ctrl+n",), "New", "Begin a new conversation.", "New conversation",
           rank=40),
    Action("chat.show_thoughts", ("ctrl+t",), "Thoughts",
           "Show or fold what the model thought.", "Show or fold the model's thoughts"),
    Action("chat.copy_answer", (), "Copy", "Copy the last answer as Markdown.",
           "Copy the last answer"),
    Action("chat.page_up", ("pageup",), "Scroll up", "Look back in the conversation.",
           priority=True),
    Action("chat.page_down", ("pagedown",), "Scroll down", "Towards the end.", priority=True),
    Action("chat.follow", ("ctrl+end",), "Follow", "Go to the end and stay there.",
           "Follow the answer", rank=30),
    # The conversation, while it has the focus.
    Action("transcript.write", ("enter", "i"), "Write", "Back to the prompt.", rank=10),
    Action("transcript.scroll_up", ("up", "k"), "Up", "One line back."),
    Action("transcript.scroll_down", ("down", "j"), "Down", "One line on."),
    Action("transcript.scroll_home", ("home", "g"), "Top", "The beginning."),
    Action("transcript.follow", ("end", "G"), "End", "The end, and stay there."),
    Action("transcript.copy_answer", ("y",), "Copy", "Copy the last answer as Markdown.", rank=50,
           command="screen.copy_answer"),
    # The prompt of the chat.
    Action("prompt.submit", ("enter",), "Send", "Send the message.", rank=10, priority=True),
    Action("prompt.newline", ("ctrl+j", "shift+enter", "alt+enter"), "Newline",
           "Begin a new line in the message.", rank=20, priority=True),
    Action("prompt.back", ("up",), "Back",
           "On the first line: the message sent before this one.", priority=True),
    Action("prompt.forth", ("down",), "Forth",
           "On the last line: the message sent after this one.", priority=True),
    Action("prompt.complete", ("tab",), "Complete", "Complete a command after `/`.",
           priority=True),
    Action("prompt.leave", ("ctrl+d",), "Leave",
           "With nothing typed: back to the models; else delete to the right.", priority=True),
)  # fmt: skip


def actions(*scopes: str) -> list[Action]:
    """The actions of some scopes, in the order of the registry."""
    return [action for action in ACTIONS if action.scope in scopes]


def find_action(action_id: str) -> Action:
    """The action of an id."""
    return next(action for action in ACTIONS if action.id == action_id)


def bindings(scope: str) -> list[BindingType]:
    """The key bindings of a scope, for a class's `BINDINGS`.

    The app's keys come before those of the widget with the focus, so that they mean the same
    everywhere; the ones that make a character come after it, so that they can be typed.
    """
    return [
        Binding(
            key,
            action.target,
            action.title,
            show=False,
            priority=action.priority or (scope == "app" and not is_typed(key)),
            id=action.id,
        )
        for action in actions(scope)
        for key in action.keys
    ]
