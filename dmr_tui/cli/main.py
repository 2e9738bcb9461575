"""`dmr`: the table of commands, and the edge where every failure is shown once.

The table knows each command's module but imports it only when that command runs, so that
`dmr --help` costs no more than click itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from dmr_tui import __version__
from dmr_tui.errors import DmrError

INTERRUPTED = 130


@dataclass(frozen=True)
class Entry:
    """Where a command lives.

    Attributes:
        module: its module below `dmr_tui.cli`; the command is named `NAME_command` there, with
            `_` for `-`.
        summary: its line in `dmr --help`.
    """

    module: str
    summary: str


SECTIONS: dict[str, dict[str, Entry]] = {
    "Talk to a model": {
        "run": Entry("run", "Run a model and talk to it"),
    },
    "Keep models": {
        "pull": Entry("transfers", "Download a model"),
        "push": Entry("transfers", "Upload a model to its registry"),
        "pulls": Entry("pulls", "List downloads that are not finished"),
        "search": Entry("search", "Look for models on Docker Hub and Hugging Face"),
        "login": Entry("login", "Log in to a registry"),
        "logout": Entry("login", "Log out of a registry"),
        "list": Entry("models", "List the models on this machine"),
        "inspect": Entry("models", "Show all facts of a model as JSON"),
        "show": Entry("models", "Show what a model is"),
        "tag": Entry("models", "Give a model one more name"),
        "rm": Entry("models", "Remove models"),
        "df": Entry("models", "Show how much disk the models take"),
        "prune": Entry("store_care", "Remove what no model needs"),
        "purge": Entry("store_care", "Remove all models"),
        "fsck": Entry("store_care", "Check the models on disk, and repair them"),
        "save": Entry("exchange", "Write a model to a tar file"),
        "load": Entry("exchange", "Take a model from a tar file"),
        "cp": Entry("exchange", "Copy a model to another store"),
        "package": Entry("package", "Make a model of files"),
        "import": Entry("importing", "Use the models that other programs have"),
    },
    "Run models for other programs": {
        "serve": Entry("serve", "Serve models over HTTP, in the foreground"),
        "start-runner": Entry("background", "Serve models over HTTP, in the background"),
        "stop-runner": Entry("background", "Stop the server that runs in the background"),
        "status": Entry("running", "Show whether the server runs, and its engines"),
        "ps": Entry("running", "List the models in memory"),
        "unload": Entry("running", "Take models out of memory"),
        "requests": Entry("observing", "Show the requests that the server has answered"),
        "logs": Entry("observing", "Show the logs of the runner and its engines"),
        "version": Entry("running", "Show the versions of client and server"),
    },
}
ALIASES = {"ls": "list", "stop": "unload"}
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class CommandTable(click.Group):
    """A group that imports a command's module when the command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, without aliases."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command."""
        name = ALIASES.get(cmd_name, cmd_name)
        entry = COMMANDS.get(name)
        if entry is None:
            return None
        module = import_module(f"dmr_tui.cli.{entry.module}")
        command = getattr(module, f"{name.replace('-', '_')}_command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when there is none of that name; `help X` is `X --help`."""
        if args[0] == "help" and not any(each.startswith("-") for each in args):
            if len(args) == 1:
                click.echo(ctx.get_help())
                ctx.exit()
            args = [*args[1:], "--help"]
        if args[0] not in COMMANDS and args[0] not in ALIASES and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], [*COMMANDS, *ALIASES], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table by its sections, without importing a command."""
        names = {target: name for name, target in ALIASES.items()}
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (f"{name}, {names[name]}" if name in names else name, entry.summary)
                        for name, entry in entries.items()
                    ],
                    col_max=16,
                )


@click.group(
    cls=CommandTable,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    options_metavar="",
    subcommand_metavar="[COMMAND]",
    epilog="Without a command, on a terminal, dmr opens its screens. "
    "'dmr COMMAND --help' tells more about a command.",
)
@click.version_option(__version__, "-v", "--version", message="dmr version %(version)s")
@click.option("-c", "--continue", "goes_on", is_flag=True, help="Open the chat that was last.")
@click.pass_context
def dmr(ctx: click.Context, goes_on: bool) -> None:
    """AI models on your own machine, handled like packages."""
    if ctx.invoked_subcommand is not None:
        if goes_on:
            ctx.fail("--continue is for dmr alone; there is dmr run --continue")
        return
    terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    # `textual serve` draws in a browser over pipes, and says so by naming a driver.
    if terminal or os.environ.get("TEXTUAL_DRIVER"):
        from dmr_tui.app import DmrApp

        app = DmrApp(goes_on=goes_on)
        app.run()
        ctx.exit(app.return_code or 0)
    else:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1, 2 for usage, 130 for Ctrl-C.

    Args:
        arguments: without the program's name; None: the process's own.
    """
    _open_missing_streams()
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
    except DmrError as error:
        from dmr_tui.cli.output import error_text, talk

        talk(error_text(error))
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo(err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has enough.
        _close_stdout()
        return 1
    except OSError as error:
        # What the machine refuses, such as room on the disk that stdout goes to.
        from dmr_tui.cli.output import error_text, talk

        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        talk(error_text(DmrError(f"{where}{error.strerror or error}")))
        _close_stdout()
        return 1
    return code


def _open_missing_streams() -> None:
    """Have all standard streams: Python has none for `dmr … >&-`."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the end


def _close_stdout() -> None:
    """Let nobody hear what is still to come: Python flushes stdout once more at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:
        return


def _invoke(arguments: Sequence[str] | None) -> int:
    result: Any = dmr.main(
        args=None if arguments is None else list(arguments), prog_name="dmr", standalone_mode=False
    )
    return result if isinstance(result, int) else 0
