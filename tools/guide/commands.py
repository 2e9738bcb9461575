"""The command line as it is: which commands an answer names, and whether they exist.

Answers are only as good as the commands in them, so nothing here is written down twice: names,
flags, help and examples come from `dmr`'s own click commands.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

import click

from dmr_tui.cli.command import Command
from dmr_tui.cli.main import COMMANDS, dmr

_QUOTED = re.compile(r"`([^`]+)`")
_BEFORE_DMR = re.compile(r"^(?:xargs |[A-Z_]+=\S+ )*")


@dataclass(frozen=True)
class Summary:
    """What the program says of one of its commands.

    Attributes:
        name: `list`.
        help: the first paragraph of its help.
        example: its first example that calls it.
        flags: its options, each by its shortest spelling.
    """

    name: str
    help: str
    example: str
    flags: tuple[str, ...]


def commands_in(text: str) -> list[str]:
    """The `dmr` command lines that stand in backticks in an answer."""
    found = []
    for quoted in _QUOTED.findall(text):
        for part in quoted.split("|"):
            line = _BEFORE_DMR.sub("", part.strip())
            if line == "dmr" or line.startswith("dmr "):
                # xargs brings the names itself.
                found.append(line + " NAME" if "xargs" in part else line)
    return found


def fault(line: str) -> str | None:
    """What is wrong with a command line, or None; nothing is run and no file is looked for."""
    words = shlex.split(line)[1:]
    context = click.Context(dmr, info_name="dmr")
    try:
        if words[:1] == ["COMMAND"] or not words:
            return None
        if words[0].startswith("-"):
            dmr.make_parser(context).parse_args(list(words))
            return None
        name, command, rest = dmr.resolve_command(context, words)
        if command is None:
            return f"no command {words[0]}"
        if rest:  # `dmr pull` alone speaks of the command
            _check_arguments(click.Context(command, context, info_name=name), rest)
    except click.ClickException as error:
        return error.format_message()
    return None


def _check_arguments(context: click.Context, words: list[str]) -> None:
    if "--help" in words:
        return
    values, rest, _ = context.command.make_parser(context).parse_args(list(words))
    if rest:
        raise click.UsageError(f"too many words: {rest}")
    for parameter in context.command.get_params(context):
        value = values.get(parameter.name or "")
        if parameter.required and not isinstance(value, str | tuple | list):
            raise click.UsageError(f"{parameter.human_readable_name} is missing")
        if isinstance(value, str) and not isinstance(parameter.type, click.Path):
            parameter.type.convert(value, parameter, context)


def exists(answer: str) -> bool:
    """Whether every command in an answer can be typed as it stands."""
    return all(fault(line) is None for line in commands_in(answer))


def summaries() -> list[Summary]:
    """Every command, in the order of `dmr --help`."""
    return [_summary(name) for name in COMMANDS]


def _summary(name: str) -> Summary:
    context = click.Context(dmr, info_name="dmr")
    command = dmr.get_command(context, name)
    assert isinstance(command, Command)
    examples = [line for line in command.examples if line.startswith(f"dmr {name}")]
    flags = [
        min(parameter.opts, key=len)
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
    ]
    first = (command.help or "").split("\n\n")[0]
    return Summary(name, " ".join(first.split()), examples[0] if examples else "", tuple(flags))
