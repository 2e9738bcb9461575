"""`dmr import`: models that other programs have on this machine already."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dmr_tui.cli.bar import Bar
from dmr_tui.cli.command import command
from dmr_tui.cli.local_store import open_store
from dmr_tui.cli.output import json_text, size_text, table, talk
from dmr_tui.errors import DmrError, ModelNotFoundError, UsageError

if TYPE_CHECKING:
    from dmr_tui.store.foreign import Foreign
    from dmr_tui.store.store import Store

_PROGRAMS = ["ollama", "huggingface", "lmstudio", "ramalama"]


@command(
    "import",
    "dmr import --scan",
    "dmr import ollama/llama3.2:1b",
    "dmr import --all --from ollama",
    "dmr import ./model-Q4_K_M.gguf --name my/model:v1",
)
@click.argument("what", metavar="[NAME|PATH]...", nargs=-1)
@click.option("--scan", is_flag=True, help="List what can be imported, and import nothing.")
@click.option("-a", "--all", "everything", is_flag=True, help="Import all that is found.")
@click.option(
    "--from",
    "program",
    type=click.Choice(_PROGRAMS),
    help="Keep to the models of one program.",
)
@click.option("--name", help="The name that a single model gets, instead of the one in the list.")
@click.option("--verify", is_flag=True, help="Read the files although their digests are known.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def import_command(
    what: tuple[str, ...],
    scan: bool,
    everything: bool,
    program: str | None,
    name: str | None,
    verify: bool,
    as_json: bool,
) -> int:
    """Use models of Ollama, LM Studio, RamaLama and the Hugging Face cache, and loose GGUF files.

    Nothing is copied where the disk allows: files are shared by a reflink, else a hard link, else a
    symbolic link; a copy is the last resort, and said so. Models of Ollama are called ollama/NAME,
    those of LM Studio lmstudio/NAME, those of the Hugging Face cache hf.co/ORG/NAME, loose files
    local/NAME; --name gives another one. PATH is a GGUF file or a folder of them.
    """
    store = open_store()
    found = _found(what, program, store.root)
    if scan or not (what or everything):
        _print_list(found, store, as_json)
        return 0
    if name is not None and len(found) != 1:
        raise UsageError(f"--name is for one model, and these are {len(found)}")
    failures = [model for model in found if not _import(store, model, name, verify)]
    return 1 if failures else 0


def _found(what: tuple[str, ...], program: str | None, ours: Path) -> list[Foreign]:
    """The models that are meant: all that are found, or those that are named.

    What lies in the store itself, at `ours`, is no other program's.

    Raises:
        ModelNotFoundError: nothing is called so.
    """
    from dmr_tui.store.foreign import find_files, find_models

    named = [each for each in what if not _is_path(each)]
    found: list[Foreign] = []
    for each in what:
        if _is_path(each):
            files = list(find_files(Path(each).expanduser(), but_not=ours))
            if not files:
                raise ModelNotFoundError(f"no GGUF model in {each}")
            found += files
    if what and not named:
        return found
    known = find_models(os.environ, Path.home())
    known = [each for each in known if program in (None, each.program)]
    if not what:
        return known
    for each in named:
        meant = [model for model in known if each in (model.name, model.name + ":latest")]
        if not meant:
            raise ModelNotFoundError(
                f"no other program has a model called {each}",
                "see what there is: dmr import --scan",
            )
        found += meant[:1]
    return found


def _is_path(text: str) -> bool:
    return text.startswith((".", "/", "~")) or text.lower().endswith(".gguf")


def _print_list(found: list[Foreign], store: Store, as_json: bool) -> None:
    names = {model_name for model in store.models() for model_name in _names(model.tags)}
    if as_json:
        rows = [
            {
                "name": each.name,
                "program": each.program,
                "size": each.size,
                "path": str(each.path),
                "imported": each.name in names,
            }
            for each in found
        ]
        print(json_text(rows))
        return
    print(
        table(
            ("NAME", "FROM", "SIZE", "IMPORTED", "PATH"),
            [
                (
                    each.name,
                    each.program,
                    size_text(each.size),
                    "yes" if each.name in names else "",
                    str(each.path),
                )
                for each in found
            ],
        )
    )
    if found:
        talk("Import one with: dmr import NAME, or all with: dmr import --all")
    else:
        talk("No models of Ollama, LM Studio, RamaLama or the Hugging Face cache were found.")


def _names(tags: tuple[str, ...]) -> list[str]:
    from dmr_tui.store.reference import familiar

    return [familiar(tag) for tag in tags]


def _import(store: Store, model: Foreign, name: str | None, verify: bool) -> bool:
    from dmr_tui.store.adopt import adopt
    from dmr_tui.store.reference import parse_reference

    # What is found has a name of Docker Hub's form, whatever the default registry is.
    reference = (
        parse_reference(name, default_registry=store.default_registry)
        if name
        else parse_reference(model.name)
    )
    try:
        with Bar(f"Importing {reference.familiar()}") as bar:
            _, how = adopt(store, model, reference, verify=verify, on_progress=bar.show)
    except DmrError as error:
        # One that fails is no reason to leave out the others.
        talk(f"{model.name} was not imported: {error.message}")
        return False
    print(f"Imported {reference.familiar()} ({how}, {size_text(model.size)})")
    if how == "copy":
        talk("It was copied: its files are on another disk that cannot be linked to.")
    elif how == "symbolic link":
        talk("It is linked by a path: it is lost when the other program removes the file.")
    return True
