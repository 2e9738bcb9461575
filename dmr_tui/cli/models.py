"""Commands on the store: `list`, `inspect`, `show`, `tag`, `rm` and `df`."""

from __future__ import annotations

import gc
import time
from datetime import UTC, datetime
from typing import Any

import click

from dmr_tui.cli.command import command, with_runner
from dmr_tui.cli.output import (
    display_name,
    duration_text,
    json_text,
    short_id,
    size_text,
    table,
    talk,
)
from dmr_tui.errors import ModelNotFoundError, UsageError
from dmr_tui.runner.base import Model, Runner
from dmr_tui.settings import load_settings
from dmr_tui.store.reference import looks_like_id, parse_reference, readable

_HEADERS = (
    "MODEL NAME",
    "PARAMETERS",
    "QUANTIZATION",
    "ARCHITECTURE",
    "MODEL ID",
    "CREATED",
    "CONTEXT",
    "SIZE",
)


@command("list", "dmr list", "dmr list smollm2", "dmr list -q | xargs dmr rm")
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print an array of model objects.")
@click.option("--openai", is_flag=True, help="Print OpenAI's list object.")
@click.option("-q", "--quiet", is_flag=True, help="Print ids only.")
def list_command(model: str | None, as_json: bool, openai: bool, quiet: bool) -> None:
    """List the models on this machine.

    MODEL keeps to one model: all its tags, or one of them when MODEL says which.
    """
    if quiet and openai:
        raise UsageError("--quiet flag cannot be used with --openai")
    registry = load_settings().default_registry
    gc.disable()  # this process ends soon, and thousands of models are a lot to look through
    found = with_runner(lambda runner: runner.models(), store_only=True)
    if model is not None:
        found = [each for each in (_filtered(each, model, registry) for each in found) if each]
    if openai:
        print(json_text({"object": "list", "data": [_openai_object(each) for each in found]}))
    elif as_json:
        print(json_text(found))
    elif quiet:
        print("".join(f"{short_id(each.id)}\n" for each in found), end="")
    else:
        print(table(_HEADERS, _rows(found, registry)))
        if not found and model is None:
            talk("No models yet. Get one with: dmr pull smollm2")
            talk("  dmr run dmr/guide runs the tiny model that comes with dmr")


def _filtered(model: Model, wanted: str, registry: str) -> Model | None:
    """The model with those of its tags that `wanted` means; None when it means none."""
    if looks_like_id(wanted) and model.id.removeprefix("sha256:").startswith(
        wanted.removeprefix("sha256:")
    ):
        return model
    reference = parse_reference(wanted, default_registry=registry)
    exact = ":" in wanted.rpartition("/")[2]

    def matches(tag: str) -> bool:
        return any(
            (have.registry, have.repository) == (reference.registry, reference.repository)
            and (not exact or have.tag == reference.tag)
            for have in readable([tag])
        )

    tags = [tag for tag in model.tags if matches(tag)]
    return Model(model.id, model.created, model.config, tags) if tags else None


def _rows(models: list[Model], registry: str) -> list[tuple[str, ...]]:
    named = [(display_name(tag, registry), model) for model in models for tag in model.tags]
    named += [("<none>", model) for model in models if not model.tags]
    return [_row(name, model) for name, model in sorted(named, key=lambda each: _order(each[0]))]


def _order(name: str) -> tuple[str, str]:
    base, _, variant = name.rpartition(":") if ":" in name else (name, "", "")
    return base.lower(), variant


def _row(name: str, model: Model) -> tuple[str, ...]:
    config = model.config
    return (
        name,
        config.parameters,
        config.quantization,
        config.architecture,
        short_id(model.id),
        f"{duration_text(time.time() - model.created)} ago",
        _context(model),
        config.size,
    )


def _context(model: Model) -> str:
    """Context tokens: as packaged, else as the model was trained."""
    return str(model.config.context_size or model.config.trained_context or "")


def _openai_object(model: Model) -> dict[str, Any]:
    from dmr_tui.server.openai import describe  # Not at the top: it brings the web framework.

    return describe(model)


async def _find(runner: Runner, name: str, remote: bool) -> Model:
    """A model of the store, or as its registry has it."""
    if not remote:
        return await runner.model(name)
    found = await runner.look(name)
    return Model(found.id, found.created, found.config)


_REMOTE = click.option(
    "-r", "--remote", is_flag=True, help="Look at its registry, without fetching the model."
)


@command("inspect", "dmr inspect smollm2", "dmr inspect smollm2 | jq .config.parameters")
@click.argument("model")
@click.option("--openai", is_flag=True, help="Print OpenAI's model object.")
@_REMOTE
def inspect_command(model: str, openai: bool, remote: bool) -> None:
    """Show all facts of a model as JSON."""
    if openai and remote:
        raise UsageError("--openai and --remote cannot be used together")
    found = with_runner(lambda runner: _find(runner, model, remote), store_only=True)
    print(json_text(_openai_object(found) if openai else found))


@command("show", "dmr show smollm2", "dmr show --remote ai/gemma3:4B-Q4_K_M")
@click.argument("model")
@_REMOTE
def show_command(model: str, remote: bool) -> None:
    """Show what a model is, for people to read."""
    found = with_runner(lambda runner: _find(runner, model, remote), store_only=True)
    config = found.config
    registry = load_settings().default_registry
    created = datetime.fromtimestamp(found.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    print(f"Model:       {found.id}")
    print("Tags:" + "".join(f"\n  - {display_name(tag, registry)}" for tag in found.tags))
    print(f"Created:     {created}\n")
    facts = {
        "Format": config.format,
        "Architecture": config.architecture,
        "Parameters": config.parameters,
        "Size": config.size,
        "Quantization": config.quantization,
        "Context Size": _context(found),
    }
    for name, value in facts.items():
        if value:
            print(f"{name + ':':<14} {value}")
    for title, metadata in (
        ("GGUF Metadata", config.gguf),
        ("Safetensors Metadata", config.safetensors),
        ("Diffusers Metadata", config.diffusers),
    ):
        if metadata:
            print(f"\n{title}:")
            for name in sorted(metadata):
                value = metadata[name].replace("\n", "\n    ")  # chat templates have lines
                print(f"  {name}: {value}")


@command("tag", "dmr tag smollm2 myorg/assistant:v1")
@click.argument("source")
@click.argument("target")
def tag_command(source: str, target: str) -> None:
    """Give the model SOURCE one more name, TARGET."""
    name = with_runner(lambda runner: runner.tag(source, target), store_only=True)
    print(f'Model "{source}" tagged successfully with "{display_name(name)}"')


@command("rm", "dmr rm smollm2", "dmr rm -f 1a2b3c4d5e6f")
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Remove a model with all its tags.")
def rm_command(models: tuple[str, ...], force: bool) -> None:
    """Remove models from this machine.

    A name is removed first; the model goes with its last one. The built-in model comes back with
    'dmr pull dmr/guide', also without a network.
    """

    async def remove(runner: Runner) -> None:
        for name in models:
            try:
                steps = await runner.remove(name, force=force)
            except ModelNotFoundError as error:
                raise ModelNotFoundError(f"no such model: {name}", error.hint) from error
            for step in steps:
                if step.untagged:
                    print(f"Untagged: {step.untagged}")
                if step.deleted:
                    print(f"Deleted: {step.deleted}")

    with_runner(remove)


@command("df", "dmr df", "dmr df --json")
@click.option("--json", "as_json", is_flag=True, help="Print bytes as JSON.")
def df_command(as_json: bool) -> None:
    """Show how much disk the models take.

    A file with several names counts once. 'dmr prune' frees what no model needs.
    """
    usage = with_runner(lambda runner: runner.disk_usage(), store_only=True)
    if as_json:
        print(json_text(usage))
        return
    rows = [("Models", usage.models)]
    more = {
        "Partial downloads": usage.partial,
        "Unused files": usage.unused,
        "Quarantine": usage.quarantined,
        "Inference engine": usage.engine,
    }
    rows += [(name, size) for name, size in more.items() if size]
    print(table(("TYPE", "SIZE"), [(name, size_text(size)) for name, size in rows]))
