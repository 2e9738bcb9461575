"""Commands that carry a model from place to place: `save`, `load` and `cp`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from dmr_tui.cli.bar import Bar
from dmr_tui.cli.command import command
from dmr_tui.cli.local_store import open_store
from dmr_tui.cli.output import short_id, size_text, talk
from dmr_tui.errors import InvalidRequestError, UsageError


@command(
    "save", "dmr save smollm2 -o smollm2.tar", "dmr save smollm2 | ssh host dmr load",
)  # fmt: skip
@click.argument("model")
@click.option(
    "-o", "--output", metavar="FILE", default="-", help="Where to; standard output by default."
)
def save_command(model: str, output: str) -> None:
    """Write a model to a tar file, in Docker Model Runner's exchange format.

    Every file is held against its digest on the way.
    """
    from dmr_tui.store.archive import save

    store = open_store()
    found = store.find(model)
    with Bar(f"Saving {found.name}") as bar, _output(output) as out:
        save(store, found, out, bar.show)
    if output != "-":
        size = f" ({size_text(Path(output).stat().st_size)})" if Path(output).is_file() else ""
        talk(f"Saved {found.name} to {output}{size}")


@command("load", "dmr load -i smollm2.tar", "dmr load -i smollm2.tar my/copy:v1")
@click.argument("name", required=False)
@click.option(
    "-i",
    "--input",
    "source",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    default="-",
    help="Where from; standard input by default.",
)
def load_command(name: str | None, source: str) -> None:
    """Take a model from a tar file, which may be compressed.

    It gets the names that it had when it was saved, or NAME alone. What is not what its digest
    says is refused.
    """
    from dmr_tui.store.archive import load
    from dmr_tui.store.reference import parse_reference

    store = open_store()
    reference = name and parse_reference(name, default_registry=store.default_registry)
    with Bar("Loading") as bar, _input(source) as file:
        model = load(store, file, reference=reference or None, on_progress=bar.show)
    print(f"Loaded {reference.familiar() if reference else model.name} ({short_id(model.id)})")


@command("cp", "dmr cp smollm2 /mnt/team/models", "dmr cp smollm2 /mnt/team/models team/smollm2:v1")
@click.argument("source")
@click.argument("folder", metavar="STORE", type=click.Path(file_okay=False))
@click.argument("target", required=False)
def cp_command(source: str, folder: str, target: str | None) -> None:
    """Copy the model SOURCE into another store of this machine.

    STORE is that store's folder, as MODELS_PATH would name it; it is made if need be. The model
    keeps its names there, or gets the name TARGET alone. On one file system no bytes are copied:
    both stores share them, and each may remove the model freely.
    """
    from dmr_tui.store.copying import copy_model
    from dmr_tui.store.reference import parse_reference
    from dmr_tui.store.store import Store

    if "/" not in folder and not Path(folder).is_dir():
        # Who comes from Ollama means a name by it.
        raise UsageError(
            f"there is no store's folder {folder} here",
            f"dmr tag {source} {folder} gives the model one more name\n"
            f"dmr cp {source} ./{folder} makes a store",
        )
    here = open_store()
    there = Store(Path(folder).absolute(), default_registry=here.default_registry)
    reference = target and parse_reference(target, default_registry=here.default_registry)
    model = here.find(source)
    with Bar(f"Copying {model.name}") as bar:
        copied, how = copy_model(here, model, there, reference or None, bar.show)
    shown = reference.familiar() if reference else copied.name
    print(f"Copied {shown} to the store in {folder} ({how}, {size_text(copied.size)})")


@contextmanager
def _output(path: str) -> Iterator[BinaryIO]:
    """Where to write; a file appears under its name only once it is whole.

    A pipe or a device is written into, and a link keeps pointing to its file.

    Raises:
        UsageError: it would go to a terminal.
        InvalidRequestError: the file cannot be written.
    """
    if path == "-":
        if sys.stdout.isatty():
            raise UsageError("a tar file is nothing for a terminal", "name a file: -o model.tar")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(path)
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file
            return
        target = target.resolve()
        temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            with temporary.open("wb") as file:
                yield file
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidRequestError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def _input(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        if sys.stdin.isatty():
            raise UsageError("no tar file on standard input", "name a file: -i model.tar")
        yield sys.stdin.buffer
        return
    with Path(path).open("rb") as file:
        yield file
