"""What can be done on Chat: the screen, the conversation with the focus, the prompt."""

from __future__ import annotations

from dmr_tui.actions.action import Action

CHAT: tuple[Action, ...] = (
    # The screen.
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
    # The prompt.
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
