"""Command `search`: models on Docker Hub and on the Hugging Face Hub."""

from __future__ import annotations

import re

import click

from dmr_tui.cli.command import command, with_runner
from dmr_tui.cli.output import json_text, size_text, table, talk
from dmr_tui.store.transfer.found import DEFAULT_LIMIT, SOURCES, Hit

_HEADERS = (
    "NAME",
    "DESCRIPTION",
    "BACKEND",
    "SIZE",
    "FITS",
    "DOWNLOADS",
    "STARS",
    "SOURCE",
)
_LONGEST = 50  # characters of a description


@command("search", "dmr search", "dmr search smollm", "dmr search --source hf qwen3 --json")
@click.argument("term", required=False, default="")
@click.option(
    "-n", "--limit", default=DEFAULT_LIMIT, show_default=True, help="Show so many at most."
)
@click.option(
    "--source",
    type=click.Choice(list(SOURCES)),
    default="all",
    show_default=True,
    metavar="SOURCE",
    help="Where to look: all, dockerhub or huggingface.",
)
@click.option("--json", "as_json", is_flag=True, help="Print an array of all facts.")
def search_command(term: str, limit: int, source: str, as_json: bool) -> None:
    """Look for models on Docker Hub and Hugging Face.

    Without TERM the most popular ones are shown. SIZE is that of what 'dmr pull NAME' fetches, and
    FITS says whether this machine's memory probably holds it.
    """
    found = with_runner(
        lambda runner: runner.search(term, limit=limit, source=SOURCES[source]), store_only=True
    )
    for warning in found.warnings:
        talk(f"Warning: {warning}")
    if as_json:
        print(json_text(found.hits))
    elif found.hits:
        print(table(_HEADERS, [_row(hit) for hit in found.hits]))
    else:
        talk(f'No models found matching "{term}"' if term else "No models found")


def _row(hit: Hit) -> tuple[str, ...]:
    return (
        hit.name,
        _short(hit.description),
        hit.backend,
        size_text(hit.size) if hit.size else "n/a",
        {True: "yes", False: "no", None: ""}[hit.fits],
        count_text(hit.downloads),
        count_text(hit.stars),
        hit.source,
    )


def count_text(number: int) -> str:
    """A count in few letters: `1.2M`, `45.6K`."""
    for least, unit in ((1_000_000, "M"), (1_000, "K")):
        if number >= least:
            return f"{number / least:.1f}{unit}"
    return str(number)


def _short(text: str) -> str:
    """A stranger's text in one line, without what could steer the terminal."""
    line = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
