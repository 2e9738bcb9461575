"""Slash commands: written once, at home in the REPL and on the chat screen."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.parameters import PARAMETERS, find_parameter
from dmr_tui.errors import DmrError, InvalidRequestError, ModelNotFoundError
from dmr_tui.runner.base import Runner


@dataclass
class ChatContext:
    """What a command may act on.

    Attributes:
        conversation: the one on screen.
        runner: where its model runs.
        shortcuts: the keys of this place, for `/? shortcuts`.
    """

    conversation: Conversation
    runner: Runner
    shortcuts: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        text: what to show; may have several lines.
        error: `text` says what went wrong.
        leave: the conversation is over.
        cleared: the turns are gone, so the place that shows them should empty itself.
    """

    text: str = ""
    error: bool = False
    leave: bool = False
    cleared: bool = False


@dataclass(frozen=True)
class SlashCommand:
    """One command.

    Attributes:
        name: with its slash.
        aliases: other names, with theirs.
        arguments: how its arguments are written, for the help.
        summary: one line of help.
        run: does it; is given what follows the name, without blanks around.
        words: the fixed first arguments, for completion.
    """

    name: str
    aliases: tuple[str, ...]
    arguments: str
    summary: str
    run: Callable[[ChatContext, str], Awaitable[Outcome]]
    words: tuple[str, ...] = ()


def is_command(line: str) -> bool:
    """Whether a line is meant as a command; `/home/me/x` is a path and therefore is not."""
    return re.match(r"/[^\s/]*(\s|$)", line) is not None


async def execute(line: str, context: ChatContext) -> Outcome:
    """Run the command that a line holds; failures come back as an outcome too."""
    name, _, arguments = line.strip().partition(" ")
    name, newline, rest = name.partition("\n")
    command = _named().get(name.lower())
    if command is None:
        return Outcome(f"Unknown command '{name}'. {_suggestion(name)}", error=True)
    try:
        return await command.run(context, (rest + newline + arguments).strip())
    except DmrError as error:
        text = f"{error.message} ({error.hint})" if error.hint else error.message
        return Outcome(text, error=True)


def completions(line: str) -> list[tuple[str, str]]:
    """What may stand in place of the last word of a line, each with a few words on it."""
    words = line.split(" ")
    if len(words) == 1:
        found = [(name, command.summary) for name, command in _named().items()]
    elif len(words) == 2 and (command := _named().get(words[0])):
        found = [(word, "") for word in command.words]
    elif words[:2] == ["/set", "parameter"] and len(words) == 3:
        found = [(parameter.name, parameter.summary) for parameter in PARAMETERS]
    else:
        found = []
    return [(word, summary) for word, summary in found if word.startswith(words[-1])]


def _named() -> dict[str, SlashCommand]:
    return {name: command for command in COMMANDS for name in (command.name, *command.aliases)}


def _suggestion(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), _named(), n=1)
    return f"Did you mean {near[0]}? Type /? for help" if near else "Type /? for help"


async def _bye(context: ChatContext, arguments: str) -> Outcome:
    return Outcome(leave=True)


async def _clear(context: ChatContext, arguments: str) -> Outcome:
    context.conversation.clear()
    return Outcome("Cleared session context.", cleared=True)


async def _help(context: ChatContext, topic: str) -> Outcome:
    match topic:
        case "":
            rows = [
                (", ".join((command.name, *command.aliases)) + f" {command.arguments}",
                 command.summary)
                for command in COMMANDS
            ]  # fmt: skip
            hint = 'Use """ to begin and to end a multi-line message.'
            return Outcome(f"{_table('Available commands:', rows)}\n\n{hint}")
        case "set" | "/set":
            rows = [
                ("/set system TEXT", "how the model should behave; no TEXT: nothing special"),
                ("/set num_ctx N", "context size in tokens"),
                *((f"/set parameter {each.name} {_sample(each.kind)}", each.summary)
                  for each in PARAMETERS),
            ]  # fmt: skip
            return Outcome(_table("Available settings:", rows))
        case "shortcuts":
            return Outcome(context.shortcuts or "There are no shortcuts here.")
    raise InvalidRequestError(f"No help on '{topic}'", "topics: set, shortcuts")


async def _set(context: ChatContext, arguments: str) -> Outcome:
    what, _, value = arguments.partition(" ")
    value = value.strip()
    match what:
        case "system":
            text = re.sub(r'\A"""|"""\Z', "", value).strip()
            context.conversation.system = text or None
            return Outcome("Set system message." if text else "Cleared system message.")
        case "num_ctx":
            return await _set_context_size(context, value)
        case "parameter":
            name, _, value = value.partition(" ")
            return await _set_parameter(context, name, value.strip())
        case "":
            raise InvalidRequestError("Usage: /set system|num_ctx|parameter …", "see /? set")
    raise InvalidRequestError(f"Unknown setting '{what}'", "see /? set")


async def _set_parameter(context: ChatContext, name: str, value: str) -> Outcome:
    if not name:
        raise InvalidRequestError("Usage: /set parameter NAME VALUE", "see /? set")
    parameter = find_parameter(name)
    if not value:
        raise InvalidRequestError(f"Usage: /set parameter {name} {_sample(parameter.kind)}")
    if parameter.name == "num_ctx":
        return await _set_context_size(context, value)
    parameter.set(context.conversation, parameter.parse(value))
    return Outcome(f"Set parameter '{name}' to '{value}'")


async def _set_context_size(context: ChatContext, value: str) -> Outcome:
    parameter = find_parameter("num_ctx")
    if not value:
        raise InvalidRequestError("Usage: /set num_ctx N")
    before = context.conversation.profile
    parameter.set(context.conversation, parameter.parse(value))
    try:
        await context.runner.configure(context.conversation.model, context.conversation.profile)
    except DmrError:
        context.conversation.profile = before
        raise
    return Outcome(f"Set num_ctx to {parameter.get(context.conversation)}")


async def _show(context: ChatContext, what: str) -> Outcome:
    conversation = context.conversation
    match what:
        case "info":
            return await _show_info(context)
        case "system":
            return Outcome(conversation.system or "No system message is set.")
        case "parameters":
            rows = [
                (each.name, str(value))
                for each in PARAMETERS
                if (value := each.get(conversation)) not in (None, [])
            ]
            if not rows:
                return Outcome("No parameters are set; the model's own defaults apply.")
            return Outcome(_table("Parameters:", rows))
    raise InvalidRequestError("Usage: /show info|parameters|system")


async def _show_info(context: ChatContext) -> Outcome:
    model = await context.runner.model(context.conversation.model)
    config = model.config
    rows = [
        ("Model", context.conversation.model),
        ("ID", model.id),
        ("Architecture", config.architecture),
        ("Parameters", config.parameters),
        ("Quantization", config.quantization),
        ("Size", config.size),
        ("Context size", str(config.context_size or "")),
    ]
    return Outcome(_table("", [(name, value) for name, value in rows if value]))


async def _model(context: ChatContext, name: str) -> Outcome:
    conversation = context.conversation
    if not name:
        return Outcome(f"Talking to {conversation.model}. Use /model NAME to change.")
    try:
        await context.runner.model(name)
    except ModelNotFoundError as error:
        hint = error.hint or f"get it with: dmr pull {name}"
        raise ModelNotFoundError(error.message, hint) from error
    conversation.model = name
    return Outcome(f"Now talking to {name}.")


def _sample(kind: type[object]) -> str:
    return {int: "N", float: "X"}.get(kind, "TEXT …")


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    width = max(len(left) for left, _ in rows)
    lines = [f"  {left:<{width}}  {right}".rstrip() for left, right in rows]
    return "\n".join([title, *lines] if title else lines)


COMMANDS: tuple[SlashCommand, ...] = (
    SlashCommand(
        "/set", (), "system|num_ctx|parameter …", "change how the model answers", _set,
        ("system", "num_ctx", "parameter"),
    ),
    SlashCommand(
        "/show", (), "info|parameters|system", "show the model and what is set", _show,
        ("info", "parameters", "system"),
    ),
    SlashCommand("/model", (), "[NAME]", "go on with another model", _model),
    SlashCommand("/clear", ("/new",), "", "forget what was said", _clear),
    SlashCommand("/bye", ("/exit",), "", "leave", _bye),
    SlashCommand("/?", ("/help",), "[set|shortcuts]", "this help", _help, ("set", "shortcuts")),
)  # fmt: skip
