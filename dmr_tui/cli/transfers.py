"""Commands that move models: `pull` and `push`."""

from __future__ import annotations

import click

from dmr_tui.cli.command import command, with_runner
from dmr_tui.cli.progress import show_transfer


@command(
    "pull", "dmr pull smollm2", "dmr pull ai/gemma3:4B-Q4_K_M", "dmr pull localhost:5000/me/model"
)
@click.argument("model")
def pull_command(model: str) -> None:
    """Download a model.

    A download that was interrupted goes on where it stopped. Proxies are taken from HTTPS_PROXY,
    credentials from docker login and dmr login.
    """
    print(with_runner(lambda runner: show_transfer(runner.pull(model))))


@command("push", "dmr push registry.example.com/me/model:v1")
@click.argument("model")
def push_command(model: str) -> None:
    """Upload a model to the registry in its name."""
    print(with_runner(lambda runner: show_transfer(runner.push(model))))
