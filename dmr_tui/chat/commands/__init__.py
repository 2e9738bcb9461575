"""Slash commands: written once, at home in the REPL and on the chat screen.

context = ChatContext(conversation, runner, shortcuts, sessions)
if is_command(line):
    outcome = await execute(line, context)     # then do what its fields say
else:
    turn = context.turn(line)                  # then show `turn.stream()`
"""

from dmr_tui.chat.commands.base import ChatContext, Outcome, SlashCommand
from dmr_tui.chat.commands.registry import (
    COMMANDS,
    completions,
    execute,
    is_command,
    is_whole,
    waits,
)
from dmr_tui.chat.commands.suggestions import Suggestion, suggest

__all__ = [
    "COMMANDS",
    "ChatContext",
    "Outcome",
    "SlashCommand",
    "Suggestion",
    "completions",
    "execute",
    "is_command",
    "is_whole",
    "suggest",
    "waits",
]
