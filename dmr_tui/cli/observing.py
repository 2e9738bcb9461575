"""Commands that show what happens in the runner: `logs` and `requests`."""

from __future__ import annotations

import sys
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from dmr_tui.cli.command import command, with_runner
from dmr_tui.cli.output import display_name, talk
from dmr_tui.errors import UnavailableError, UsageError
from dmr_tui.runner.activity.filtering import parse_filter
from dmr_tui.runner.activity.log_lines import line_text
from dmr_tui.runner.activity.records import LEVELS, LogLine, RequestRecord
from dmr_tui.runner.base import Runner
from dmr_tui.settings import parse_duration
from dmr_tui.widgets.printable import printable

if TYPE_CHECKING:
    from dmr_tui.runner.remote import RemoteRunner

_COLOURS = {"warn": "yellow", "error": "red", "debug": "bright_black"}


@command(
    "logs",
    "dmr logs",
    "dmr logs --follow",
    "dmr logs --since 10m --level warn",
    "dmr logs --filter 'source:load OR error'",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with the lines that come.")
@click.option("--no-engines", is_flag=True, help="Without the engines' own logs.")
@click.option("--since", metavar="DURATION", help="Only what is not older, such as 10m.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="Only this and worse.")
@click.option("--filter", "expression", default="", metavar="EXPR", help="Only what matches.")
def logs_command(
    follow: bool, no_engines: bool, since: str | None, level: str, expression: str
) -> None:
    """Show the logs of the runner and of its engines, merged by time.

    They are there also while no server runs.
    """
    oldest = 0.0 if since is None else time.time() - parse_duration(since, "--since")
    wanted = parse_filter(expression)
    worst = LEVELS[LEVELS.index(level) :]

    async def show(runner: Runner) -> None:
        async with aclosing(runner.logs(follow=follow, engines=not no_engines)) as batches:
            async for batch in batches:
                for line in batch:
                    if line.time >= oldest and line.level in worst and wanted.line(line):
                        print(_log_text(line))
                sys.stdout.flush()

    with_runner(show)


def on_terminal() -> bool:
    """Whether a person reads what is printed."""
    return sys.stdout.isatty()


def _log_text(line: LogLine) -> str:
    text = printable(line_text(line))
    colour = _COLOURS.get(line.level)
    return click.style(text, fg=colour) if colour and sys.stdout.isatty() else text


@command(
    "requests",
    "dmr requests",
    "dmr requests --model smollm2",
    "dmr requests --follow --include-existing",
    "dmr requests --json",
)
@click.option("--model", metavar="NAME", default="", help="Only requests to this model.")
@click.option("-f", "--follow", is_flag=True, help="Go on with the requests that come.")
@click.option("--include-existing", is_flag=True, help="With --follow: those before it as well.")
@click.option("--json", "as_json", is_flag=True, help="JSON with the texts, also on a terminal.")
@click.option("--filter", "expression", default="", metavar="EXPR", help="Only what matches.")
def requests_command(
    model: str, follow: bool, include_existing: bool, as_json: bool, expression: str
) -> None:
    """Show the requests that the server has answered.

    On a terminal, and with --filter, one line each; elsewhere JSON, as Docker Model Runner has it,
    with the texts of the newest. They are kept in the server's memory only.
    """
    if include_existing and not follow:
        raise UsageError("--include-existing can only be used with --follow")
    wanted = parse_filter(expression)
    if expression and as_json:
        raise UsageError("--filter is for lines, not for JSON", "use jq for that")
    plain = not as_json and (on_terminal() or bool(expression))

    async def show(runner: Runner) -> None:
        remote = _served(runner)
        if not plain:
            await _print_json(remote, model, follow=follow, existing=include_existing)
            return
        if follow:
            talk("Connected to request stream. Press Ctrl+C to stop.")
        first = True
        async with aclosing(remote.activity()) as changes:
            async for change in changes:
                if not first or include_existing or not follow:
                    for record in change.requests:
                        if not record.running and _asked(record, model) and wanted.request(record):
                            print(_request_text(record))
                first = False
                sys.stdout.flush()
                if not follow:
                    return

    with_runner(show)


def _served(runner: Runner) -> RemoteRunner:
    """The runner, if it is a server's: nobody else has requests to tell of.

    Raises:
        UnavailableError: no server runs.
    """
    from dmr_tui.runner.remote import RemoteRunner

    if not isinstance(runner, RemoteRunner):
        raise UnavailableError(
            "dmr's server is not running, and requests are kept in its memory only",
            "start it with: dmr start-runner\nthe log tells of earlier ones: dmr logs --no-engines",
        )
    return runner


async def _print_json(remote: RemoteRunner, model: str, *, follow: bool, existing: bool) -> None:
    if not follow:
        print((await remote.requests_json(model)).decode("utf-8", "replace").rstrip())
        return
    talk("Connected to request stream. Press Ctrl+C to stop.")
    try:
        async with aclosing(remote.requests_stream(model, existing=existing)) as payloads:
            async for payload in payloads:
                print(payload.decode("utf-8", "replace"), flush=True)
    except UnavailableError as error:
        talk(f"{error.message}.")
        return
    talk("Stream closed by server.")


def _asked(record: RequestRecord, model: str) -> bool:
    return not model or model in (record.model, record.model_id, display_name(record.model))


def _request_text(record: RequestRecord) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.time))
    tokens = f"{_count(record.prompt_tokens)}→{_count(record.completion_tokens)}"
    took = "" if record.seconds is None else f"{record.seconds:.2f} s"
    error = "" if record.error is None else record.error.message
    row = (
        f"{moment}  {record.status}  {display_name(record.model):<24}  "
        f"{record.protocol or record.path:<16}  {tokens:>12}  {took:>9}  {record.client}  {error}"
    )
    text = printable(row.replace("\n", " ").rstrip())
    return click.style(text, fg="red") if record.status >= 400 else text


def _count(tokens: int | None) -> str:
    return "–" if tokens is None else str(tokens)
