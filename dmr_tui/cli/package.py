"""`dmr package`: a model of files, or of another model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dmr_tui.cli.bar import Bar
from dmr_tui.cli.command import command, with_runner
from dmr_tui.cli.local_store import open_store
from dmr_tui.cli.output import short_id, talk
from dmr_tui.cli.progress import show_transfer
from dmr_tui.errors import UsageError

if TYPE_CHECKING:
    from dmr_tui.store.parts import Extras
    from dmr_tui.store.reference import Reference
    from dmr_tui.store.store import Store, StoredModel

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_SOURCES = "--gguf, --safetensors-dir or --from"


@command(
    "package",
    "dmr package --gguf model.gguf myorg/model:v1",
    "dmr package --gguf model.gguf --context-size 8192 -l LICENSE myorg/model",
    "dmr package --safetensors-dir ./model --push registry.example.com/myorg/model:v1",
    "dmr package --from smollm2 --context-size 4096 myorg/smollm2:4k",
)
@click.option("--gguf", metavar="FILE", type=_FILE, help="The weights; of shards, the first one.")
@click.option(
    "--safetensors-dir",
    metavar="DIR",
    type=_FOLDER,
    help="A folder of safetensors and what is beside them.",
)
@click.option("--from", "source", metavar="MODEL", help="A model of the store, changed.")
@click.option(
    "--chat-template",
    metavar="FILE",
    type=_FILE,
    help="A Jinja template that replaces the model's own.",
)
@click.option(
    "-l",
    "--license",
    "licenses",
    metavar="FILE",
    type=_FILE,
    multiple=True,
    help="A license; may be repeated.",
)
@click.option(
    "--mmproj", metavar="FILE", type=_FILE, help="The projector of a model that sees images."
)
@click.option(
    "--lora",
    metavar="FILE",
    type=_FILE,
    multiple=True,
    help="A LoRA adapter (GGUF); may be repeated.",
)
@click.option(
    "--context-size", metavar="N", type=click.IntRange(min=1), help="Context tokens to run it with."
)
@click.option(
    "--format",
    "artifact_format",
    type=click.Choice(["docker", "cncf"]),
    help="Media types of the artifact; docker, or with --from the model's own.",
)
@click.option("--push", is_flag=True, help="Upload the model to the registry in its name too.")
@click.argument("model")
def package_command(
    gguf: Path | None,
    safetensors_dir: Path | None,
    source: str | None,
    chat_template: Path | None,
    licenses: tuple[Path, ...],
    mmproj: Path | None,
    lora: tuple[Path, ...],
    context_size: int | None,
    artifact_format: Literal["docker", "cncf"] | None,
    push: bool,
    model: str,
) -> None:
    """Make a model named MODEL of files or of another model, and put it into the store.

    The same files give the same id on every machine. With --from nothing is copied: both models
    share their files.
    """
    from dmr_tui.store.parts import Extras
    from dmr_tui.store.reference import parse_reference

    given = [each for each in (gguf, safetensors_dir, source) if each is not None]
    if not given:
        raise UsageError(f"One of {_SOURCES} is required.")
    if len(given) > 1:
        raise UsageError(f"Cannot specify more than one of {_SOURCES}.")
    store = open_store()
    reference = parse_reference(model, default_registry=store.default_registry)
    extras = Extras(
        licenses=[file.absolute() for file in licenses],
        chat_template=chat_template and chat_template.absolute(),
        mmproj=mmproj and mmproj.absolute(),
        lora=[file.absolute() for file in lora],
        context_size=context_size,
    )
    _announce(gguf, safetensors_dir, source, extras)
    made = _package(store, gguf, safetensors_dir, source, reference, extras, artifact_format)
    talk(f"Model loaded successfully as {reference.familiar()} ({short_id(made.id)})")
    if push:
        with_runner(lambda runner: show_transfer(runner.push(model)), store_only=True)
        talk("Model pushed successfully")


def _package(
    store: Store,
    gguf: Path | None,
    folder: Path | None,
    source: str | None,
    reference: Reference,
    extras: Extras,
    artifact_format: Literal["docker", "cncf"] | None,
) -> StoredModel:
    from dmr_tui.store import package

    with Bar("Packaging") as bar:
        if source is not None:
            return package.repackage(
                store,
                store.find(source),
                reference,
                extras=extras,
                artifact_format=artifact_format,
                on_progress=bar.show,
            )
        make = package.package_gguf if gguf else package.package_safetensors
        path = gguf or folder
        assert path is not None
        return make(
            store,
            path.absolute(),
            reference,
            extras=extras,
            artifact_format=artifact_format or "docker",
            on_progress=bar.show,
        )


def _announce(gguf: Path | None, folder: Path | None, source: str | None, extras: Extras) -> None:
    """Say what goes into the package."""
    if gguf is not None:
        talk(f"Adding GGUF file from {gguf}")
    if folder is not None:
        talk(f"Scanning directory {folder} for safetensors model...")
    if source is not None:
        talk(f"Reading model from store: {source}")
    if extras.context_size is not None:
        talk(f"Setting context size {extras.context_size}")
    for file in extras.licenses:
        talk(f"Adding license file from {file}")
    if extras.chat_template is not None:
        talk(f"Adding chat template file from {extras.chat_template}")
    if extras.mmproj is not None:
        talk(f"Adding multimodal projector file from {extras.mmproj}")
    for file in extras.lora:
        talk(f"Adding LoRA adapter from {file}")
