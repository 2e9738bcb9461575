"""Commands that move models: `pull` and `push`."""

from __future__ import annotations

import click

from dmr_tui.cli.command import command, with_runner
from dmr_tui.cli.progress import show_transfer


@command(
    "pull",
    "dmr pull smollm2",
    "dmr pull ai/gemma3:4B-Q4_K_M",
    "dmr pull hf.co/Qwen/Qwen3-0.6B-GGUF:Q8_0",
    "dmr pull localhost:5000/me/model",
    "dmr pull dmr/guide",
    "dmr pull --mirror https://mirror.example.com smollm2",
)
@click.argument("model")
@click.option(
    "--mirror",
    "mirrors",
    metavar="URL",
    multiple=True,
    help="Ask there for a model of Docker Hub first; may be repeated.",
)
def pull_command(model: str, mirrors: tuple[str, ...]) -> None:
    """Download a model.

    A download that was interrupted goes on where it stopped. Proxies are taken from HTTPS_PROXY and
    NO_PROXY, credentials from docker login and dmr login, mirrors that are always asked from the
    setting 'mirrors'. The built-in model, dmr/guide, comes from the program itself.
    """
    changes = {"mirrors": ",".join(mirrors)} if mirrors else {}
    print(with_runner(lambda runner: show_transfer(runner.pull(model)), changes=changes))


@command("push", "dmr push registry.example.com/me/model:v1")
@click.argument("model")
def push_command(model: str) -> None:
    """Upload a model to the registry in its name."""
    print(with_runner(lambda runner: show_transfer(runner.push(model))))
