"""Commands on what runs: `ps`, `unload`, `status` and `version`."""

from __future__ import annotations

import platform
import time

import click

from dmr_tui import __version__
from dmr_tui.cli.command import command, with_runner
from dmr_tui.cli.output import display_name, duration_text, json_text, table
from dmr_tui.engine.profile import RunningModel
from dmr_tui.errors import UnavailableError, UsageError
from dmr_tui.runner.base import Runner, RunnerStatus
from dmr_tui.settings import load_settings


@command("ps", "dmr ps", "dmr ps --json")
@click.option("--json", "as_json", is_flag=True, help="Print an array of running models.")
def ps_command(as_json: bool) -> None:
    """List the models in memory."""
    running = with_runner(lambda runner: runner.running())
    if as_json:
        print(json_text(running))
        return
    registry = load_settings().default_registry
    rows = [
        (display_name(each.name, registry), each.backend, each.mode, until(each))
        for each in running
    ]
    print(table(("MODEL NAME", "BACKEND", "MODE", "UNTIL"), rows))


def until(model: RunningModel) -> str:
    """When an idle model leaves memory, in words."""
    if model.state == "loading":
        return "Loading..." if model.progress is None else f"Loading... {model.progress:.0%}"
    if model.state == "unloading":
        return "Expiring"
    if model.keep_alive < 0:
        return "Forever"
    idle = time.time() - model.last_used if model.last_used and not model.in_use else 0.0
    left = model.keep_alive - idle
    return f"{duration_text(left)} from now" if left > 0 else "Expiring"


@command("unload", "dmr unload smollm2", "dmr unload --all")
@click.argument("models", metavar="[MODEL...]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Unload every idle model.")
def unload_command(models: tuple[str, ...], everything: bool) -> None:
    """Take models out of memory; those that are answering stay."""
    if bool(models) == everything:
        raise UsageError(
            "name the models to unload, or use --all (not both)", "dmr ps lists what is loaded"
        )
    count = with_runner(lambda runner: runner.unload(models or None))
    if count:
        print(f"Unloaded {count} model(s).")
    else:
        print("No such model(s) running." if models else "No models are running.")


@command("status", "dmr status", "dmr status --json")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def status_command(as_json: bool) -> None:
    """Show whether the server runs, and its engines.

    Leaves with 1 when it does not.
    """
    found = with_runner(_status)
    running = bool(found.endpoint)
    if as_json:
        endpoint = f"{found.endpoint.rstrip('/')}/v1/" if running else ""
        facts = {
            "running": running,
            "backends": found.backends,
            "kind": found.kind,
            "endpoint": endpoint,
            "endpointHost": endpoint,
        }
        print(json_text(facts, indent=0))
    elif running:
        print(f"dmr is running at {found.endpoint}\n")
        print(table(("BACKEND", "STATUS", "DETAILS"), _backends(found)))
    if not running:
        raise UnavailableError(
            "dmr's server is not running",
            "start it with: dmr start-runner\ncommands such as dmr run work without it",
        )


async def _status(runner: Runner) -> RunnerStatus:
    return await runner.status()


def _backends(found: RunnerStatus) -> list[tuple[str, str, str]]:
    order = ("Running", "Error", "Not Installed", "Installing")

    def row(name: str, state: str) -> tuple[str, str, str]:
        word, _, details = state.partition(":")
        return name, word.strip(), details.strip()

    rows = [row(name, state) for name, state in found.backends.items()]
    return sorted(rows, key=lambda each: (order.index(each[1]) if each[1] in order else 9, each[0]))


@command("version", "dmr version", "dmr version --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def version_command(as_json: bool) -> None:
    """Show the versions of client and server."""
    system = f"{platform.system().lower()}/{platform.machine()}"
    try:
        server = with_runner(_status)
    except UnavailableError:
        server = RunnerStatus("", "", "", {})
    engine = server.kind if server.endpoint else ""
    if as_json:
        client = {"version": __version__, "osArch": system}
        facts = {"version": server.version, "engine": engine} if engine else None
        print(json_text({"client": client, "server": facts}))
        return
    print(f"Client:\n Version:    {__version__}\n OS/Arch:    {system}\n\nServer:")
    print(f" Version:    {server.version if engine else '(not reachable)'}")
    print(f" Engine:     {engine or '(not reachable)'}")
