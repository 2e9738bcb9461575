"""All slash commands, their help, and running the one that a line names."""

from __future__ import annotations

import difflib
import re

from dmr_tui.chat.commands import chats, context, files, settings, turns
from dmr_tui.chat.commands.base import ChatContext, Outcome, SlashCommand, Topic, table
from dmr_tui.chat.parameters import PARAMETERS
from dmr_tui.errors import DmrError, InvalidRequestError

_TOPICS: tuple[Topic, ...] = ("model", "turns", "chats", "files", "this place")
_HELP_TOPICS = ("files", "set", "shortcuts")


def is_command(line: str) -> bool:
    """Whether a line is meant as a command; `/home/me/x` is a path and therefore is not."""
    return re.match(r"/[^\s/]*(\s|$)", line) is not None


def waits(line: str) -> bool:
    """Whether a line is a command that cannot be run while an answer is on its way."""
    command = named(line.split(maxsplit=1)[0]) if is_command(line) else None
    return command is not None and command.waits


def is_whole(line: str) -> bool:
    """Whether a line is a command's name alone, and can be run so."""
    command = named(line.strip())
    return command is not None and command.stands_alone


async def execute(line: str, context: ChatContext) -> Outcome:
    """Run the command that a line holds; failures come back as an outcome too."""
    name, _, arguments = line.strip().partition(" ")
    name, newline, rest = name.partition("\n")
    command = named(name)
    if command is None:
        return Outcome(f"Unknown command '{name}'. {_suggestion(name)}", error=True)
    try:
        return await command.run(context, (rest + newline + arguments).strip())
    except DmrError as error:
        text = f"{error.message} ({error.hint})" if error.hint else error.message
        return Outcome(text, error=True)


def named(name: str) -> SlashCommand | None:
    """The command of that name or alias."""
    return _NAMED.get(name.lower())


def completions(line: str) -> list[tuple[str, str]]:
    """What may stand in place of the last word of a line, each with a few words on it.

    These are the fixed words; `suggest` knows chats, models and files as well.
    """
    words = line.split(" ")
    if len(words) == 1:
        found = [(name, command.summary) for name, command in _NAMED.items()]
    elif len(words) == 2 and (command := named(words[0])):
        found = [(word, "") for word in command.words]
    elif words[:2] == ["/set", "parameter"] and len(words) == 3:
        found = [(parameter.name, parameter.summary) for parameter in PARAMETERS]
    else:
        found = []
    return [(word, summary) for word, summary in found if word.startswith(words[-1])]


def _suggestion(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), _NAMED, n=1)
    return f"Did you mean {near[0]}? Type /? for help" if near else "Type /? for help"


async def _bye(context: ChatContext, arguments: str) -> Outcome:
    return Outcome(leave=True)


async def _help(context: ChatContext, topic: str) -> Outcome:
    match topic:
        case "":
            return Outcome(_overview())
        case "set" | "/set":
            return Outcome(settings.settings_help())
        case "files":
            return Outcome(files.FILES_HELP)
        case "shortcuts":
            return Outcome(context.shortcuts or "There are no shortcuts here.")
    command = named(topic if topic.startswith("/") else f"/{topic}")
    if command is None:
        raise InvalidRequestError(f"No help on '{topic}'", f"topics: {', '.join(_HELP_TOPICS)}")
    return Outcome(table("", [_row(command)]))


def _overview() -> str:
    parts = ["Available commands:"]
    width = max(len(_row(command)[0]) for command in COMMANDS)
    for topic in _TOPICS:
        rows = [_row(command) for command in COMMANDS if command.topic == topic]
        rows = [(left.ljust(width), right) for left, right in rows]
        parts.append(table(f"{topic[0].upper()}{topic[1:]}", rows))
    parts.append('Use """ to begin and to end a multi-line message, @name to send a file.')
    return "\n\n".join(parts)


def _row(command: SlashCommand) -> tuple[str, str]:
    names = ", ".join((command.name, *command.aliases))
    return f"{names} {command.arguments}".rstrip(), command.summary


COMMANDS: tuple[SlashCommand, ...] = (
    *settings.COMMANDS,
    *context.COMMANDS,
    *turns.COMMANDS,
    *chats.COMMANDS,
    *files.COMMANDS,
    SlashCommand("/?", ("/help",), "[COMMAND|files|set|shortcuts]", "this help", _help,
                 words=_HELP_TOPICS),
    SlashCommand("/bye", ("/exit",), "", "leave", _bye),
)  # fmt: skip
_NAMED = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}
