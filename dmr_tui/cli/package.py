"""`dmr package`: a model of a GGUF file."""

from __future__ import annotations

from pathlib import Path

import click

from dmr_tui.cli.command import command, with_runner
from dmr_tui.cli.output import short_id, talk
from dmr_tui.cli.progress import show_transfer
from dmr_tui.paths import Paths
from dmr_tui.settings import load_settings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@command(
    "package",
    "dmr package --gguf model.gguf myorg/model:v1",
    "dmr package --gguf model.gguf --context-size 8192 -l LICENSE myorg/model",
    "dmr package --gguf model.gguf --push registry.example.com/myorg/model:v1",
)
@click.option("--gguf", type=_FILE, required=True, help="The weights; of shards, the first one.")
@click.option(
    "-l", "--license", "licenses", type=_FILE, multiple=True, help="A license; may be repeated."
)
@click.option(
    "--context-size", metavar="N", type=click.IntRange(min=1), help="Context tokens to run it with."
)
@click.option("--chat-template", type=_FILE, help="A Jinja template that replaces the GGUF's own.")
@click.option("--mmproj", type=_FILE, help="The projector of a model that sees images.")
@click.option("--push", is_flag=True, help="Upload the model to the registry in its name too.")
@click.argument("model")
def package_command(
    gguf: Path,
    licenses: tuple[Path, ...],
    context_size: int | None,
    chat_template: Path | None,
    mmproj: Path | None,
    push: bool,
    model: str,
) -> None:
    """Make a model named MODEL of a GGUF file and put it into the store."""
    from dmr_tui.store.package import package_gguf
    from dmr_tui.store.reference import parse_reference
    from dmr_tui.store.store import Store

    paths = Paths.default()
    settings = load_settings(paths)
    reference = parse_reference(model, default_registry=settings.default_registry)
    talk(f"Adding GGUF file from {gguf}")
    if context_size is not None:
        talk(f"Setting context size {context_size}")
    for license_file in licenses:
        talk(f"Adding license file from {license_file}")
    if chat_template is not None:
        talk(f"Adding chat template file from {chat_template}")
    if mmproj is not None:
        talk(f"Adding multimodal projector file from {mmproj}")
    made = package_gguf(
        Store(paths.models, default_registry=settings.default_registry),
        gguf.absolute(),
        reference,
        licenses=[file.absolute() for file in licenses],
        context_size=context_size,
        chat_template=chat_template and chat_template.absolute(),
        mmproj=mmproj and mmproj.absolute(),
    )
    talk(f"Model loaded successfully as {reference.familiar()} ({short_id(made.id)})")
    if push:
        with_runner(lambda runner: show_transfer(runner.push(model)), store_only=True)
        talk("Model pushed successfully")
